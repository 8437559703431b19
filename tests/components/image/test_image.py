"""Image component: repositories, tags, lifecycle and build."""

import json
from fnmatch import fnmatchcase

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
    assert not fnmatchcase("0a" * 20, exclusion["filter"])  # a commit, pushed by the pipeline
    repositories = recording.all(REPOSITORY)
    assert {r.inputs["name"]: r.inputs["imageTagMutability"] for r in repositories} == {
        "test/one": "IMMUTABLE_WITH_EXCLUSION",
        "test/one-proven": "IMMUTABLE",
        "test/one-cache": "MUTABLE",
    }
    assert all(r.inputs["imageScanningConfiguration"] == {"scanOnPush": True} for r in repositories)


def test_lifecycle_policy_keeps_the_configured_number_of_images() -> None:
    recording = record(lambda: image("one", keep=20))
    for name in ("one", "one-proven"):
        policy = recording.one("aws:ecr/lifecyclePolicy:LifecyclePolicy", name).inputs["policy"]
        untagged, others = (rule["selection"] for rule in json.loads(policy)["rules"])
        assert (untagged["tagStatus"], untagged["countNumber"]) == ("untagged", 7)
        assert (others["tagStatus"], others["countNumber"]) == ("any", 20)
