"""From a builder's archive to a reproducible OCI image: the same files give the same digest, whoever built them, when.

Builders date new files and the image itself with the time of the build (Docker 20.10 knows no SOURCE_DATE_EPOCH, and
buildah's --timestamp differs from it). So every layer above the base is written anew with each date cut off at `epoch`,
compressed without a date, and the configuration reduced to what OCI's image specification names.
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
# Compression is half of the time of a first push; level 6 is zlib's own choice between time and size.
LEVEL = 6


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A compressed layer in the cache: `digest` of the file, `diff_id` of the tar in it."""

    digest: str
    diff_id: str
    size: int
    path: Path


@dataclass(frozen=True, kw_only=True)
class OciImage:
    """A whole image, ready to be pushed."""

    manifest: bytes
    config: bytes
    layers: tuple[Layer, ...]

    @property
    def digest(self) -> str:
        """The digest by which the image is deployed."""
        return digest_of(self.manifest)

    def remember(self, path: Path) -> None:
        """Note the image down, so that the same local image need not be read again."""
        facts = {
            "manifest": self.manifest.decode(),
            "config": self.config.decode(),
            "layers": [{"digest": it.digest, "diff_id": it.diff_id, "size": it.size} for it in self.layers],
        }
        path.write_text(json.dumps(facts))

    @staticmethod
    def remembered(path: Path, cache: Path) -> OciImage | None:
        """Return the image noted at `path`; None if it isn't, or its layers have gone from the cache."""
        if not path.exists():
            return None
        facts = json.loads(path.read_text())
        layers = tuple(Layer(path=cache / it["digest"].removeprefix("sha256:"), **it) for it in facts["layers"])
        if not all(layer.path.exists() for layer in layers):
            return None
        return OciImage(manifest=facts["manifest"].encode(), config=facts["config"].encode(), layers=layers)


def digest_of(data: bytes) -> str:
    """Return "sha256:…" of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def oci_image(archive: Path, cache: Path, *, base_layers: Collection[str], epoch: int) -> OciImage:
    """Read a Docker archive and return its image. Layers named in `base_layers` (diff ids) keep their bytes.

    Compressed layers are kept in `cache`, so that an unchanged layer costs nothing the next time.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as tar:
        [described] = json.load(_member(tar, "manifest.json"))
        config = json.load(_member(tar, described["Config"]))
        old_ids = config["rootfs"]["diff_ids"]
        layers = tuple(
            _cached(cache, tar, path, old_id, epoch=None if old_id in base_layers else epoch)
            for path, old_id in zip(described["Layers"], old_ids, strict=True)
        )
    # Layers of the base keep their dates; so does the history that tells of them.
    inherited = sum(1 for old_id in old_ids if old_id in base_layers)
    new_config = _encode(_configuration(config, [layer.diff_id for layer in layers], epoch, inherited))
    manifest = _encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest_of(new_config), "size": len(new_config)},
            "layers": [{"mediaType": LAYER, "digest": it.digest, "size": it.size} for it in layers],
        }
    )
    return OciImage(manifest=manifest, config=new_config, layers=layers)


def _configuration(config: dict[str, Any], diff_ids: list[str], epoch: int, inherited: int) -> dict[str, Any]:
    moment = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    history, seen = [], 0
    for entry in config.get("history", []):
        # Not the comment, where buildah names its intermediate images, which are never the same twice.
        kept = {k: v for k, v in entry.items() if k in {"created", "created_by", "empty_layer"} and v}
        if seen >= inherited and (seen > 0 or inherited == 0):
            kept["created"] = moment
        seen += 0 if entry.get("empty_layer") else 1
        history.append(kept)
    top = {key: config[key] for key in ("architecture", "os", "variant") if config.get(key)}
    wanted = ("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal")
    # Healthcheck is Docker's, not OCI's; runtimes that don't know it pass it over.
    settings = {key: config["config"][key] for key in (*wanted, "Healthcheck") if config["config"].get(key)}
    return {
        **top,
        "created": moment,
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": history,
    }


def _cached(cache: Path, tar: tarfile.TarFile, path: str, old_id: str, *, epoch: int | None) -> Layer:
    note = cache / f"{old_id.removeprefix('sha256:')}-{'base' if epoch is None else epoch}.json"
    if note.exists():
        facts = json.loads(note.read_text())
        blob = cache / facts["digest"].removeprefix("sha256:")
        if blob.exists():
            return Layer(path=blob, **facts)
    source = _member(tar, path)
    content = source.read() if epoch is None else _redated(source, epoch)
    packed = gzip.compress(content, LEVEL, mtime=0)
    facts = {"digest": digest_of(packed), "diff_id": digest_of(content), "size": len(packed)}
    blob = cache / facts["digest"].removeprefix("sha256:")
    aside = blob.with_suffix(".new")
    aside.write_bytes(packed)
    aside.replace(blob)
    note.write_text(json.dumps(facts))
    return Layer(path=blob, **facts)


def _redated(source: IO[bytes], epoch: int) -> bytes:
    """Return the layer with no date later than `epoch`, nor one of a file's reading or of its inode's change."""
    target = io.BytesIO()
    with (
        tarfile.open(fileobj=source) as old,
        tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in old:
            member.mtime = min(int(member.mtime), epoch)
            member.uname = member.gname = ""
            member.pax_headers = {
                key: value for key, value in member.pax_headers.items() if key not in {"mtime", "atime", "ctime"}
            }
            new.addfile(member, old.extractfile(member) if member.isreg() else None)
    return target.getvalue()


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    found = tar.extractfile(name)
    if found is None:
        raise ValueError(f"the builder's archive has no file {name}")
    return found


def _encode(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
