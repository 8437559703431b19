"""Pushes and reads images, and keeps the store in sync with the repositories' owner."""

from __future__ import annotations

import time

from sandbox.contracts import image_manifest as manifests
from sandbox.contracts.image_repositories import (
    ImageRepositories,
    PushedImage,
    RegistryError,
    StoredImage,
)
from sandbox.registry.store import Image, Index, RegistryStore


class Repositories:
    """Images of the repositories: `owner` decides which exist, `store` has their data."""

    def __init__(self, store: RegistryStore, owner: ImageRepositories) -> None:
        self._store = store
        self._owner = owner

    def restore(self) -> None:
        """After a restart, register stored images with their owner and delete the others."""
        with self._store.lock:
            existing = set(self._owner.repositories())
            for repository in self._store.repositories():
                if repository in existing:
                    for image in list(self._store.index(repository).images.values()):
                        self._owner.register(self._pushed(repository, image))
            self.reconcile()

    def reconcile(self) -> None:
        """Make the store contain exactly the owner's images, and free the rest."""
        with self._store.lock:
            existing = set(self._owner.repositories())
            for repository in self._store.repositories():
                if repository in existing:
                    self._reconcile_repository(repository, self._store.index(repository))
                else:
                    self._store.drop(repository)
            self._store.collect()

    def push(
        self, repository: str, reference: str, data: bytes, content_type: str | None
    ) -> tuple[str, str | None]:
        """Store a manifest under a tag or digest; return its digest and its subject's.

        Raises RegistryError: MANIFEST_INVALID, MANIFEST_BLOB_UNKNOWN, DIGEST_INVALID, TAG_INVALID,
        NAME_UNKNOWN.
        """
        parsed = manifests.parse(data, content_type)
        by_digest = ":" in reference
        with self._store.lock:
            self._owner.require(repository)
            index = self._store.index(repository)
            missing = [blob for blob in parsed.blobs if blob not in index.blobs]
            missing += [child for child in parsed.children if child not in index.images]
            if missing:
                raise RegistryError(
                    404,
                    "MANIFEST_BLOB_UNKNOWN",
                    f"The manifest refers to {', '.join(missing)}, which was not pushed.",
                )
            if not by_digest:
                self._owner.check_tag(repository, reference)
            digest = self._store.put(repository, data)
            if by_digest and reference != digest:
                self._store.collect()
                raise RegistryError(
                    400, "DIGEST_INVALID", f"The manifest's digest is {digest}, not {reference}."
                )
            image = index.images.setdefault(digest, _image(digest, parsed))
            tags = () if by_digest else (reference,)
            self._owner.register(self._pushed(repository, image, tags))
            if self._reconcile_repository(
                repository, index
            ):  # The lifecycle policy may have expired others.
                self._store.collect()
            self._store.save(repository)
        return digest, parsed.subject

    def find(self, repository: str, reference: str) -> StoredImage:
        """Return an image by tag or digest. Raises NAME_UNKNOWN or MANIFEST_UNKNOWN."""
        self._owner.require(repository)
        for image in self._owner.images(repository).values():
            if reference == image.digest or reference in image.tags:
                return image
        raise RegistryError(404, "MANIFEST_UNKNOWN", "Requested image not found")

    def record_pull(self, repository: str, image: StoredImage) -> None:
        """Record a pull with the owner."""
        self._owner.record_pull(repository, image.digest)

    def referrers(self, repository: str, subject: str) -> list[Image]:
        """Return the images that refer to `subject` (SBOMs, signatures)."""
        self._owner.require(repository)
        with self._store.lock:
            return [
                image
                for image in self._store.index(repository).images.values()
                if image.subject == subject
            ]

    def _reconcile_repository(self, repository: str, index: Index) -> bool:
        """Synchronize one repository; return whether images were removed."""
        stored_images = self._owner.images(repository)
        removed = [
            index.images.pop(digest) for digest in list(index.images) if digest not in stored_images
        ]
        for image in removed:
            self._store.release(repository, image.references)
        changed = bool(removed)
        for digest, stored in stored_images.items():
            if digest not in index.images:  # Stored by ECR's PutImage, such as a second tag.
                self._store.put(repository, stored.manifest)
                index.images[digest] = _image(
                    digest, manifests.parse(stored.manifest, stored.media_type)
                )
                changed = True
            if index.images[digest].tags != list(stored.tags):
                index.images[digest].tags = list(stored.tags)
                changed = True
        if changed:
            self._store.save(repository)
        return bool(removed)

    def _pushed(
        self, repository: str, image: Image, tags: tuple[str, ...] | None = None
    ) -> PushedImage:
        return PushedImage(
            repository=repository,
            digest=image.digest,
            media_type=image.media_type,
            manifest=self._store.read(image.digest),
            size=image.size,
            pushed_at=image.pushed_at,
            tags=tuple(image.tags) if tags is None else tags,
            artifact_type=image.artifact_type,
            subject=image.subject,
        )


def _image(digest: str, parsed: manifests.Manifest) -> Image:
    return Image(
        digest=digest,
        media_type=parsed.media_type,
        size=parsed.size,
        pushed_at=time.time(),
        references=list(parsed.blobs),
        artifact_type=parsed.artifact_type,
        subject=parsed.subject,
        annotations=parsed.annotations,
    )
