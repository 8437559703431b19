"""The docker provider over gRPC, with the registry behind ECR."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.images import engines
from sandbox.images.build_context import context_digest
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
    running = Running(tmp_path / "registry")
    running.start()
    ecr.create_repository(repositoryName="dev/app", imageTagMutability="IMMUTABLE")
    yield running
    running.stop()


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[Client]:
    home = tmp_path / ".sandbox"
    home.mkdir()
    with Served({"docker": DockerProvider(home, home / "images")}) as served:
        yield served.attach("docker", {})


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A context that builds without a network: no base image, no RUN."""
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
    """Return the one tagged image in ECR."""
    [image] = [
        it
        for it in ecr.describe_images(repositoryName="dev/app")["imageDetails"]
        if it.get("imageTags")
    ]
    return dict(image)


def test_built_image_is_pushed_with_the_digest_in_ecr(
    docker: Client, registry: Running, ecr: Any, context: Path, buildah_only: None
) -> None:
    created = docker.create(IMAGE, "app", inputs(registry, ecr, context, "v1"))
    repository = f"{registry.host}/dev/app"
    image = pushed(ecr)
    assert created.state["repoDigest"] == f"{repository}@{image['imageDigest']}"
    assert (created.state["baseImageName"], created.state["imageName"]) == (
        f"{repository}:v1",
        f"{repository}:v1",
    )
    assert created.state["registryServer"] == repository
    assert created.state["platform"] == "linux/amd64"
    assert created.id == f"{repository}:v1"
    assert image["imageTags"] == ["v1"]
    assert "notBuilt" not in created.state


def test_sbom_is_attached_to_the_pushed_image(
    docker: Client, registry: Running, ecr: Any, context: Path, buildah_only: None
) -> None:
    docker.create(IMAGE, "app", inputs(registry, ecr, context, "v1"))
    digest = pushed(ecr)["imageDigest"]
    auth = credentials(ecr)
    listed = requests.get(
        f"http://{registry.host}/v2/dev/app/referrers/{digest}", auth=auth, timeout=60
    ).json()
    [referrer] = listed["manifests"]
    assert referrer["artifactType"] == "application/spdx+json"
    manifest = requests.get(
        f"http://{registry.host}/v2/dev/app/manifests/{referrer['digest']}", auth=auth, timeout=60
    ).json()
    blob = manifest["layers"][0]["digest"]
    document = requests.get(
        f"http://{registry.host}/v2/dev/app/blobs/{blob}", auth=auth, timeout=60
    ).json()
    assert document["spdxVersion"] == "SPDX-2.3"
    assert document["packages"][0]["versionInfo"] == digest


def test_diff_ignores_credentials_and_ignored_files(
    docker: Client, registry: Running, ecr: Any, context: Path, no_builder: None
) -> None:
    news = inputs(registry, ecr, context, "v1")
    created = docker.create(IMAGE, "app", news)
    created.state.pop("notBuilt")
    assert changed(docker, created, news) == set()
    (context / "notes.md").write_text("ignored by .dockerignore")
    assert (
        changed(docker, created, {**news, "registry": {**news["registry"], "password": "another"}})
        == set()
    )
    assert changed(docker, created, {**news, "imageName": f"{registry.host}/dev/app:v2"}) == {
        "imageName"
    }
    assert changed(
        docker, created, inputs(registry, ecr, context, "v1", args={"GREETING": "hi"})
    ) >= {"build"}
    (context / "page.txt").write_text("two\n")
    assert changed(docker, created, news) == {"build"}


def changed(docker: Client, created: Any, news: dict[str, Any]) -> set[str]:
    response, _ = docker.diff(created, news)
    assert not list(response.replaces)
    return (
        set(response.detailedDiff) - {"registry"}
        if "registry" not in news
        else set(response.detailedDiff)
    )


def test_without_builder_the_digest_is_the_contexts(
    docker: Client, registry: Running, ecr: Any, context: Path, no_builder: None
) -> None:
    created = docker.create(IMAGE, "app", inputs(registry, ecr, context, "v1"))
    assert "buildah is not installed" in created.state["notBuilt"]
    assert created.state["repoDigest"].startswith(f"{registry.host}/dev/app@sha256:")
    assert ecr.describe_images(repositoryName="dev/app")["imageDetails"] == []
    (context / "page.txt").write_text("two\n")
    again = docker.update(created, inputs(registry, ecr, context, "v2"))
    assert again.state["repoDigest"] != created.state["repoDigest"]


def test_unbuilt_image_is_built_once_a_builder_exists(
    docker: Client,
    registry: Running,
    ecr: Any,
    context: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    path = os.environ["PATH"]
    if shutil.which("buildah") is None:
        pytest.skip("buildah is not installed (make tools)")
    news = inputs(registry, ecr, context, "v1")
    monkeypatch.setenv("PATH", str(tmp_path))
    created = docker.create(IMAGE, "app", news)
    assert changed(docker, created, news) == set()
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert changed(docker, created, news) == {"build"}
    built = docker.update(created, news)
    assert built.state["repoDigest"].endswith(pushed(ecr)["imageDigest"])
    assert "notBuilt" not in built.state


def test_image_of_unsupported_architecture_is_not_built_with_a_remedy(
    docker: Client, registry: Running, ecr: Any, context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "mips64le"  # whose emulator, where it is installed, goes by another name
    monkeypatch.setattr(
        "sandbox.images.builder.engines.detect",
        lambda storage: engines.BuildahEngine("buildah", storage),
    )
    created = docker.create(
        IMAGE, "app", inputs(registry, ecr, context, "v1", platform=f"linux/{other}")
    )
    assert f"an image for {other} needs {other} programs" in created.state["notBuilt"]
    assert "qemu-user-static" in created.state["notBuilt"]


def test_preview_builds_nothing_and_has_an_unknown_digest(
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


def test_defaults_are_those_of_the_real_provider(docker: Client, context: Path) -> None:
    checked = docker.check(
        IMAGE,
        "app",
        {"imageName": "x/app:v1", "build": {"context": str(context)}, "skipPush": True},
    )
    assert checked["build"]["dockerfile"] == f"{context}/Dockerfile"
    assert checked["build"]["platform"].startswith("linux/")
    assert len(checked["build"]["contextDigest"]) == 64
    assert checked["buildOnPreview"] is False


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        (
            {"imagename": "x"},
            "imagename: docker:index/image:Image has no property 'imagename'; it has build",
        ),
        (
            {"build": {"dockerFile": "x"}},
            "build.dockerFile: docker:index/image:Image has no property",
        ),
        (
            {"build": {"context": "/no/such/folder"}},
            "build.context: the directory '/no/such/folder' does not exist; searched in /",
        ),
        (
            {"build": {"builderVersion": "BuilderV1"}},
            "builds with BuildKit or buildah only, not with 'BuilderV1'",
        ),
        ({"imageName": "app"}, "imageName: 'app' has no registry; give the full name"),
        ({"imageName": None}, "imageName: is required"),
    ],
)
def test_invalid_inputs_are_refused_by_name(
    docker: Client, context: Path, change: dict[str, Any], failure: str
) -> None:
    news: dict[str, Any] = {"imageName": "localhost:1/app:v1", "build": {"context": str(context)}}
    for key, value in change.items():
        news[key] = {**news[key], **value} if key == "build" else value
    with pytest.raises(CheckFailed) as failed:
        docker.check(IMAGE, "app", {key: value for key, value in news.items() if value is not None})
    assert failure in str(failed.value)


def test_dockerfile_relative_to_its_context_is_refused_with_the_right_path(
    docker: Client, context: Path
) -> None:
    news = {
        "imageName": "localhost:1/app:v1",
        "build": {"context": str(context), "dockerfile": "Dockerfile"},
    }
    with pytest.raises(CheckFailed, match=r"not to the context.*; try '.*/context/Dockerfile'"):
        docker.check(IMAGE, "app", news)


def test_relative_paths_are_resolved_in_the_program_directory(
    tmp_path: Path, registry: Running, ecr: Any, context: Path, no_builder: None
) -> None:
    (context / "Dockerfile").rename(context / "Dockerfile.release")
    news = inputs(registry, ecr, context, "v1")
    news["build"] |= {"context": "context", "dockerfile": "context/Dockerfile.release"}
    with Served({"docker": DockerProvider(tmp_path / ".sandbox", tmp_path / "images")}) as served:
        client = served.attach("docker", {}, directory=str(tmp_path))
        digest = client.check(IMAGE, "app", news)["build"]["contextDigest"]
        assert digest == context_digest(context, context / "Dockerfile.release")
        client.create(IMAGE, "app", news)
        for build, message in (
            ({"context": "elsewhere"}, f"'elsewhere' does not exist; searched in {tmp_path}"),
            (
                {"context": "context"},
                f"no Dockerfile 'context/Dockerfile'; searched in {tmp_path},",
            ),
        ):
            with pytest.raises(CheckFailed, match=message):
                client.check(IMAGE, "app", {**news, "build": build})


def test_push_to_a_registry_outside_the_sandbox_is_refused(
    docker: Client, registry: Running, ecr: Any, context: Path, buildah_only: None
) -> None:
    news = {**inputs(registry, ecr, context, "v1"), "imageName": "docker.io/someone/app:v1"}
    with pytest.raises(Failed, match="the sandbox pushes nowhere else"):
        docker.create(IMAGE, "app", news)


def test_taken_immutable_tag_is_refused_in_ecrs_words(
    docker: Client, registry: Running, ecr: Any, context: Path, buildah_only: None
) -> None:
    created = docker.create(IMAGE, "app", inputs(registry, ecr, context, "v1"))
    (context / "page.txt").write_text("two\n")
    with pytest.raises(Failed, match="cannot be overwritten because the repository is immutable"):
        docker.update(created, inputs(registry, ecr, context, "v1"))


def test_failed_build_reports_the_step_without_the_password(
    docker: Client, registry: Running, ecr: Any, context: Path, buildah_only: None
) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY nowhere.txt /\n")
    news = inputs(registry, ecr, context, "v1")
    with pytest.raises(Failed, match=r"nowhere\.txt") as failed:
        docker.create(IMAGE, "app", news)
    assert news["registry"]["password"] not in str(failed.value)


def test_delete_keeps_the_image_in_its_repository(
    docker: Client, registry: Running, ecr: Any, context: Path, buildah_only: None
) -> None:
    created = docker.create(IMAGE, "app", inputs(registry, ecr, context, "v1"))
    docker.delete(created)
    assert pushed(ecr)["imageTags"] == ["v1"]


def test_refresh_returns_the_state_and_import_is_refused(
    docker: Client, registry: Running, ecr: Any, context: Path, no_builder: None
) -> None:
    created = docker.create(IMAGE, "app", inputs(registry, ecr, context, "v1"))
    refreshed = docker.read(created)
    assert refreshed is not None
    assert refreshed.state == created.state
    with pytest.raises(Failed, match="cannot be imported"):
        docker.import_(IMAGE, "app", created.id)


def test_other_resources_and_functions_are_refused_by_name(docker: Client) -> None:
    with pytest.raises(Failed, match="docker:index/container:Container is not emulated"):
        docker.check("docker:index/container:Container", "c", {"image": "x"})
    with pytest.raises(
        Failed, match="docker:index/getRegistryImage:getRegistryImage is not emulated"
    ):
        docker.invoke("docker:index/getRegistryImage:getRegistryImage", {"name": "x"})


def test_registry_password_stays_secret_in_the_state(
    docker: Client, registry: Running, ecr: Any, context: Path, no_builder: None
) -> None:
    news = inputs(registry, ecr, context, "v1")
    created = docker.create(IMAGE, "app", news, secrets=[("registry", "password")])
    assert news["registry"]["password"] not in str(created.state)
