"""Registry data on disk: blobs by digest, and an index of blobs and images per repository.

    blobs/sha256/<2 hex>/<64 hex>     layers, configs and manifests, shared by repositories
    repositories/<quoted name>.json   the repository's blobs and images in push order
    uploads/<uuid>                    active uploads; deleted at a restart, as clients start again

Files are written to a temporary name and renamed, so a crash leaves a consistent state.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import quote, unquote

from sandbox.contracts.image_manifest import validate_digest
from sandbox.contracts.image_repositories import RegistryError, blob_path
from sandbox.runtime.damage import DamagedFileError

CHUNK = 1 << 20
# Seconds after which an unreferenced blob no longer belongs to an active push.
ABANDONED_AFTER = 3600.0


@dataclass(kw_only=True)
class Image:
    """An image in a repository's index; times are seconds since the epoch, `size` is bytes."""

    digest: str
    media_type: str
    size: int
    pushed_at: float
    tags: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    artifact_type: str | None = None
    subject: str | None = None
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Index:
    """A repository's blobs with their time of arrival, and its images by digest in push order."""

    blobs: dict[str, float] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)


class Upload:
    """A blob in transfer; its digest is computed as bytes arrive."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._hash = hashlib.sha256()
        self._file = path.open("wb")

    def write(self, stream: IO[bytes]) -> None:
        """Append the stream."""
        while chunk := stream.read(CHUNK):
            self._file.write(chunk)
            self._hash.update(chunk)
            self.size += len(chunk)

    def close(self) -> str:
        """Close the file and return its digest."""
        self._file.close()
        return f"sha256:{self._hash.hexdigest()}"

    def discard(self) -> None:
        """Delete the upload."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class RegistryStore:
    """The registry's data in one directory; thread-safe within one process."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._blobs = directory / "blobs" / "sha256"
        self._indexes = directory / "repositories"
        self._uploading = directory / "uploads"
        for folder in (self._blobs, self._indexes, self._uploading):
            folder.mkdir(parents=True, exist_ok=True)
        for leftover in self._uploading.iterdir():
            leftover.unlink()
        self.lock = threading.RLock()
        self._uploads: dict[tuple[str, str], Upload] = {}
        self._loaded: dict[str, Index] = {}
        for path in sorted(self._indexes.glob("*.json")):
            self._loaded[unquote(path.stem)] = _read_index(path)

    def repositories(self) -> list[str]:
        """Return the names of repositories with data."""
        with self.lock:
            return sorted(self._loaded)

    def index(self, repository: str) -> Index:
        """Return the repository's index, empty before a push; save() it after a change."""
        with self.lock:
            return self._loaded.setdefault(repository, Index())

    def save(self, repository: str) -> None:
        """Write the repository's index."""
        with self.lock:
            path = self._indexes / f"{quote(repository, safe='')}.json"
            _write_whole(path, json.dumps(asdict(self._loaded[repository]), indent=1).encode())

    def drop(self, repository: str) -> None:
        """Remove a repository; collect() frees its data."""
        with self.lock:
            self._loaded.pop(repository, None)
            (self._indexes / f"{quote(repository, safe='')}.json").unlink(missing_ok=True)
            for key in [key for key in self._uploads if key[0] == repository]:
                self._uploads.pop(key).discard()

    def blob(self, repository: str, digest: str) -> Path | None:
        """Return the file of a repository's blob or manifest."""
        with self.lock:
            index = self._loaded.get(repository)
            if index is None or (digest not in index.blobs and digest not in index.images):
                return None
        path = self._path(validate_digest(digest))
        return path if path.exists() else None

    def link(self, repository: str, digest: str) -> None:
        """Add a stored blob to the repository."""
        with self.lock:
            self.index(repository).blobs[digest] = time.time()
            self.save(repository)

    def put(self, repository: str, data: bytes) -> str:
        """Store a manifest and return its digest; the caller records the image."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        with self.lock:
            self.index(repository)
            _write_whole(self._path(digest), data)
        return digest

    def begin(self, repository: str) -> str:
        """Start an upload and return its ID."""
        name = str(uuid.uuid4())
        with self.lock:
            self._uploads[repository, name] = Upload(self._uploading / name)
        return name

    def upload(self, repository: str, name: str) -> Upload:
        """Return an active upload. Raises RegistryError (BLOB_UPLOAD_UNKNOWN)."""
        with self.lock:
            upload = self._uploads.get((repository, name))
        if upload is None:
            raise RegistryError(
                404,
                "BLOB_UPLOAD_UNKNOWN",
                f"There is no upload '{name}' to the repository '{repository}'.",
            )
        return upload

    def cancel(self, repository: str, name: str) -> None:
        """Cancel an upload."""
        self.upload(repository, name).discard()
        with self.lock:
            self._uploads.pop((repository, name), None)

    def finish(self, repository: str, name: str, digest: str) -> None:
        """Store an upload as a blob. Raises RegistryError (DIGEST_INVALID) on a mismatch."""
        upload = self.upload(repository, name)
        actual = upload.close()
        with self.lock:
            self._uploads.pop((repository, name), None)
            if actual != digest:
                upload.discard()
                raise RegistryError(
                    400,
                    "DIGEST_INVALID",
                    f"The uploaded blob is {actual}, not {digest} as announced.",
                )
            path = self._path(digest)
            path.parent.mkdir(parents=True, exist_ok=True)
            upload.path.replace(path)
            self.link(repository, digest)

    def collect(self) -> int:
        """Delete unreferenced blobs and return the number of freed bytes."""
        freed = 0
        with self.lock:
            referenced_digests: set[str] = set()
            for repository, index in self._loaded.items():
                referenced = {
                    digest for image in index.images.values() for digest in image.references
                }
                old = time.time() - ABANDONED_AFTER
                live_blobs = {
                    blob: arrived
                    for blob, arrived in index.blobs.items()
                    if blob in referenced or arrived > old
                }
                if live_blobs != index.blobs:
                    index.blobs = live_blobs
                    self.save(repository)
                referenced_digests.update(live_blobs, index.images)
            for path in self._files():
                if f"sha256:{path.name}" not in referenced_digests:
                    freed += path.stat().st_size
                    path.unlink()
        return freed

    def release(self, repository: str, digests: Iterable[str]) -> None:
        """Remove a deleted image's blobs that no other image of the repository refers to."""
        with self.lock:
            index = self.index(repository)
            referenced = {digest for image in index.images.values() for digest in image.references}
            for digest in set(digests) - referenced:
                index.blobs.pop(digest, None)

    def read(self, digest: str) -> bytes:
        """Return a stored blob, such as a manifest."""
        return self._path(digest).read_bytes()

    def _path(self, digest: str) -> Path:
        return blob_path(self._directory, digest)

    def _files(self) -> Iterator[Path]:
        for folder in self._blobs.iterdir():
            yield from list(folder.iterdir())


def _read_index(path: Path) -> Index:
    try:
        raw = json.loads(path.read_text())
        return Index(
            blobs=raw["blobs"],
            images={digest: Image(**image) for digest, image in raw["images"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        remedy = "Otherwise delete it and run `up`, which builds the image again."
        raise DamagedFileError(path, error, remedy) from error


def _write_whole(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.write_bytes(data)
    temporary.replace(path)
