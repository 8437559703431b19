"""The docker command of builds, against a registry behind ECR."""

from __future__ import annotations

import io
import json
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from sandbox.builds import docker_command, docker_options
from sandbox.images.archive import OciImage, digest_of
from sandbox.images.build_request import BuildError
from tests.sandbox.registry.client import Client, credentials
from tests.sandbox.registry.conftest import (  # noqa: F401 - fixtures
    aws_endpoint,
    client,
    ecr,
    running,
)


class Docker:
    """Runs the command in this process; no Docker engine is on its PATH."""

    def __init__(self, directory: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.host = directory / "home", host
        self._monkeypatch = monkeypatch
        self.home.mkdir()
        monkeypatch.chdir(self.home)
        for name, value in {
            "PATH": str(directory / "empty"),
            "HOME": str(self.home),
            "SANDBOX_HOME": str(directory / "sandbox"),
            "SANDBOX_IMAGE_CACHE": str(directory / "images"),
            "SANDBOX_REGISTRY": host,
            "SANDBOX_TOOLS": str(directory / "empty"),
        }.items():
            monkeypatch.setenv(name, value)

    def __call__(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        self._monkeypatch.setattr("sys.argv", ["docker", *arguments])
        self._monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        output, errors = io.StringIO(), io.StringIO()
        with redirect_stdout(output), redirect_stderr(errors), pytest.raises(SystemExit) as ended:
            docker_command.main()
        code = int(ended.value.code or 0)
        return subprocess.CompletedProcess(arguments, code, output.getvalue(), errors.getvalue())


@pytest.fixture
def docker(tmp_path: Path, running: Any, ecr: Any, monkeypatch: pytest.MonkeyPatch) -> Docker:  # noqa: F811
    for name in ("app", "proven"):
        ecr.create_repository(repositoryName=name)
    docker = Docker(tmp_path, running.host, monkeypatch)
    username, password = credentials(ecr)
    login = docker("login", "--username", username, "--password-stdin", running.host,
                   stdin=password)  # fmt: skip
    assert (login.returncode, login.stdout) == (0, "Login Succeeded\n"), login.stderr
    return docker


def test_wrong_password_is_refused(docker: Docker) -> None:
    result = docker("login", "-u", "AWS", "-p", "wrong", docker.host)
    assert result.returncode == 1
    assert result.stderr.startswith("ERROR: ")


def test_other_registry_is_refused(docker: Docker) -> None:
    result = docker("login", "-u", "AWS", "-p", "x", "ghcr.example")
    assert "ghcr.example is not the sandbox's registry" in result.stderr


def test_imagetools_create_copies_an_image_with_its_digest(
    docker: Docker,
    client: Client,  # noqa: F811
) -> None:
    digest = client.push("app", "v1")
    result = docker(
        "buildx", "imagetools", "create", "--prefer-index=false",
        "--tag", f"{docker.host}/proven:v1", f"{docker.host}/app@{digest}",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    response = client.call("GET", "/v2/proven/manifests/v1")
    assert response.headers["Docker-Content-Digest"] == digest
    inspected = docker("buildx", "imagetools", "inspect", f"{docker.host}/proven:v1")
    assert digest in inspected.stdout


def test_ecr_host_name_means_the_registry_of_the_sandbox(
    docker: Docker,
    client: Client,  # noqa: F811
) -> None:
    digest = client.push("app", "v2")
    name = "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v2"
    assert docker("pull", name).stdout == f"Digest: {digest}\n"
    assert docker("tag", name, f"{docker.host}/proven:v2").returncode == 0
    pushed = docker("push", f"{docker.host}/proven:v2")
    assert pushed.stdout == f"v2: digest: {digest}\n"
    assert "app" in docker("images").stdout
    assert docker("rmi", name).returncode == 0
    assert docker("push", name).stderr.startswith("ERROR: No such image")


def test_missing_image_is_refused_with_the_message_of_the_registry(docker: Docker) -> None:
    source = f"{docker.host}/app:absent"
    target = f"{docker.host}/proven:v"
    result = docker(
        "buildx", "imagetools", "create", "--prefer-index=false", "--tag", target, source
    )
    assert result.returncode == 1
    assert "absent" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "x"], "docker run needs a Docker engine"),
        (["buildx", "bake"], "docker buildx bake is not emulated"),
        (["buildx", "create", "--driver", "kubernetes"], "invalid choice"),
        (["buildx", "use", "none"], 'no builder "none" found'),
        (["buildx", "imagetools", "create", "-t", "a", "b"], "--prefer-index=false"),
        (["pull", "debian"], "docker pull debian:latest needs a Docker engine"),
    ],
)
def test_what_is_not_emulated_is_refused_by_name(
    docker: Docker, arguments: list[str], message: str
) -> None:
    result = docker(*arguments)
    assert result.returncode == 1
    assert message in result.stderr


def test_builders_are_listed(docker: Docker) -> None:
    created = docker("buildx", "create", "--use", "--driver", "docker-container",
                     "--driver-opt", "image=x", "--name", "mine")  # fmt: skip
    assert created.stdout == "mine\n"
    assert docker("buildx", "ls").stdout.split() == ["mine", "default"]
    assert docker("buildx", "rm", "mine").returncode == 0
    assert docker("buildx", "ls").stdout.split() == ["default"]


def test_options_of_a_build(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    options = docker_options.parse(
        [
            str(tmp_path),
            *("--output", "type=image,push=true,rewrite-timestamp=true"),
            *("--metadata-file", "meta.json", "--platform", "linux/arm64"),
            *("--provenance=false", "--tag", "localhost:1/app:v"),
            *("--build-arg", "SOURCE_DATE_EPOCH=7", "--cache-from", "type=registry,ref=x"),
        ],
        "build",
    )
    assert (options.push, options.tags) == (True, ["localhost:1/app:v"])
    assert (options.request.epoch, options.request.architecture) == (7, "arm64")
    assert options.metadata_file == Path("meta.json")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--secret", "id=x"], "unrecognized arguments: --secret"),
        (["--provenance=true"], "--provenance is not emulated"),
        (["--output", "type=local,dest=x"], "--output type=local,dest=x is not emulated"),
        (["--platform", "linux/amd64,linux/arm64"], "one platform"),
        (["--push"], "a pushed image needs a --tag"),
    ],
)
def test_option_that_is_not_supported_is_refused(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(BuildError, match=message):
        docker_options.parse([str(tmp_path), *arguments], "build")


def test_built_image_is_tagged_and_pushed(
    docker: Docker,
    client: Client,  # noqa: F811
    tmp_path: Path,
) -> None:
    from sandbox.builds.docker_images import LocalImages, Reference
    from sandbox.images.archive import CONFIG, LAYER, MANIFEST, Layer

    layers = tmp_path / "images" / "layers"
    layers.mkdir(parents=True)
    content, config = io.BytesIO(b"layer").getvalue(), b"{}"
    digest = digest_of(content)
    (layers / digest.removeprefix("sha256:")).write_bytes(content)
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
            "layers": [{"mediaType": LAYER, "digest": digest, "size": len(content)}],
        }
    ).encode()
    layer = Layer(
        digest=digest,
        diff_id=digest,
        size=len(content),
        path=layers / digest.removeprefix("sha256:"),
    )
    image = OciImage(manifest=manifest, config=config, layers=(layer,))
    images = LocalImages(docker.home / ".docker" / "sandbox", layers)
    images.add(Reference.parse("helloworld"), image)
    target = f"{docker.host}/app:built"
    assert docker("tag", "helloworld", target).returncode == 0
    pushed = docker("push", target)
    assert pushed.stdout == f"built: digest: {digest_of(manifest)}\n", pushed.stderr
    assert client.call("GET", "/v2/app/manifests/built").content == manifest
    assert (docker.home / ".docker" / "config.json").stat().st_mode & 0o077 == 0


def test_sbom_of_the_local_exporter_is_a_file_and_no_attestation_of_an_image(
    tmp_path: Path,
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch")
    arguments = [str(tmp_path), "--sbom=generator=x@sha256:1"]
    local = docker_options.parse([*arguments, "--output", "type=local,dest=out"], "build")
    assert (local.sbom_folder, local.push) == (Path.cwd() / "out", False)
    with pytest.raises(BuildError, match="--sbom is not emulated"):
        docker_options.parse([*arguments, "--push", "--tag", "localhost:1/app:v"], "build")
