"""Builds with each engine of this machine: reproducible, cached, and readable by other tools."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.images import BuildError, BuildRequest, Destination, engines
from tests.sandbox.images.conftest import BuiltApp, FixedBuilder
from tests.sandbox.registry.client import Running, credentials


@pytest.fixture(params=["docker", "buildah"])
def engine(request: pytest.FixtureRequest) -> engines.Engine:
    fixture: engines.Engine = request.getfixturevalue(request.param)
    return fixture


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A context of two stages that builds without a network."""
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(
        "FROM scratch AS files\nCOPY folder /srv/folder/\n"
        "FROM scratch\nARG NAME=it\nCOPY --from=files /srv /srv\nUSER 10001:10001\nLABEL "
        'name="${NAME}"\n'
    )
    (folder / "folder").mkdir()
    (folder / "folder" / "page.txt").write_text("one\n")
    return folder


def order(context: Path, **args: str) -> BuildRequest:
    return BuildRequest(
        context=context, dockerfile=context / "Dockerfile", platform="linux/amd64", args=args
    )


def test_two_builds_of_equal_files_have_the_same_digest(
    engine: engines.Engine, context: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "another-clone"
    shutil.copytree(
        context, copy, copy_function=shutil.copy
    )  # the times of the files are new, as in a clone
    digests = []
    for number, folder in enumerate((context, copy)):
        home = tmp_path / f"home{number}"
        home.mkdir()
        digests.append(FixedBuilder(home, engine).build(order(folder), None, None).digest)
    assert digests[0] == digests[1]


def test_changed_file_or_argument_changes_the_digest(
    engine: engines.Engine, context: Path, tmp_path: Path
) -> None:
    builder = FixedBuilder(tmp_path, engine)
    first = builder.build(order(context), None, None).digest
    renamed = builder.build(order(context, NAME="other"), None, None).digest
    (context / "folder" / "page.txt").write_text("two\n")
    assert len({first, renamed, builder.build(order(context), None, None).digest}) == 3


def test_unchanged_inputs_are_not_built_again(
    engine: engines.Engine, context: Path, tmp_path: Path
) -> None:
    builder = FixedBuilder(tmp_path, engine)
    lines: list[str] = []
    first = builder.build(order(context), None, None, lines.append)
    assert lines
    lines.clear()
    assert builder.build(order(context), None, None, lines.append).digest == first.digest
    assert lines == []


def test_pushed_image_has_its_configuration_and_is_dated_at_the_epoch(
    engine: engines.Engine, context: Path, tmp_path: Path, registry: Running, ecr: Any
) -> None:
    name = f"settings-{engine.name.lower()}"
    ecr.create_repository(repositoryName=name)
    auth = credentials(ecr)
    outcome = FixedBuilder(tmp_path, engine).build(
        order(context), Destination(f"{registry.host}/{name}", *auth), "v1"
    )
    url = f"http://{registry.host}/v2/{name}"
    manifest = requests.get(f"{url}/manifests/{outcome.digest}", auth=auth, timeout=60).json()
    config = requests.get(
        f"{url}/blobs/{manifest['config']['digest']}", auth=auth, timeout=60
    ).json()
    assert config["created"] == "1970-01-01T00:00:00Z"
    assert config["config"]["User"] == "10001:10001"
    assert config["config"]["Labels"]["name"] == "it"
    assert config["architecture"] == "amd64"
    remaining = [entry for entry in config["history"] if not entry.get("empty_layer")]
    assert len(remaining) == len(manifest["layers"]) == len(config["rootfs"]["diff_ids"])


def test_failed_build_reports_command_and_last_output(
    engine: engines.Engine, context: Path, tmp_path: Path
) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY nowhere.txt /\n")
    with pytest.raises(
        BuildError, match=r"(docker|buildah) build` failed with code .*nowhere\.txt"
    ):
        FixedBuilder(tmp_path, engine).build(order(context), None, None)


def test_docker_pulls_the_image_by_ecrs_digest(
    app: BuiltApp, docker: engines.DockerEngine, ecr: Any, registry: Running, tmp_path: Path
) -> None:
    [image] = [
        it
        for it in ecr.describe_images(repositoryName="app")["imageDetails"]
        if it.get("imageTags")
    ]
    assert app.reference == f"{registry.host}/app@{image['imageDigest']}"
    pulled = docker_pull(docker, app, tmp_path)
    assert pulled.returncode == 0, pulled.stderr
    assert f"Digest: {image['imageDigest']}" in pulled.stdout


def test_docker_pull_without_token_is_refused(
    app: BuiltApp, docker: engines.DockerEngine, tmp_path: Path
) -> None:
    # By tag: what the engine has by digest it doesn't ask the registry for.
    name = app.reference.partition("@")[0]
    command = [docker.program, "--config", str(tmp_path), "pull", f"{name}:v1"]
    refused = subprocess.run(command, env=docker.env, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "no basic auth credentials" in refused.stderr


def docker_pull(
    docker: engines.DockerEngine, app: BuiltApp, config: Path
) -> subprocess.CompletedProcess[str]:
    host = app.reference.partition("/")[0]
    login = [
        docker.program,
        "--config",
        str(config),
        "login",
        "--username",
        "AWS",
        "--password-stdin",
        host,
    ]
    subprocess.run(
        login, env=docker.env, input=app.auth[1], capture_output=True, text=True, check=True
    )
    command = [docker.program, "--config", str(config), "pull", app.reference]
    return subprocess.run(command, env=docker.env, capture_output=True, text=True, check=False)


def test_docker_push_follows_ecrs_rules(
    docker: engines.DockerEngine, context: Path, registry: Running, ecr: Any, tmp_path: Path
) -> None:
    ecr.create_repository(repositoryName="pushed", imageTagMutability="IMMUTABLE")
    config = str(tmp_path)
    login = [
        docker.program,
        "--config",
        config,
        "login",
        "--username",
        "AWS",
        "--password-stdin",
        registry.host,
    ]
    password = credentials(ecr)[1]
    subprocess.run(
        login, env=docker.env, input=password, capture_output=True, text=True, check=True
    )

    def push(name: str) -> subprocess.CompletedProcess[str]:
        docker.tag(image_id, name)
        command = [docker.program, "--config", config, "push", name]
        return subprocess.run(command, env=docker.env, capture_output=True, text=True, check=False)

    image_id = docker.build(order(context), {}, [], lambda _line: None)
    process = push(f"{registry.host}/pushed:v1")
    assert process.returncode == 0, process.stderr
    [image] = ecr.describe_images(repositoryName="pushed")["imageDetails"]
    assert f"digest: {image['imageDigest']}" in process.stdout
    (context / "folder" / "page.txt").write_text("two\n")
    image_id = docker.build(order(context), {}, [], lambda _line: None)
    assert (
        "cannot be overwritten because the repository is immutable"
        in push(f"{registry.host}/pushed:v1").stderr
    )
    assert "does not exist in the registry with id" in push(f"{registry.host}/ghost:v1").stderr


def test_skopeo_and_buildah_read_the_pushed_image(
    app: BuiltApp, buildah: engines.BuildahEngine
) -> None:
    skopeo = shutil.which("skopeo")
    if skopeo is None:
        pytest.skip("skopeo is not installed (make tools)")
    credential = ":".join(app.auth)
    command = [
        skopeo,
        "inspect",
        "--tls-verify=false",
        "--creds",
        credential,
        f"docker://{app.reference}",
    ]
    inspected = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )
    assert inspected["Digest"] == app.outcome.digest
    assert "v1" in inspected["RepoTags"]
    pull = [*buildah.base, "pull", "--tls-verify=false", "--creds", credential, app.reference]
    subprocess.run(pull, capture_output=True, text=True, check=True)
    assert buildah.has(app.reference)
