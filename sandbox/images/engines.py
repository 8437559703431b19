"""The programs that build images: a Docker engine with BuildKit, or buildah; found by trying, not by name."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sandbox.images.build_request import BuildError, Order, Secret

# How long a question to a builder may take; a build may take as long as it takes.
QUESTION_SECONDS = 60
Log = Callable[[str], None]


class Engine(Protocol):
    """Builds into a local store, and hands images out as an archive of uncompressed layers."""

    name: str

    def build(self, order: Order, args: Mapping[str, str], secrets: Sequence[Secret], log: Log) -> str:
        """Build and return the local image's id. Raises BuildError."""
        ...

    def load(self, tar: Path, tag: str) -> None:
        """Make a one-layer image of a tar of a file system."""
        ...

    def has(self, reference: str) -> bool:
        """Tell whether the image is in the local store."""
        ...

    def layers(self, reference: str) -> list[str]:
        """Return the digests of a local image's uncompressed layers, lowest first; empty when it isn't there."""
        ...

    def save(self, image_id: str, tar: Path) -> None:
        """Write the image as a Docker archive."""
        ...


@dataclass(frozen=True)
class Absent:
    """No builder works here, and why, in plain words."""

    reason: str


@dataclass
class DockerEngine:
    """A Docker engine through a command line that has BuildKit."""

    program: str
    environment: Mapping[str, str] = field(default_factory=dict)
    name: str = "Docker"

    def build(self, order: Order, args: Mapping[str, str], secrets: Sequence[Secret], log: Log) -> str:
        """Build with BuildKit; its cache is the engine's."""
        command = [self.program, "build", "--progress=plain", *_options(order, args, secrets)]
        command += [f"--add-host={host}" for host in order.hosts]
        command += [f"--cache-from={image}" for image in order.cache_from]
        # A pull policy isn't set: BuildKit takes a local base before it asks a registry.
        with tempfile.TemporaryDirectory(prefix="build-") as folder:
            id_file = Path(folder) / "id"
            _run([*command, "--iidfile", str(id_file), str(order.context)], self.env, log)
            return id_file.read_text().strip()

    def load(self, tar: Path, tag: str) -> None:
        """Import a file system; the PATH is what Docker's own base images have."""
        _run([self.program, "import", "--change", f"ENV PATH={SEARCH_PATH}", str(tar), tag], self.env)

    def has(self, reference: str) -> bool:
        """Ask the engine."""
        return _answers([self.program, "image", "inspect", reference], self.env)

    def layers(self, reference: str) -> list[str]:
        """Ask the engine."""
        text = _output([self.program, "image", "inspect", "--format", "{{json .RootFS.Layers}}", reference], self.env)
        return list(json.loads(text)) if text else []

    def tag(self, image_id: str, name: str) -> None:
        """Name a local image."""
        _run([self.program, "tag", image_id, name], self.env)

    def works(self) -> bool:
        """Tell whether this command line reaches its engine and has BuildKit."""
        return docker_trouble(self.program, self.env) is None

    def save(self, image_id: str, tar: Path) -> None:
        """Write what `docker save` writes."""
        _run([self.program, "save", "--output", str(tar), image_id], self.env)

    @property
    def env(self) -> dict[str, str]:
        """The environment that docker is run in."""
        return {**os.environ, **self.environment, "DOCKER_BUILDKIT": "1"}


@dataclass
class BuildahEngine:
    """buildah, without a daemon, with a store of its own under `storage`."""

    program: str
    storage: Path
    name: str = "buildah"

    def build(self, order: Order, args: Mapping[str, str], secrets: Sequence[Secret], log: Log) -> str:
        """Build in a chroot, which needs no more rights than the files do; the host's network is the build's."""
        options = ["--isolation", "chroot", "--layers", "--format", "docker", "--identity-label=false"]
        options += _options(order, args, secrets)
        options += [f"--add-host={host}" for host in order.hosts]
        with tempfile.TemporaryDirectory(prefix="build-") as folder:
            id_file, dockerfile = Path(folder) / "id", Path(folder) / "Dockerfile"
            dockerfile.write_text(expanded(order.dockerfile.read_text(encoding="utf-8"), args), encoding="utf-8")
            options += ["--iidfile", str(id_file), "--file", str(dockerfile)]
            try:
                _run([*self.base, "build", *options, str(order.context)], None, log)
            except BuildError:
                # A failed build leaves its working containers behind, and their mounts with them.
                _output([*self.base, "rm", "--all"])
                raise
            return id_file.read_text().strip()

    def load(self, tar: Path, tag: str) -> None:
        """Add the file system to an image from scratch."""
        dockerfile = tar.with_name("Dockerfile.import")
        dockerfile.write_text(f"FROM scratch\nADD {tar.name} /\nENV PATH={SEARCH_PATH}\n")
        options = ["--isolation", "chroot", "--timestamp", "0", "--file", str(dockerfile), "--tag", tag]
        _run([*self.base, "build", *options, str(tar.parent)])

    def has(self, reference: str) -> bool:
        """Ask the store."""
        return _answers([*self.base, "inspect", "--type", "image", reference])

    def layers(self, reference: str) -> list[str]:
        """Ask the store."""
        text = _output([*self.base, "inspect", "--type", "image", reference])
        return list(json.loads(text)["OCIv1"]["rootfs"]["diff_ids"]) if text else []

    def save(self, image_id: str, tar: Path) -> None:
        """Write a Docker archive, as `docker save` would."""
        tar.unlink(missing_ok=True)
        _run([*self.base, "push", "--quiet", image_id, f"docker-archive:{tar}"])

    @property
    def base(self) -> list[str]:
        """The command line up to buildah's verb: the program and where its store is."""
        # Native overlay mounts need root; vfs copies, but works for everybody.
        driver = "overlay" if os.geteuid() == 0 else "vfs"
        home = self.storage / driver
        return [self.program, "--storage-driver", driver, "--root", str(home / "root"), "--runroot", str(home / "run")]


SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find(storage: Path) -> Engine | Absent:
    """Return the best builder that works on this machine, or what is in the way of each."""
    reasons: list[str] = []
    for program in docker_programs():
        if (reason := docker_trouble(program)) is None:
            return DockerEngine(program)
        reasons.append(reason)
    if (buildah := shutil.which("buildah")) is not None:
        return BuildahEngine(buildah, storage)
    reasons.append("buildah is not installed")
    return Absent("; ".join(dict.fromkeys(reasons)))


def docker_trouble(program: str, environment: Mapping[str, str] | None = None) -> str | None:
    """Return why this Docker command line can't build for us, or None when it can."""
    text = _output([program, "version", "--format", "{{.Client.Version}} {{.Server.Version}}"], environment)
    if text is None:
        return f"{program} reaches no Docker engine"
    client = int(text.split(".", 1)[0])
    # Command lines before 23 have BuildKit inside; later ones need the buildx plugin for it.
    if client >= 23 and _output([program, "buildx", "version"], environment) is None:
        return f"{program} has no BuildKit (the buildx plugin is missing)"
    return None


def expanded(dockerfile: str, args: Mapping[str, str]) -> str:
    """Put the values of `args` into the Dockerfile's ENV and LABEL instructions.

    buildah 1.28 takes these two from its cache by their text alone, so that `LABEL revision=${REVISION}` would stay what
    it was at the first build. RUN is taken from the cache by the values too.
    """

    def put(instruction: re.Match[str]) -> str:
        return re.sub(r"(?<!\\)\$(?:\{(\w+)\}|(\w+))", lambda it: args.get(it[1] or it[2], it[0]), instruction[0])

    return re.sub(r"^[ \t]*(?:ENV|LABEL)\s(?:.*\\\n)*.*", put, dockerfile, flags=re.IGNORECASE | re.MULTILINE)


def docker_programs() -> list[str]:
    """Return every docker on the PATH, as the first may be one without BuildKit."""
    found = [str(Path(folder) / "docker") for folder in os.get_exec_path() if (Path(folder) / "docker").is_file()]
    distinct = {str(Path(program).resolve()): program for program in reversed(found)}
    return [program for program in found if program in distinct.values()]


def _options(order: Order, args: Mapping[str, str], secrets: Sequence[Secret]) -> list[str]:
    options = ["--platform", order.platform]
    options += [f"--build-arg={name}={value}" for name, value in sorted(args.items())]
    options += [f"--secret=id={secret.name},src={secret.path}" for secret in secrets]
    options += [f"--target={order.target}"] if order.target else []
    options += [f"--network={order.network}"] if order.network else []
    return options


def _answers(command: Sequence[str], environment: Mapping[str, str] | None = None) -> bool:
    return _output(command, environment) is not None


def _output(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str | None:
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=QUESTION_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _run(command: Sequence[str], environment: Mapping[str, str] | None = None, log: Log | None = None) -> str:
    """Run to the end, handing each line to `log`. Raises BuildError with the last lines."""
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    lines: list[str] = []
    assert process.stdout is not None  # noqa: S101 -- a pipe was asked for
    for line in process.stdout:
        lines.append(line.rstrip())
        if log is not None and lines[-1]:
            log(lines[-1])
    if process.wait() != 0:
        last = " / ".join(line for line in lines[-12:] if line)
        raise BuildError(f"`{Path(command[0]).name} {_verb(command)}` failed with code {process.returncode}: {last}")
    return "\n".join(lines)


def _verb(command: Sequence[str]) -> str:
    return next((part for part in command[1:] if part in {"build", "import", "save", "push", "inspect", "image"}), "")
