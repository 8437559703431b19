"""The docker provider over the provider protocol, with the registry behind ECR as the witness of what it pushed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.images import engines
from sandbox.providers.docker import IMAGE, DockerProvider
from sandbox.providers.property_values import UNKNOWN
from tests.sandbox.providers.engine_client import CheckFailed, Client, Failed, Served
from tests.sandbox.registry.client import Running, credentials, emptied_ecr, emulated_ecr


@pytest.fixture(scope="module")
def aws_endpoint() -> Iterator[str]:
    with emulated_ecr() as endpoint:
        yield endpoint


@pytest.fixture
def ecr(aws_endpoint: str) -> Any:
    return emptied_ecr(aws_endpoint)


@pytest.fixture
def registry(tmp_path: Path, ecr: Any) -> Iterator[Running]:
    found = Running(tmp_path / "registry")
    found.start()
    ecr.create_repository(repositoryName="dev/app", imageTagMutability="IMMUTABLE")
    yield found
    found.stop()


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[Client]:
    home = tmp_path / ".sandbox"
    home.mkdir()
    with Served({"docker": DockerProvider(home)}) as served:
        yield served.attach("docker", {})


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A context whose image needs no base and runs nothing, so that building it takes no network."""
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(
        'FROM scratch\nARG GREETING=hello\nCOPY page.txt /\nLABEL greeting="${GREETING}"\n'
    )
    (folder / "page.txt").write_text("one\n")
    (folder / ".dockerignore").write_text("*.md\n")
    return folder


@pytest.fixture
def no_builder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


@pytest.fixture
def buildah_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if shutil.which("buildah") is None:
        pytest.skip("buildah is not installed (make tools)")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


def inputs(registry: Running, ecr: Any, context: Path, tag: str, **build: Any) -> dict[str, Any]:
    user, password = credentials(ecr)
    return {
        "imageName": f"{registry.host}/dev/app:{tag}",
        "build": {
            "context": str(context),
            "dockerfile": str(context / "Dockerfile"),
            "platform": "linux/amd64",
            **build,
        },
        "registry": {"server": f"{registry.host}/dev/app", "username": user, "password": password},
    }


def pushed(ecr: Any) -> dict[str, Any]:
    """The one image with a tag that ECR holds."""
    [image] = [it for it in ecr.describe_images(repositoryName="dev/app")["imageDetails"] if it.get("imageTags")]
    return dict(image)


def test_an_image_is_built_and_pushed_and_its_digest_is_the_one_in_ecr(
    docker: Client, registry: Running, ecr: Any, context: Path, buildah_only: None
) -> None:
    made = docker.create(IMAGE, "app", inputs(registry, ecr, context, "v1"))
    repository = f"{registry.host}/dev/app"
    image = pushed(ecr)
    assert made.state["repoDigest"] == f"{repository}@{image['imageDigest']}"
    assert (made.state["baseImageName"], made.state["imageName"]) == (f"{repository}:v1", f"{repository}:v1")
    assert made.state["registryServer"] == repository
    assert made.state["platform"] == "linux/amd64"
    assert made.id == f"{repository}:v1"
    assert image["imageTags"] == ["v1"]
    assert "notBuilt" not in made.state


def test_an_sbom_lies_beside_the_pushed_image(
    docker: Client, registry: Running, ecr: Any, context: Path, buildah_only: None
) -> None:
    docker.create(IMAGE, "app", inputs(registry, ecr, context, "v1"))
    digest = pushed(ecr)["imageDigest"]
    auth = credentials(ecr)
    listed = requests.get(f"http://{registry.host}/v2/dev/app/referrers/{digest}", auth=auth, timeout=60).json()
    [found] = listed["manifests"]
    assert found["artifactType"] == "application/spdx+json"
    manifest = requests.get(
        f"http://{registry.host}/v2/dev/app/manifests/{found['digest']}", auth=auth, timeout=60
    ).json()
    blob = manifest["layers"][0]["digest"]
    document = requests.get(f"http://{registry.host}/v2/dev/app/blobs/{blob}", auth=auth, timeout=60).json()
    assert document["spdxVersion"] == "SPDX-2.3"
    assert document["packages"][0]["versionInfo"] == digest


def test_only_a_change_of_content_arguments_or_name_is_a_difference(
    docker: Client, registry: Running, ecr: Any, context: Path, no_builder: None
) -> None:
    news = inputs(registry, ecr, context, "v1")
    made = docker.create(IMAGE, "app", news)
    made.state.pop("notBuilt")
    assert changed(docker, made, news) == set()
    (context / "notes.md").write_text("ignored by .dockerignore")
    assert changed(docker, made, {**news, "registry": {**news["registry"], "password": "another"}}) == set()
    assert changed(docker, made, {**news, "imageName": f"{registry.host}/dev/app:v2"}) == {"imageName"}
    assert changed(docker, made, inputs(registry, ecr, context, "v1", args={"GREETING": "hi"})) >= {"build"}
    (context / "page.txt").write_text("two\n")
    assert changed(docker, made, news) == {"build"}


def changed(docker: Client, made: Any, news: dict[str, Any]) -> set[str]:
    answer, _ = docker.diff(made, news)
    assert not list(answer.replaces)
    return set(answer.detailedDiff) - {"registry"} if "registry" not in news else set(answer.detailedDiff)


def test_without_a_builder_the_digest_is_the_contexts_and_says_not_built(
    docker: Client, registry: Running, ecr: Any, context: Path, no_builder: None
) -> None:
    made = docker.create(IMAGE, "app", inputs(registry, ecr, context, "v1"))
    assert "buildah is not installed" in made.state["notBuilt"]
    assert made.state["repoDigest"].startswith(f"{registry.host}/dev/app@sha256:")
    assert ecr.describe_images(repositoryName="dev/app")["imageDetails"] == []
    (context / "page.txt").write_text("two\n")
    again = docker.update(made, inputs(registry, ecr, context, "v2"))
    assert again.state["repoDigest"] != made.state["repoDigest"]


def test_what_was_not_built_is_built_once_a_builder_is_there(
    docker: Client, registry: Running, ecr: Any, context: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = os.environ["PATH"]
    if shutil.which("buildah") is None:
        pytest.skip("buildah is not installed (make tools)")
    news = inputs(registry, ecr, context, "v1")
    monkeypatch.setenv("PATH", str(tmp_path))
    made = docker.create(IMAGE, "app", news)
    assert changed(docker, made, news) == set()
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert changed(docker, made, news) == {"build"}
    built = docker.update(made, news)
    assert built.state["repoDigest"].endswith(pushed(ecr)["imageDigest"])
    assert "notBuilt" not in built.state


def test_an_architecture_that_this_machine_cannot_run_is_not_built_and_says_how_it_could_be(
    docker: Client, registry: Running, ecr: Any, context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "mips64le"  # whose emulator, where it is installed, goes by another name
    monkeypatch.setattr("sandbox.images.build.engines.find", lambda storage: engines.BuildahEngine("buildah", storage))
    made = docker.create(IMAGE, "app", inputs(registry, ecr, context, "v1", platform=f"linux/{other}"))
    assert f"an image for {other} needs {other} programs" in made.state["notBuilt"]
    assert "qemu-user-static" in made.state["notBuilt"]


def test_a_preview_knows_the_name_but_not_the_digest_and_builds_nothing(
    docker: Client, registry: Running, ecr: Any, context: Path
) -> None:
    news = inputs(registry, ecr, context, "v1")
    shown = docker.preview(IMAGE, "app", news)
    assert shown["repoDigest"] is UNKNOWN
    assert shown["imageName"] == news["imageName"]
    unknown = {**news, "imageName": UNKNOWN, "registry": {**news["registry"], "server": UNKNOWN}}
    assert docker.preview(IMAGE, "app", unknown)["imageName"] is UNKNOWN
    assert docker.preview(IMAGE, "app", {**news, "build": UNKNOWN})["repoDigest"] is UNKNOWN
    assert ecr.describe_images(repositoryName="dev/app")["imageDetails"] == []


def test_defaults_are_filled_in_as_the_real_provider_does(docker: Client, context: Path) -> None:
    checked = docker.check(
        IMAGE, "app", {"imageName": "x/app:v1", "build": {"context": str(context)}, "skipPush": True}
    )
    assert checked["build"]["dockerfile"] == f"{context}/Dockerfile"
    assert checked["build"]["platform"].startswith("linux/")
    assert len(checked["build"]["contextDigest"]) == 64
    assert checked["buildOnPreview"] is False


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        ({"imagename": "x"}, "imagename: docker:index/image:Image has no property 'imagename'; it has build"),
        ({"build": {"dockerFile": "x"}}, "build.dockerFile: docker:index/image:Image has no property"),
        ({"build": {"context": "/no/such/folder"}}, "build.context: the folder '/no/such/folder' doesn't exist"),
        ({"build": {"builderVersion": "BuilderV1"}}, "builds with BuildKit or buildah only, not with 'BuilderV1'"),
        ({"imageName": "app"}, "imageName: 'app' has no registry; give the full name"),
        ({"imageName": None}, "imageName: is required"),
    ],
)
def test_wrong_inputs_are_refused_by_name(docker: Client, context: Path, change: dict[str, Any], failure: str) -> None:
    news: dict[str, Any] = {"imageName": "localhost:1/app:v1", "build": {"context": str(context)}}
    for key, value in change.items():
        news[key] = {**news[key], **value} if key == "build" else value
    with pytest.raises(CheckFailed) as failed:
        docker.check(IMAGE, "app", {key: value for key, value in news.items() if value is not None})
    assert failure in str(failed.value)


def test_a_dockerfile_given_relative_to_its_context_is_refused_with_the_right_path(
    docker: Client, context: Path
) -> None:
    news = {"imageName": "localhost:1/app:v1", "build": {"context": str(context), "dockerfile": "Dockerfile"}}
    with pytest.raises(CheckFailed, match=r"not from the context.*; try '.*/context/Dockerfile'"):
        docker.check(IMAGE, "app", news)


def test_a_push_to_a_registry_outside_the_sandbox_is_refused(
    docker: Client, registry: Running, ecr: Any, context: Path, buildah_only: None
) -> None:
    news = {**inputs(registry, ecr, context, "v1"), "imageName": "docker.io/someone/app:v1"}
    with pytest.raises(Failed, match="the sandbox pushes nowhere else"):
        docker.create(IMAGE, "app", news)


def test_a_taken_immutable_tag_is_refused_in_ecrs_words(
    docker: Client, registry: Running, ecr: Any, context: Path, buildah_only: None
) -> None:
    made = docker.create(IMAGE, "app", inputs(registry, ecr, context, "v1"))
    (context / "page.txt").write_text("two\n")
    with pytest.raises(Failed, match="cannot be overwritten because the repository is immutable"):
        docker.update(made, inputs(registry, ecr, context, "v1"))


def test_a_failing_build_says_which_step_and_why_without_the_password(
    docker: Client, registry: Running, ecr: Any, context: Path, buildah_only: None
) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY nowhere.txt /\n")
    news = inputs(registry, ecr, context, "v1")
    with pytest.raises(Failed, match=r"nowhere\.txt") as failed:
        docker.create(IMAGE, "app", news)
    assert news["registry"]["password"] not in str(failed.value)


def test_deleting_leaves_the_image_to_its_repository(
    docker: Client, registry: Running, ecr: Any, context: Path, buildah_only: None
) -> None:
    made = docker.create(IMAGE, "app", inputs(registry, ecr, context, "v1"))
    docker.delete(made)
    assert pushed(ecr)["imageTags"] == ["v1"]


def test_a_refresh_reports_what_is_known_and_an_import_is_refused(
    docker: Client, registry: Running, ecr: Any, context: Path, no_builder: None
) -> None:
    made = docker.create(IMAGE, "app", inputs(registry, ecr, context, "v1"))
    found = docker.read(made)
    assert found is not None
    assert found.state == made.state
    with pytest.raises(Failed, match="can't be imported"):
        docker.import_(IMAGE, "app", made.id)


def test_other_resources_and_functions_of_the_package_are_refused_by_name(docker: Client) -> None:
    with pytest.raises(Failed, match="docker:index/container:Container isn't emulated"):
        docker.check("docker:index/container:Container", "c", {"image": "x"})
    with pytest.raises(Failed, match="docker:index/getRegistryImage:getRegistryImage isn't emulated"):
        docker.invoke("docker:index/getRegistryImage:getRegistryImage", {"name": "x"})


def test_a_registry_password_stays_secret_in_the_state(
    docker: Client, registry: Running, ecr: Any, context: Path, no_builder: None
) -> None:
    news = inputs(registry, ecr, context, "v1")
    made = docker.create(IMAGE, "app", news, secrets=[("registry", "password")])
    assert news["registry"]["password"] not in str(made.state)
