"""Registry data on disk: blobs by digest, and for each repository which blobs and images it holds.

    blobs/sha256/<2 hex>/<64 hex>     layers, configs and manifests, each once however many repositories use it
    repositories/<quoted name>.json   that repository's blobs and images, in the order of their pushes
    uploads/<uuid>                    unfinished uploads; forgotten at a restart, as a client starts over anyway

Every file appears whole (written aside, then renamed), so a crash leaves the last consistent state.
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
from sandbox.contracts.image_repositories import RefusedError

CHUNK = 1 << 20
# A blob that no manifest refers to may belong to a push under way; after this long (seconds) it does not.
ABANDONED_AFTER = 3600.0


@dataclass(kw_only=True)
class Image:
    """An image of one repository, as its index file has it. Times are seconds since the epoch, `size` is bytes."""

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
    """One repository: its blobs with the time each arrived, and its images by digest in the order of their pushes."""

    blobs: dict[str, float] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)

    def tagged(self, tag: str) -> Image | None:
        """Return the image that has `tag`."""
        return next((image for image in self.images.values() if tag in image.tags), None)


class Upload:
    """A blob on its way in; the digest is computed as the bytes arrive."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._hash = hashlib.sha256()
        self._file = path.open("wb")

    def write(self, stream: IO[bytes]) -> None:
        """Append all of `stream`."""
        while chunk := stream.read(CHUNK):
            self._file.write(chunk)
            self._hash.update(chunk)
            self.size += len(chunk)

    def close(self) -> str:
        """Finish the file and return its digest."""
        self._file.close()
        return f"sha256:{self._hash.hexdigest()}"

    def discard(self) -> None:
        """Forget the upload."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class Store:
    """All data of the registry under one directory. Safe for threads; one process at a time."""

    def __init__(self, directory: Path) -> None:
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
        """Return the names of the repositories with data."""
        with self.lock:
            return sorted(self._loaded)

    def index(self, repository: str) -> Index:
        """Return the repository's index, empty when nothing was ever pushed; save() after changing it."""
        with self.lock:
            return self._loaded.setdefault(repository, Index())

    def save(self, repository: str) -> None:
        """Write the repository's index to disk."""
        with self.lock:
            path = self._indexes / f"{quote(repository, safe='')}.json"
            _write_whole(path, json.dumps(asdict(self._loaded[repository]), indent=1).encode())

    def drop(self, repository: str) -> None:
        """Forget a repository with everything in it; collect() then frees its data."""
        with self.lock:
            self._loaded.pop(repository, None)
            (self._indexes / f"{quote(repository, safe='')}.json").unlink(missing_ok=True)
            for key in [key for key in self._uploads if key[0] == repository]:
                self._uploads.pop(key).discard()

    def blob(self, repository: str, digest: str) -> Path | None:
        """Return the file of a blob or manifest that the repository holds."""
        with self.lock:
            index = self._loaded.get(repository)
            if index is None or (digest not in index.blobs and digest not in index.images):
                return None
        path = self._path(validate_digest(digest))
        return path if path.exists() else None

    def link(self, repository: str, digest: str) -> None:
        """Make a stored blob one of this repository's."""
        with self.lock:
            self.index(repository).blobs[digest] = time.time()
            self.save(repository)

    def put(self, repository: str, data: bytes) -> str:
        """Store a manifest's bytes and return the digest; the caller records the image."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        with self.lock:
            self.index(repository)
            _write_whole(self._path(digest), data)
        return digest

    def begin(self, repository: str) -> str:
        """Start an upload and return its id."""
        name = str(uuid.uuid4())
        with self.lock:
            self._uploads[repository, name] = Upload(self._uploading / name)
        return name

    def upload(self, repository: str, name: str) -> Upload:
        """Return an upload under way. Raises RefusedError (BLOB_UPLOAD_UNKNOWN)."""
        with self.lock:
            found = self._uploads.get((repository, name))
        if found is None:
            raise RefusedError(
                404, "BLOB_UPLOAD_UNKNOWN", f"There is no upload '{name}' to the repository '{repository}'."
            )
        return found

    def cancel(self, repository: str, name: str) -> None:
        """Give an upload up."""
        self.upload(repository, name).discard()
        with self.lock:
            self._uploads.pop((repository, name), None)

    def finish(self, repository: str, name: str, digest: str) -> None:
        """Turn an upload into a blob. Raises RefusedError (DIGEST_INVALID) if it isn't what the client announced."""
        upload = self.upload(repository, name)
        actual = upload.close()
        with self.lock:
            self._uploads.pop((repository, name), None)
            if actual != digest:
                upload.discard()
                raise RefusedError(400, "DIGEST_INVALID", f"The uploaded blob is {actual}, not {digest} as announced.")
            path = self._path(digest)
            path.parent.mkdir(parents=True, exist_ok=True)
            upload.path.replace(path)
            self.link(repository, digest)

    def collect(self) -> int:
        """Delete every blob that no repository uses any more and return how many bytes that freed."""
        freed = 0
        with self.lock:
            wanted: set[str] = set()
            for repository, index in self._loaded.items():
                referenced = {digest for image in index.images.values() for digest in image.references}
                old = time.time() - ABANDONED_AFTER
                kept = {blob: since for blob, since in index.blobs.items() if blob in referenced or since > old}
                if kept != index.blobs:
                    index.blobs = kept
                    self.save(repository)
                wanted.update(kept, index.images)
            for path in self._files():
                if f"sha256:{path.name}" not in wanted:
                    freed += path.stat().st_size
                    path.unlink()
        return freed

    def release(self, repository: str, digests: Iterable[str]) -> None:
        """Let go of blobs that were an image's and are no other image's of the repository."""
        with self.lock:
            index = self.index(repository)
            kept = {digest for image in index.images.values() for digest in image.references}
            for digest in set(digests) - kept:
                index.blobs.pop(digest, None)

    def read(self, digest: str) -> bytes:
        """Return the bytes of a stored blob, meant for manifests."""
        return self._path(digest).read_bytes()

    def exists(self, digest: str) -> bool:
        """Tell whether any repository's data has this blob."""
        return self._path(validate_digest(digest)).exists()

    def _path(self, digest: str) -> Path:
        value = digest.removeprefix("sha256:")
        return self._blobs / value[:2] / value

    def _files(self) -> Iterator[Path]:
        for folder in self._blobs.iterdir():
            yield from list(folder.iterdir())


def _read_index(path: Path) -> Index:
    raw = json.loads(path.read_text())
    return Index(blobs=raw["blobs"], images={digest: Image(**image) for digest, image in raw["images"].items()})


def _write_whole(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    aside.write_bytes(data)
    aside.replace(path)
