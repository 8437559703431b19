"""Converts a builder's archive to a reproducible OCI image: equal files give an equal digest.

Builders date new files and the image with the time of the build (Docker 20.10 has no
SOURCE_DATE_EPOCH, buildah's --timestamp differs from it). So each layer above the base is rewritten
with dates limited to `epoch` and compressed without a date, and the configuration is reduced to the
fields of OCI's image specification.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
# zlib's default; compression takes half of a first push.
LEVEL = 6


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A compressed layer in the cache: `digest` of the file, `diff_id` of its tar."""

    digest: str
    diff_id: str
    size: int
    path: Path


@dataclass(frozen=True, kw_only=True)
class OciImage:
    """An image that is ready to push."""

    manifest: bytes
    config: bytes
    layers: tuple[Layer, ...]

    @property
    def digest(self) -> str:
        """The manifest's digest."""
        return digest_of(self.manifest)

    def save(self, path: Path) -> None:
        """Write the image's record, which saves a second export."""
        record = {
            "manifest": self.manifest.decode(),
            "config": self.config.decode(),
            "layers": [
                {"digest": it.digest, "diff_id": it.diff_id, "size": it.size} for it in self.layers
            ],
        }
        path.write_text(json.dumps(record))

    @staticmethod
    def load(path: Path, cache: Path) -> OciImage | None:
        """Return the image recorded at `path`; None without it or any of its layers."""
        if not path.exists():
            return None
        record = json.loads(path.read_text())
        layers = tuple(
            Layer(path=cache / it["digest"].removeprefix("sha256:"), **it)
            for it in record["layers"]
        )
        if not all(layer.path.exists() for layer in layers):
            return None
        return OciImage(
            manifest=record["manifest"].encode(), config=record["config"].encode(), layers=layers
        )


def digest_of(data: bytes) -> str:
    """Return the "sha256:…" digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def oci_image(archive: Path, cache: Path, *, base_layers: Collection[str], epoch: int) -> OciImage:
    """Read a Docker archive and return its image; layers in `base_layers` (diff IDs) are unchanged.

    Compressed layers are cached in `cache`.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as tar:
        [entry] = json.load(_member(tar, "manifest.json"))
        config = json.load(_member(tar, entry["Config"]))
        old_ids = config["rootfs"]["diff_ids"]
        layers = tuple(
            _cached(cache, tar, path, old_id, epoch=None if old_id in base_layers else epoch)
            for path, old_id in zip(entry["Layers"], old_ids, strict=True)
        )
    # Layers of the base keep their dates, and so does their history.
    inherited = sum(1 for old_id in old_ids if old_id in base_layers)
    new_config = _encode(
        _configuration(config, [layer.diff_id for layer in layers], epoch, inherited)
    )
    manifest = _encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": CONFIG,
                "digest": digest_of(new_config),
                "size": len(new_config),
            },
            "layers": [{"mediaType": LAYER, "digest": it.digest, "size": it.size} for it in layers],
        }
    )
    return OciImage(manifest=manifest, config=new_config, layers=layers)


def _configuration(
    config: dict[str, Any], diff_ids: list[str], epoch: int, inherited: int
) -> dict[str, Any]:
    moment = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    history, seen = [], 0
    for entry in config.get("history", []):
        # Drops the comment, in which buildah names its intermediate images.
        event = {
            k: v for k, v in entry.items() if k in {"created", "created_by", "empty_layer"} and v
        }
        if seen >= inherited and (seen > 0 or inherited == 0):
            event["created"] = moment
        seen += 0 if entry.get("empty_layer") else 1
        history.append(event)
    top = {key: config[key] for key in ("architecture", "os", "variant") if config.get(key)}
    fields = (
        "User",
        "ExposedPorts",
        "Env",
        "Entrypoint",
        "Cmd",
        "Volumes",
        "WorkingDir",
        "Labels",
        "StopSignal",
    )
    # Docker's extension; other runtimes ignore it.
    settings = {
        key: config["config"][key] for key in (*fields, "Healthcheck") if config["config"].get(key)
    }
    return {
        **top,
        "created": moment,
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": history,
    }


def _cached(
    cache: Path, tar: tarfile.TarFile, path: str, old_id: str, *, epoch: int | None
) -> Layer:
    record = cache / f"{old_id.removeprefix('sha256:')}-{'base' if epoch is None else epoch}.json"
    if record.exists():
        facts = json.loads(record.read_text())
        blob = cache / facts["digest"].removeprefix("sha256:")
        if blob.exists():
            return Layer(path=blob, **facts)
    source = _member(tar, path)
    content = source.read() if epoch is None else _limit_dates(source, epoch)
    packed = gzip.compress(content, LEVEL, mtime=0)
    facts = {"digest": digest_of(packed), "diff_id": digest_of(content), "size": len(packed)}
    blob = cache / facts["digest"].removeprefix("sha256:")
    temporary = blob.with_suffix(".new")
    temporary.write_bytes(packed)
    temporary.replace(blob)
    record.write_text(json.dumps(facts))
    return Layer(path=blob, **facts)


def _limit_dates(source: IO[bytes], epoch: int) -> bytes:
    """Limit modification times to `epoch`; drop access and change times."""
    target = io.BytesIO()
    with (
        tarfile.open(fileobj=source) as old,
        tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in old:
            member.mtime = min(int(member.mtime), epoch)
            member.uname = member.gname = ""
            member.pax_headers = {
                key: value
                for key, value in member.pax_headers.items()
                if key not in {"mtime", "atime", "ctime"}
            }
            new.addfile(member, old.extractfile(member) if member.isreg() else None)
    return target.getvalue()


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    if file is None:
        raise ValueError(f"the builder's archive has no file {name}")
    return file


def _encode(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
