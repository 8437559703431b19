"""Build engines: Docker with BuildKit, or buildah, detected by running them."""

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

from sandbox.images.build_context import ignore_file
from sandbox.images.build_request import BuildError, BuildRequest, BuildSecret

# Limits a query to an engine; a build has no limit.
QUERY_SECONDS = 60
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Log = Callable[[str], None]


class Engine(Protocol):
    """Builds into a local image store and exports images as archives of uncompressed layers."""

    name: str

    def build(
        self,
        request: BuildRequest,
        args: Mapping[str, str],
        secrets: Sequence[BuildSecret],
        log: Log,
    ) -> str:
        """Build and return the local image's ID. Raises BuildError."""
        ...

    def load(self, tar: Path, tag: str) -> None:
        """Create a one-layer image from a file system's tar."""
        ...

    def has(self, reference: str) -> bool:
        """Return whether the local store contains the image."""
        ...

    def layers(self, reference: str) -> list[str]:
        """Return a local image's diff IDs, lowest layer first; empty without the image."""
        ...

    def save(self, image_id: str, tar: Path) -> None:
        """Write the image as a Docker archive."""
        ...


@dataclass(frozen=True)
class NoEngine:
    """No engine works on this machine, for `reason`."""

    reason: str


@dataclass
class DockerEngine:
    """A Docker engine through a command line that has BuildKit."""

    program: str
    environment: Mapping[str, str] = field(default_factory=dict)
    name: str = "Docker"

    def build(
        self,
        request: BuildRequest,
        args: Mapping[str, str],
        secrets: Sequence[BuildSecret],
        log: Log,
    ) -> str:
        """Build with BuildKit and the engine's own cache."""
        options = _build_options(request, request.dockerfile, args, secrets)
        options += [f"--cache-from={image}" for image in request.cache_from]
        # No pull policy: BuildKit uses a local base image before it queries a registry.
        with tempfile.TemporaryDirectory(prefix="build-") as directory:
            id_file = Path(directory) / "id"
            command = [self.program, "build", "--progress=plain", *options]
            _run([*command, "--iidfile", str(id_file), str(request.context)], self.env, log)
            return id_file.read_text().strip()

    def load(self, tar: Path, tag: str) -> None:
        """Import a file system with the PATH of Docker's own base images."""
        change = f"ENV PATH={SEARCH_PATH}"
        _run([self.program, "import", "--change", change, str(tar), tag], self.env)

    def has(self, reference: str) -> bool:
        """Inspect the image."""
        return _output([self.program, "image", "inspect", reference], self.env) is not None

    def layers(self, reference: str) -> list[str]:
        """Inspect the image."""
        template = "{{json .RootFS.Layers}}"
        command = [self.program, "image", "inspect", "--format", template, reference]
        text = _output(command, self.env)
        return list(json.loads(text)) if text else []

    def tag(self, image_id: str, name: str) -> None:
        """Tag a local image."""
        _run([self.program, "tag", image_id, name], self.env)

    def works(self) -> bool:
        """Return whether this command line reaches its engine and has BuildKit."""
        return docker_problem(self.program, self.env) is None

    def save(self, image_id: str, tar: Path) -> None:
        """Run `docker save`."""
        _run([self.program, "save", "--output", str(tar), image_id], self.env)

    @property
    def env(self) -> dict[str, str]:
        """The environment of each docker process."""
        return {**os.environ, **self.environment, "DOCKER_BUILDKIT": "1"}


@dataclass
class BuildahEngine:
    """buildah, which needs no daemon, with its own store under `storage`."""

    program: str
    storage: Path
    name: str = "buildah"

    def build(
        self,
        request: BuildRequest,
        args: Mapping[str, str],
        secrets: Sequence[BuildSecret],
        log: Log,
    ) -> str:
        """Build in a chroot, which needs no privileges, with the host's network."""
        fixed = ["--isolation", "chroot", "--layers", "--format", "docker"]
        with tempfile.TemporaryDirectory(prefix="build-") as directory:
            id_file, dockerfile = Path(directory) / "id", Path(directory) / "Dockerfile"
            text = request.dockerfile.read_text(encoding="utf-8")
            dockerfile.write_text(expand_variables(text, args), encoding="utf-8")
            options = [*fixed, "--identity-label=false"]
            options += _build_options(request, dockerfile, args, secrets)
            # The copied Dockerfile is no longer beside its own ignore file.
            if (ignore := ignore_file(request.context, request.dockerfile)) is not None:
                options.append(f"--ignorefile={ignore}")
            options += ["--iidfile", str(id_file)]
            try:
                _run([*self.base, "build", *options, str(request.context)], None, log)
            except BuildError:
                # Removes the working containers, and their mounts, of a failed build.
                _output([*self.base, "rm", "--all"])
                raise
            return id_file.read_text().strip()

    def load(self, tar: Path, tag: str) -> None:
        """Add the file system to an image from scratch."""
        dockerfile = tar.with_name("Dockerfile.import")
        dockerfile.write_text(f"FROM scratch\nADD {tar.name} /\nENV PATH={SEARCH_PATH}\n")
        options = ["--isolation", "chroot", "--timestamp", "0"]
        options += ["--file", str(dockerfile), "--tag", tag]
        _run([*self.base, "build", *options, str(tar.parent)])

    def has(self, reference: str) -> bool:
        """Inspect the image."""
        return _output([*self.base, "inspect", "--type", "image", reference]) is not None

    def layers(self, reference: str) -> list[str]:
        """Inspect the image."""
        text = _output([*self.base, "inspect", "--type", "image", reference])
        return list(json.loads(text)["OCIv1"]["rootfs"]["diff_ids"]) if text else []

    def save(self, image_id: str, tar: Path) -> None:
        """Write a Docker archive, as `docker save` does."""
        tar.unlink(missing_ok=True)
        _run([*self.base, "push", "--quiet", image_id, f"docker-archive:{tar}"])

    @property
    def base(self) -> list[str]:
        """The command line before buildah's verb."""
        # Native overlay mounts need root; vfs copies files and works for every user.
        driver = "overlay" if os.geteuid() == 0 else "vfs"
        home = self.storage / driver
        stores = ["--root", str(home / "root"), "--runroot", str(home / "run")]
        return [self.program, "--storage-driver", driver, *stores]


def detect(storage: Path) -> Engine | NoEngine:
    """Return the first engine that works on this machine, or why none does."""
    reasons: list[str] = []
    for program in docker_programs():
        if (reason := docker_problem(program)) is None:
            return DockerEngine(program)
        reasons.append(reason)
    if (buildah := shutil.which("buildah")) is not None:
        return BuildahEngine(buildah, storage)
    reasons.append("buildah is not installed")
    return NoEngine("; ".join(dict.fromkeys(reasons)))


def docker_problem(program: str, environment: Mapping[str, str] | None = None) -> str | None:
    """Return why this Docker command line cannot build, or None."""
    names = "{{range .Server.Components}} {{.Name}}{{end}}"
    template = f"{{{{.Client.Version}}}} {{{{.Server.Version}}}}{names}"
    versions = _output([program, "version", "--format", template], environment)
    if versions is None:
        return f"{program} reaches no Docker engine"
    if "podman" in versions.lower():
        return f"{program} reaches Podman, which has no BuildKit"
    client = int(versions.split(".", 1)[0])
    # Command lines before 23 include BuildKit; later ones need the buildx plugin.
    if client >= 23 and _output([program, "buildx", "version"], environment) is None:
        return f"{program} has no BuildKit (the buildx plugin is missing)"
    return None


def docker_programs() -> list[str]:
    """Return every docker on the PATH; the first may lack BuildKit."""
    # Not Path.is_file, which raises for a directory that this user may not read.
    paths = (shutil.which("docker", path=directory) for directory in os.get_exec_path())
    programs = [path for path in paths if path is not None]
    distinct = {str(Path(program).resolve()): program for program in reversed(programs)}
    return [program for program in programs if program in distinct.values()]


def expand_variables(dockerfile: str, args: Mapping[str, str]) -> str:
    """Substitute `args` in the Dockerfile's ENV and LABEL instructions.

    buildah 1.28 caches these two by their text alone, so `LABEL revision=${REVISION}` would keep
    its first value. It caches RUN by the values too.
    """

    def substitute(instruction: re.Match[str]) -> str:
        variable = r"(?<!\\)\$(?:\{(\w+)\}|(\w+))"
        return re.sub(variable, lambda it: args.get(it[1] or it[2], it[0]), instruction[0])

    instructions = r"^[ \t]*(?:ENV|LABEL)\s(?:.*\\\n)*.*"
    return re.sub(instructions, substitute, dockerfile, flags=re.IGNORECASE | re.MULTILINE)


def _build_options(
    request: BuildRequest, dockerfile: Path, args: Mapping[str, str], secrets: Sequence[BuildSecret]
) -> list[str]:
    """Return the options that both engines take."""
    options = [f"--file={dockerfile}", f"--platform={request.platform}"]
    options += [f"--build-arg={name}={value}" for name, value in sorted(args.items())]
    options += [f"--secret=id={secret.name},src={secret.path}" for secret in secrets]
    options += [f"--target={request.target}"] if request.target else []
    options += [f"--network={request.network}"] if request.network else []
    return options + [f"--add-host={host}" for host in request.hosts]


def _output(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str | None:
    """Return a query's output, or None if it fails."""
    try:
        process = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=QUERY_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return process.stdout.strip() if process.returncode == 0 else None


def _run(
    command: Sequence[str], environment: Mapping[str, str] | None = None, log: Log | None = None
) -> None:
    """Run a command and pass each output line to `log`. Raises BuildError with the last lines."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines: list[str] = []
    for line in process.stdout or ():
        lines.append(line.rstrip())
        if log is not None and lines[-1]:
            log(lines[-1])
    if process.wait() != 0:
        last = " / ".join(line for line in lines[-12:] if line)
        verbs = {"build", "import", "save", "push", "inspect", "image"}
        verb = next((part for part in command[1:] if part in verbs), "")
        code = process.returncode
        raise BuildError(f"`{Path(command[0]).name} {verb}` failed with code {code}: {last}")
