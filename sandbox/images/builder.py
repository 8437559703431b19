"""Builds an image and pushes it to the sandbox's registry, or reports why it is not built."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from urllib.parse import urlsplit

import requests

from sandbox.images import debian_base, engines
from sandbox.images.archive import OciImage, oci_image
from sandbox.images.build_context import context_digest
from sandbox.images.build_request import BuildError, BuildRequest, BuildResult, BuildSecret
from sandbox.images.push import Destination
from sandbox.images.sbom import SPDX, sbom
from sandbox.runtime.home import user_cache

# Docker's name of this machine's architecture.
MACHINE_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(
    platform.machine(), platform.machine()
)
_EMULATORS = {"arm64": "qemu-aarch64", "amd64": "qemu-x86_64", "arm": "qemu-arm"}
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_REGISTRY_SECONDS = 10.0


def image_cache() -> Path:
    """Return the user's directory of builds, which all sandboxes of this machine share."""
    return user_cache() / "images"


class Builder:
    """Builds with a cache of the engine's store, base images and compressed layers.

    Processes may share the cache; one of them builds at a time. `bases` is another directory for
    the base images.
    """

    def __init__(self, cache: Path, bases: Path | None = None) -> None:
        self._cache = cache
        self._bases = bases or cache / "bases"
        self._lock = threading.Lock()

    def engine(self) -> engines.Engine | engines.NoEngine:
        """Detect the engine again: a Docker engine may have started or stopped."""
        return engines.detect(self._cache / "store")

    def problem(self, request: BuildRequest) -> str | None:
        """Return why this request cannot be built here, or None."""
        return _problem(self.engine(), request)

    def build(
        self,
        request: BuildRequest,
        destination: Destination | None,
        tag: str | None,
        log: engines.Log = lambda _line: None,
    ) -> BuildResult:
        """Build the image and push it under `tag` with its SBOM; without a destination, only build.

        An engine that stops during the build is replaced by another one, if there is one.
        Raises BuildError when the engine fails or the registry refuses.
        """
        engine, notes = self.engine(), list[str]()
        while True:
            problem = _problem(engine, request)
            if isinstance(engine, engines.NoEngine) or problem is not None:
                digest = f"sha256:{context_digest(request.context, request.dockerfile)}"
                problem = "; ".join([*notes, problem or ""])
                return BuildResult(digest=digest, builder="none", not_built=problem)
            try:
                return self._build(engine, request, destination, tag, log, notes)
            except (BuildError, OSError):
                following = self.engine()
                if following == engine:  # it works: the build itself is at fault
                    raise
                notes = [f"{engine.name} stopped during the build"]
                engine = following

    def _build(
        self,
        engine: engines.Engine,
        request: BuildRequest,
        destination: Destination | None,
        tag: str | None,
        log: engines.Log,
        notes: list[str],
    ) -> BuildResult:
        with self._lock, _exclusive(self._cache / "lock", log):
            args = self._arguments(request, engine, notes)
            record = self._layers / f"order-{_key(request, args, engine)}.json"
            image = OciImage.load(record, self._layers)
            if image is None:
                image_id = engine.build(request, args, _secrets(), log)
                image = self._export(engine, image_id, request, args)
                image.save(record)
            if destination is not None:
                destination.push(image, tag)
                destination.attach(image, SPDX, self.sbom(image, request.epoch))
        return BuildResult(digest=image.digest, builder=engine.name, notes=tuple(notes))

    def sbom(self, image: OciImage, epoch: int) -> bytes:
        """Return the image's SBOM, generated once."""
        path = self._layers / f"bill-{image.digest.removeprefix('sha256:')}.spdx.json"
        if not path.exists():
            path.write_bytes(sbom(image, epoch))
        return path.read_bytes()

    @property
    def _layers(self) -> Path:
        directory = self._cache / "layers"
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def _export(
        self, engine: engines.Engine, image_id: str, request: BuildRequest, args: Mapping[str, str]
    ) -> OciImage:
        images = _base_images(request.dockerfile, args)
        base_layers = {layer for image in images for layer in engine.layers(image)}
        with tempfile.TemporaryDirectory(dir=self._cache) as directory:
            archive = Path(directory) / "image.tar"
            engine.save(image_id, archive)
            return oci_image(archive, self._layers, base_layers=base_layers, epoch=request.epoch)

    def _arguments(
        self, request: BuildRequest, engine: engines.Engine, notes: list[str]
    ) -> dict[str, str]:
        """Return the build arguments, with a local base image in place of an unreachable one."""
        args = dict(request.args)
        declared = _declared_args(request.dockerfile)
        if "SOURCE_DATE_EPOCH" in declared:
            args.setdefault("SOURCE_DATE_EPOCH", str(request.epoch))
        image = args.get("BASE_IMAGE", declared.get("BASE_IMAGE"))
        if not image or _registry_responds(image) or engine.has(image):
            return args
        local = debian_base.local_base(self._bases, request.architecture)
        for name, tar in (("BASE_IMAGE", local.base), ("BUILDER_IMAGE", local.builder)):
            if name in declared:
                args[name] = f"localhost/sandbox-{name.partition('_')[0].lower()}:{local.key}"
                if not engine.has(args[name]):
                    engine.load(tar, args[name])
        notes.append(
            f"the registry of the base image {image.partition('@')[0]} does not respond; "
            f"the base image {args['BASE_IMAGE']} of this machine's Debian packages is used instead"
        )
        return args


@contextmanager
def _exclusive(path: Path, log: engines.Log) -> Iterator[None]:
    """Wait for the builds of other processes, which would compete for one store."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            log("waiting for another image build on this machine")
            flock(lock, LOCK_EX)
        yield


def _key(request: BuildRequest, args: Mapping[str, str], engine: engines.Engine) -> str:
    """Hash everything that determines an image; equal keys need no second build."""
    parts = (
        engine.name,
        context_digest(request.context, request.dockerfile),
        sorted(args.items()),
        request.platform,
        request.target,
        request.network,
        request.hosts,
        request.epoch,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _problem(engine: engines.Engine | engines.NoEngine, request: BuildRequest) -> str | None:
    if isinstance(engine, engines.NoEngine):
        return f"{engine.reason}; `make tools` installs a builder"
    architecture = request.architecture
    emulator = _EMULATORS.get(architecture, f"qemu-{architecture}")
    if (
        architecture == MACHINE_ARCHITECTURE
        or (Path("/proc/sys/fs/binfmt_misc") / emulator).exists()
    ):
        return None
    return (
        f"an image for {architecture} needs {architecture} programs to run while it is built, and "
        f"this {MACHINE_ARCHITECTURE} machine has no emulation for them (apt-get install "
        "--no-install-recommends qemu-user-static binfmt-support)"
    )


def _declared_args(dockerfile: Path) -> dict[str, str]:
    """Return the name and default ("" without) of each ARG; the first declaration wins."""
    pattern = r"^\s*ARG\s+(\w+)(?:=(\S*))?"
    text = dockerfile.read_text(encoding="utf-8")
    declarations = re.findall(pattern, text, re.IGNORECASE | re.MULTILINE)
    return {name: default.strip("\"'") for name, default in reversed(declarations)}


def _base_images(dockerfile: Path, args: Mapping[str, str]) -> list[str]:
    """Return the images in the FROM instructions of the Dockerfile."""
    values = {**_declared_args(dockerfile), **args}
    pattern = r"^\s*FROM\s+(?:--\S+\s+)*(\S+)"
    text = dockerfile.read_text(encoding="utf-8")
    images = re.findall(pattern, text, re.IGNORECASE | re.MULTILINE)
    return [re.sub(r"\$\{?(\w+)\}?", lambda it: values.get(it[1], ""), image) for image in images]


def _secrets() -> list[BuildSecret]:
    """Return the host's certificates and pip configuration, for builds behind a proxy or mirror."""
    secrets = []
    bundle = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or _CERTIFICATES
    if Path(bundle).is_file():
        secrets.append(BuildSecret(name="ca.pem", path=Path(bundle)))
    for path in (Path(os.environ.get("PIP_CONFIG_FILE", "/nonexistent")), Path("/etc/pip.conf")):
        if path.is_file():
            secrets.append(BuildSecret(name="pip.conf", path=path))
            break
    return secrets


_responses: dict[str, bool] = {}


def _registry_responds(image: str) -> bool:
    """Return whether the image's registry responds; queried once per registry and process."""
    first, _, rest = image.partition("/")
    has_host = bool(rest) and ("." in first or ":" in first or first == "localhost")
    host = first if has_host else "registry-1.docker.io"
    if host not in _responses:
        loopback = urlsplit(f"//{host}").hostname in {"localhost", "127.0.0.1"}
        try:
            url = f"{'http' if loopback else 'https'}://{host}/v2/"
            _responses[host] = requests.get(url, timeout=_REGISTRY_SECONDS).status_code in {
                200,
                401,
            }
        except requests.RequestException:
            _responses[host] = False
    return _responses[host]
