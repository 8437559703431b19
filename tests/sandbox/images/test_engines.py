"""Each build option reaches each engine's command line; the programs are recorded, not run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.images import BuildRequest, engines
from sandbox.images.build_request import BuildSecret

# Records its arguments and the Dockerfile, and writes the image ID as both programs do.
_PROGRAM = """#!/bin/sh
printf '%s\\n' "$@" > "$0.arguments"
while [ $# -gt 0 ]; do
  case "$1" in
    --iidfile) echo sha256:1234 > "$2" ;;
    --file=*) cat "${1#--file=}" > "$0.dockerfile" ;;
  esac
  shift
done
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_text(_PROGRAM)
    path.chmod(0o755)
    return path


@pytest.fixture(params=["docker", "buildah"])
def engine(request: pytest.FixtureRequest, program: Path, tmp_path: Path) -> engines.Engine:
    if request.param == "docker":
        return engines.DockerEngine(str(program))
    return engines.BuildahEngine(str(program), tmp_path / "store")


@pytest.fixture
def context(tmp_path: Path) -> Path:
    directory = tmp_path / "context"
    directory.mkdir()
    (directory / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "Dockerfile.release").write_text("FROM scratch AS release\n")
    return directory


def build(engine: engines.Engine, program: Path, context: Path, **options: Any) -> list[str]:
    """Build and return the arguments of the program."""
    values: dict[str, Any] = {"dockerfile": context / "Dockerfile", "platform": "linux/amd64"}
    request = BuildRequest(context=context, **values | options)
    secrets = [BuildSecret(name="pip.conf", path=Path("/etc/pip.conf"))]
    assert engine.build(request, request.args, secrets, lambda _line: None) == "sha256:1234"
    return program.with_name("program.arguments").read_text().splitlines()


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"platform": "linux/arm64"}, "--platform=linux/arm64"),
        ({"args": {"NAME": "value"}}, "--build-arg=NAME=value"),
        ({"target": "release"}, "--target=release"),
        ({"network": "host"}, "--network=host"),
        ({"hosts": ["db:10.0.0.1"]}, "--add-host=db:10.0.0.1"),
        ({}, "--secret=id=pip.conf,src=/etc/pip.conf"),
    ],
)
def test_build_option_is_passed_to_engine(
    engine: engines.Engine, program: Path, context: Path, options: dict[str, Any], argument: str
) -> None:
    arguments = build(engine, program, context, **options)
    assert argument in arguments
    assert arguments[-1] == str(context)


def test_dockerfile_outside_context_is_built(
    engine: engines.Engine, program: Path, context: Path
) -> None:
    build(engine, program, context, dockerfile=context.parent / "Dockerfile.release")
    dockerfile = program.with_name("program.dockerfile").read_text()
    assert dockerfile == "FROM scratch AS release\n"


def test_cache_from_is_passed_to_docker(program: Path, context: Path) -> None:
    docker = engines.DockerEngine(str(program))
    assert "--cache-from=app:v1" in build(docker, program, context, cache_from=["app:v1"])


def test_ignore_file_of_dockerfile_is_passed_to_buildah(program: Path, context: Path) -> None:
    buildah = engines.BuildahEngine(str(program), context.parent / "store")
    assert not [it for it in build(buildah, program, context) if it.startswith("--ignorefile")]
    own = context / "Dockerfile.dockerignore"
    own.write_text("*.md")
    assert f"--ignorefile={own}" in build(buildah, program, context)


def test_arguments_are_substituted_in_env_and_label_for_buildah() -> None:
    dockerfile = "ARG A\nENV X=$A\nLABEL y=${A} \\\n  z=${B}\nRUN echo $A\n"
    expanded = "ARG A\nENV X=1\nLABEL y=1 \\\n  z=${B}\nRUN echo $A\n"
    assert engines.expand_variables(dockerfile, {"A": "1"}) == expanded


def test_command_line_that_reaches_podman_cannot_build(program: Path) -> None:
    program.write_text("#!/bin/sh\necho 20.10.24 4.3.1 Podman Engine Conmon\n")
    problem = engines.docker_problem(str(program))
    assert problem == f"{program} reaches Podman, which has no BuildKit"
