"""Image component: repositories, tags, lifecycle and build."""

import json
from fnmatch import fnmatchcase
from pathlib import Path

from tests.components.factories import image, record

REPOSITORY = "aws:ecr/repository:Repository"
SECRET_SIGNATURE = "4dabf18193072939515e22adb298388d"  # marks a secret on Pulumi's wire


def test_registry_password_is_secret_and_previews_do_not_build() -> None:
    recording = record(lambda: image("one"))
    built = recording.one("docker:index/image:Image", "one")
    assert built.inputs["buildOnPreview"] is False
    registry = built.request.object.fields["registry"].struct_value.fields
    secret = registry["password"].struct_value.fields if "password" in registry else registry
    assert SECRET_SIGNATURE in secret
    assert built.inputs["registry"]["password"] == "password-of-the-registry"


def test_only_tags_of_the_cache_and_content_tags_are_mutable() -> None:
    recording = record(lambda: image("one"))
    name = recording.one("docker:index/image:Image", "one").inputs["imageName"]
    repository = recording.one(REPOSITORY, "one").inputs
    (exclusion,) = repository["imageTagMutabilityExclusionFilters"]
    assert exclusion["filterType"] == "WILDCARD"
    assert fnmatchcase(name.rpartition(":")[2], exclusion["filter"])
    pipeline_tags = (f"{prefix}{'0a' * 20}" for prefix in ("", "proven-"))
    assert not any(fnmatchcase(tag, exclusion["filter"]) for tag in pipeline_tags)
    repositories = recording.all(REPOSITORY)
    assert {r.inputs["name"]: r.inputs["imageTagMutability"] for r in repositories} == {
        "test/one": "IMMUTABLE_WITH_EXCLUSION",
        "test/one-cache": "MUTABLE",
    }
    assert all(r.inputs["imageScanningConfiguration"] == {"scanOnPush": True} for r in repositories)


def test_lifecycle_policy_keeps_proven_images_apart_from_later_pushes() -> None:
    """A promotion takes the image days later; ECR applies the first rule that matches."""
    recording = record(lambda: image("one", keep=20))
    policy = recording.one("aws:ecr/lifecyclePolicy:LifecyclePolicy", "one").inputs["policy"]
    rules = sorted(json.loads(policy)["rules"], key=lambda rule: int(rule["rulePriority"]))
    selections = [rule["selection"] for rule in rules]
    assert [selection["tagStatus"] for selection in selections] == ["untagged", "tagged", "any"]
    assert (selections[1]["tagPrefixList"], selections[1]["countNumber"]) == (["proven-"], 20)
    assert "proven-$COMMIT" in Path("app/buildspecs/verify.yml").read_text(encoding="utf-8")
