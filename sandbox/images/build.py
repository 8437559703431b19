"""Builds an image and pushes it to the sandbox's registry; where that can't be done, says "not built" and why."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import requests

from sandbox.images import context, debian_base, engines
from sandbox.images.archive import OciImage, oci_image
from sandbox.images.build_request import Order, Outcome, Secret
from sandbox.images.publish import Destination
from sandbox.images.sbom import SPDX, sbom

# Debian's and Docker's names of this machine's architecture.
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_EMULATORS = {"arm64": "qemu-aarch64", "amd64": "qemu-x86_64", "arm": "qemu-arm"}
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_REGISTRY_SECONDS = 10.0


class Builder:
    """Builds for one sandbox; everything it keeps (builder's store, compressed layers) is under `home`.

    Local base images are kept under `bases`, by default there too.
    """

    def __init__(self, home: Path, bases: Path | None = None) -> None:
        self._home = home
        self._bases = bases or home / "bases"
        self._lock = threading.Lock()

    def engine(self) -> engines.Engine | engines.Absent:
        """Return what builds here, looked up anew: a Docker engine may have come or gone."""
        return engines.find(self._home / "store")

    def obstacle(self, order: Order) -> str | None:
        """Return in plain words why this order can't be built here, or None."""
        return _obstacle(self.engine(), order)

    def build(
        self, order: Order, destination: Destination | None, tag: str | None, log: engines.Log = lambda _line: None
    ) -> Outcome:
        """Build the image and push it under `tag`, with its SBOM beside it; without a destination, only build.

        Raises BuildError when a builder is there but fails, or the registry refuses.
        """
        engine = self.engine()
        if isinstance(engine, engines.Absent) or _foreign(order.architecture) is not None:
            digest = f"sha256:{context.digest(order.context, order.dockerfile)}"
            return Outcome(digest=digest, builder="none", not_built=_obstacle(engine, order))
        notes: list[str] = []
        with self._lock:  # one build at a time: two would fight for the same two cores and one store
            args = self._arguments(order, engine, notes)
            memory = self._layers / f"order-{_key(order, args, engine)}.json"
            image = OciImage.remembered(memory, self._layers)
            if image is None:
                image = self._image(engine, engine.build(order, args, _secrets(), log), order, args)
                image.remember(memory)
            if destination is not None:
                destination.push(image, tag)
                destination.attach(image, SPDX, self.bill(image, order.epoch))
        return Outcome(digest=image.digest, builder=engine.name, notes=tuple(notes))

    def bill(self, image: OciImage, epoch: int) -> bytes:
        """Return the image's SBOM, made once."""
        known = self._layers / f"bill-{image.digest.removeprefix('sha256:')}.spdx.json"
        if not known.exists():
            known.write_bytes(sbom(image, epoch))
        return known.read_bytes()

    @property
    def _layers(self) -> Path:
        folder = self._home / "layers"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _image(self, engine: engines.Engine, image_id: str, order: Order, args: Mapping[str, str]) -> OciImage:
        base_layers = {layer for name in _bases(order.dockerfile, args) for layer in engine.layers(name)}
        with tempfile.TemporaryDirectory(dir=self._home) as scratch:
            archive = Path(scratch) / "image.tar"
            engine.save(image_id, archive)
            return oci_image(archive, self._layers, base_layers=base_layers, epoch=order.epoch)

    def _arguments(self, order: Order, engine: engines.Engine, notes: list[str]) -> dict[str, str]:
        """Return the build arguments, with a local base in place of one that can't be pulled here."""
        args = dict(order.args)
        declared = _declared(order.dockerfile)
        if "SOURCE_DATE_EPOCH" in declared:
            args.setdefault("SOURCE_DATE_EPOCH", str(order.epoch))
        wanted = args.get("BASE_IMAGE", declared.get("BASE_IMAGE"))
        if not wanted or _pullable(wanted) or engine.has(wanted):
            return args
        made = debian_base.local_base(self._bases, order.architecture)
        for name, tar in (("BASE_IMAGE", made.base), ("BUILDER_IMAGE", made.builder)):
            if name in declared:
                args[name] = f"localhost/sandbox-{name.partition('_')[0].lower()}:{made.key}"
                if not engine.has(args[name]):
                    engine.load(tar, args[name])
        notes.append(
            f"the base image {wanted.partition('@')[0]} can't be pulled here (its registry does not answer); "
            f"the image stands on a base made of this machine's own Debian packages ({args['BASE_IMAGE']}) instead"
        )
        return args


def _key(order: Order, args: Mapping[str, str], engine: engines.Engine) -> str:
    """Name everything that decides what an image becomes; equal keys need no second build."""
    content = context.digest(order.context, order.dockerfile)
    parts = (engine.name, content, sorted(args.items()), order.platform, order.target, order.network, order.hosts)
    return hashlib.sha256(repr((*parts, order.epoch)).encode()).hexdigest()


def _obstacle(engine: engines.Engine | engines.Absent, order: Order) -> str | None:
    if isinstance(engine, engines.Absent):
        return f"{engine.reason}; `make tools` installs a builder"
    return _foreign(order.architecture)


def _foreign(architecture: str) -> str | None:
    machine = _MACHINES.get(platform.machine(), platform.machine())
    emulator = _EMULATORS.get(architecture, f"qemu-{architecture}")
    if architecture == machine or (Path("/proc/sys/fs/binfmt_misc") / emulator).exists():
        return None
    return (
        f"an image for {architecture} needs {architecture} programs to run while it is built, and this {machine} machine "
        "has no emulation for them (apt-get install --no-install-recommends qemu-user-static binfmt-support)"
    )


def _declared(dockerfile: Path) -> dict[str, str]:
    """Return the ARG lines before and after FROM: name to default ("" without)."""
    found = re.findall(
        r"^\s*ARG\s+(\w+)(?:=(\S*))?", dockerfile.read_text(encoding="utf-8"), re.IGNORECASE | re.MULTILINE
    )
    return {name: default.strip("\"'") for name, default in reversed(found)}


def _bases(dockerfile: Path, args: Mapping[str, str]) -> list[str]:
    """Return the images that the Dockerfile's stages stand on."""
    known = {**_declared(dockerfile), **args}
    found = re.findall(
        r"^\s*FROM\s+(?:--\S+\s+)*(\S+)", dockerfile.read_text(encoding="utf-8"), re.IGNORECASE | re.MULTILINE
    )
    return [re.sub(r"\$\{?(\w+)\}?", lambda name: known.get(name[1], ""), image) for image in found]


def _secrets() -> list[Secret]:
    """The host's certificates and pip configuration, without which a build behind a proxy or mirror reaches no index."""
    found = []
    bundle = Path(os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or _CERTIFICATES)
    if bundle.is_file():
        found.append(Secret(name="ca.pem", path=bundle))
    for path in (Path(os.environ.get("PIP_CONFIG_FILE", "/nonexistent")), Path("/etc/pip.conf")):
        if path.is_file():
            found.append(Secret(name="pip.conf", path=path))
            break
    return found


_reachable: dict[str, bool] = {}


def _pullable(image: str) -> bool:
    """Tell whether the image's registry answers; asked once per registry and process."""
    first, _, rest = image.partition("/")
    named = bool(rest) and ("." in first or ":" in first or first == "localhost")
    host = first if named else "registry-1.docker.io"
    if host not in _reachable:
        scheme = "http" if urlsplit(f"//{host}").hostname in {"localhost", "127.0.0.1"} else "https"
        try:
            answer = requests.get(f"{scheme}://{host}/v2/", timeout=_REGISTRY_SECONDS)
            _reachable[host] = answer.status_code in {200, 401}
        except requests.RequestException:
            _reachable[host] = False
    return _reachable[host]
