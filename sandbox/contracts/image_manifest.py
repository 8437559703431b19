"""Parses and validates image manifests."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from sandbox.contracts.image_repositories import RegistryError

# Types that ECR accepts (user guide, "Container image manifest format support"); it refuses
# Docker's schema 1.
IMAGES = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
LISTS = (
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A valid manifest: `blobs` of an image or `children` of a list; `size` is the sum of its
    blobs.
    """

    media_type: str
    size: int
    blobs: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    artifact_type: str | None = None
    subject: str | None = None
    annotations: dict[str, str] = field(default_factory=dict)


def parse(data: bytes, content_type: str | None) -> Manifest:
    """Parse a manifest. Raises RegistryError (MANIFEST_INVALID)."""
    try:
        raw = json.loads(data)
    except ValueError:
        raise _invalid("The manifest is not JSON.") from None
    if not isinstance(raw, dict) or raw.get("schemaVersion") != 2:
        raise _invalid("The manifest has no schemaVersion 2.")
    media_type = str(raw.get("mediaType") or content_type or "")
    if content_type and raw.get("mediaType") and content_type != raw["mediaType"]:
        raise _invalid(
            f"The manifest's mediaType {raw['mediaType']} is not its Content-Type {content_type}."
        )
    subject = raw.get("subject")
    fields: dict[str, Any] = {
        "media_type": media_type,
        "subject": _digest(subject) if subject else None,
        "annotations": dict(raw.get("annotations") or {}),
        "artifact_type": raw.get("artifactType"),
    }
    if media_type in IMAGES:
        parts = [raw.get("config"), *_list(raw, "layers")]
        fields["artifact_type"] = fields["artifact_type"] or (raw.get("config") or {}).get(
            "mediaType"
        )
        return Manifest(blobs=tuple(map(_digest, parts)), size=sum(map(_size, parts)), **fields)
    if media_type in LISTS:
        return Manifest(children=tuple(map(_digest, _list(raw, "manifests"))), size=0, **fields)
    raise _invalid(
        f"Manifests of the type '{media_type}' are not supported; push an OCI or Docker schema "
        "2 image."
    )


def _list(raw: dict[str, Any], key: str) -> list[Any]:
    if not isinstance(value := raw.get(key), list):
        raise _invalid(f"The manifest has no list '{key}'.")
    return value


def _digest(descriptor: Any) -> str:
    if not isinstance(descriptor, dict) or not isinstance(digest := descriptor.get("digest"), str):
        raise _invalid("The manifest has a descriptor without a digest.")
    return validate_digest(digest)


def _size(descriptor: dict[str, Any]) -> int:
    if not isinstance(size := descriptor.get("size"), int) or size < 0:
        raise _invalid(f"The manifest's descriptor {descriptor.get('digest')} has no size.")
    return size


def validate_digest(digest: str) -> str:
    """Return a SHA-256 digest. Raises RegistryError (DIGEST_INVALID)."""
    if not _DIGEST.match(digest):
        raise RegistryError(
            400, "DIGEST_INVALID", f"'{digest}' is not a digest of the form sha256:<64 hex digits>."
        )
    return digest


def _invalid(reason: str) -> RegistryError:
    return RegistryError(400, "MANIFEST_INVALID", reason)
