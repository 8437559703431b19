"""What a Dockerfile's last stage says about running its image: environment, command, files."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path, PurePosixPath

from dockerfile_parse import DockerfileParser

from sandbox.images.image_sources import ImageSource

_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))")
_REQUIREMENTS = re.compile(r"(?:-r|--requirement)[ =]?(\S+)")


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """Configuration of an image; `requirements` are files of the build context."""

    environment: dict[str, str]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    working_directory: str
    requirements: tuple[Path, ...]


def read(source: ImageSource) -> ImageConfig:
    """Read the configuration from an image's sources. Raises ValueError for an invalid Dockerfile.

    Instructions that run programs (RUN) have no effect besides the requirements files they name.
    """
    parser = _parser(source)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    variables: dict[str, str] = {}
    directory = PurePosixPath("/")
    for instruction, value in _last_stage(parser):
        match instruction:
            case "ENTRYPOINT":
                entrypoint, command = _argv(value), ()
            case "CMD":
                command = _argv(value)
            case "WORKDIR":
                directory /= _expand(value.strip(), variables)
            case "ARG":
                for name, default in _assignments(value):
                    variables[name] = source.args.get(name, _expand(default, variables))
            case "ENV":
                for name, text in _assignments(value):
                    environment[name] = variables[name] = _expand(text, variables)
    return ImageConfig(
        environment=environment,
        entrypoint=entrypoint,
        command=command,
        working_directory=str(directory),
        requirements=_requirements(parser, source),
    )


def copy_files(source: ImageSource, root: Path) -> None:
    """Copy to `root` the files of the build context that the last stage copies."""
    directory = PurePosixPath("/")
    for instruction, value in _last_stage(_parser(source)):
        if instruction == "WORKDIR":
            directory /= value.strip()
        elif instruction in {"COPY", "ADD"}:
            words = [json.loads(value)] if value.startswith("[") else [shlex.split(value)]
            options = [word for word in words[0] if word.startswith("--")]
            paths = [word for word in words[0] if not word.startswith("--")]
            if any(option.startswith("--from") for option in options) or len(paths) < 2:
                continue
            *patterns, target = paths
            for pattern in patterns:
                _copy(source.context, pattern, target, root, directory)
    (root / str(directory).lstrip("/")).mkdir(parents=True, exist_ok=True)


def _copy(context: Path, pattern: str, target: str, root: Path, directory: PurePosixPath) -> None:
    destination = root / str(directory / target).lstrip("/")
    pattern = pattern.lstrip("/").removeprefix("./") or "."
    matches = [context] if pattern == "." else sorted(context.glob(pattern))
    for path in matches:
        if path.is_dir():
            shutil.copytree(path, destination, symlinks=True, dirs_exist_ok=True)
            continue
        into = target.endswith("/") or len(matches) > 1 or destination.is_dir()
        file = destination / path.name if into else destination
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, file, follow_symlinks=False)


def _parser(source: ImageSource) -> DockerfileParser:
    return DockerfileParser(
        fileobj=StringIO(source.dockerfile.read_text(encoding="utf-8")), env_replace=False
    )


def _assignments(value: str) -> list[tuple[str, str]]:
    """Return names and values of an ENV or ARG instruction, in either form of ENV."""
    words = shlex.split(value)
    if words and "=" not in words[0] and len(words) > 1 and "=" not in words[1]:
        return [(words[0], value.partition(words[0])[2].strip())]
    return [(name, text) for name, _, text in (word.partition("=") for word in words)]


def _expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace $NAME, ${NAME} and ${NAME:-default}."""

    def value(match: re.Match[str]) -> str:
        return variables.get(match[1] or match[3], "") or match[2] or ""

    return _VARIABLE.sub(value, text)


def _last_stage(parser: DockerfileParser) -> list[tuple[str, str]]:
    stage: list[tuple[str, str]] = []
    for entry in parser.structure:
        instruction = entry["instruction"].upper()
        if instruction == "FROM":
            stage = []
        else:
            stage.append((instruction, entry["value"]))
    return stage


def _argv(value: str) -> tuple[str, ...]:
    """Return the exec form, or the shell form's `/bin/sh -c`."""
    if value.lstrip().startswith("["):
        try:
            return tuple(str(word) for word in json.loads(value))
        except ValueError:
            pass
    return ("/bin/sh", "-c", value)


def _requirements(parser: DockerfileParser, source: ImageSource) -> tuple[Path, ...]:
    named = [
        PurePosixPath(match).name
        for entry in parser.structure
        if entry["instruction"].upper() == "RUN"
        for match in _REQUIREMENTS.findall(entry["value"])
    ]
    candidates = {
        path for name in named or ["requirements.txt"] for path in source.context.rglob(name)
    }
    return tuple(sorted(candidates))
