"""Images between the registry's files and the repositories' owner: push, look-up, and keeping the two equal."""

from __future__ import annotations

import time

from sandbox.contracts import image_manifest as manifests
from sandbox.contracts.image_repositories import HeldImage, PushedImage, RefusedError, RepositoryRules
from sandbox.registry.store import Image, Index, Store


class Holdings:
    """The owner decides which images there are (`rules`), the store has their bytes; this keeps the store in step."""

    def __init__(self, store: Store, rules: RepositoryRules) -> None:
        self._store = store
        self._rules = rules

    def restore(self) -> None:
        """After a restart: hand every stored image back to its repository, and drop what has none any more."""
        with self._store.lock:
            existing = set(self._rules.repositories())
            for repository in self._store.repositories():
                if repository in existing:
                    for image in list(self._store.index(repository).images.values()):
                        self._rules.register(self._pushed(repository, image))
            self.settle()

    def settle(self) -> None:
        """Make the store hold exactly the images that the owner holds, and free the rest."""
        with self._store.lock:
            existing = set(self._rules.repositories())
            for repository in self._store.repositories():
                if repository in existing:
                    self._settle_one(repository, self._store.index(repository))
                else:
                    self._store.drop(repository)
            self._store.collect()

    def push(self, repository: str, reference: str, data: bytes, content_type: str | None) -> tuple[str, str | None]:
        """Store a manifest under a tag or a digest. Returns its digest, and the digest that it refers to as subject.

        Raises RefusedError: MANIFEST_INVALID, MANIFEST_BLOB_UNKNOWN, DIGEST_INVALID, TAG_INVALID, NAME_UNKNOWN.
        """
        facts = manifests.parse(data, content_type)
        by_digest = ":" in reference
        with self._store.lock:
            self._rules.require(repository)
            index = self._store.index(repository)
            missing = [blob for blob in facts.blobs if blob not in index.blobs]
            missing += [child for child in facts.children if child not in index.images]
            if missing:
                raise RefusedError(
                    404, "MANIFEST_BLOB_UNKNOWN", f"The manifest refers to {', '.join(missing)}, not pushed."
                )
            if not by_digest:
                self._rules.admit(repository, reference)
            digest = self._store.put(repository, data)
            if by_digest and reference != digest:
                self._store.collect()
                raise RefusedError(400, "DIGEST_INVALID", f"The manifest's digest is {digest}, not {reference}.")
            image = index.images.setdefault(digest, _image(digest, facts))
            tags = () if by_digest else (reference,)
            self._rules.register(self._pushed(repository, image, tags))
            if self._settle_one(repository, index):  # the lifecycle policy may have expired others
                self._store.collect()
            self._store.save(repository)
        return digest, facts.subject

    def find(self, repository: str, reference: str) -> HeldImage:
        """Return an image by tag or digest. Raises RefusedError (NAME_UNKNOWN, MANIFEST_UNKNOWN)."""
        self._rules.require(repository)
        for image in self._rules.images(repository).values():
            if reference == image.digest or reference in image.tags:
                return image
        raise RefusedError(404, "MANIFEST_UNKNOWN", "Requested image not found")

    def pulled(self, repository: str, image: HeldImage) -> None:
        """Tell the owner that an image was pulled."""
        self._rules.pulled(repository, image.digest)

    def referrers(self, repository: str, subject: str) -> list[Image]:
        """Return the images that name `subject` as what they are about (SBOMs, signatures)."""
        self._rules.require(repository)
        with self._store.lock:
            return [image for image in self._store.index(repository).images.values() if image.subject == subject]

    def _settle_one(self, repository: str, index: Index) -> bool:
        """Bring one repository in step; tells whether images went."""
        held = self._rules.images(repository)
        gone = [index.images.pop(digest) for digest in list(index.images) if digest not in held]
        for image in gone:
            self._store.release(repository, image.references)
        changed = bool(gone)
        for digest, now in held.items():
            if digest not in index.images:  # put by ECR's own API, as when an image gets a second tag
                self._store.put(repository, now.manifest)
                index.images[digest] = _image(digest, manifests.parse(now.manifest, now.media_type))
                changed = True
            if index.images[digest].tags != list(now.tags):
                index.images[digest].tags = list(now.tags)
                changed = True
        if changed:
            self._store.save(repository)
        return bool(gone)

    def _pushed(self, repository: str, image: Image, tags: tuple[str, ...] | None = None) -> PushedImage:
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


def _image(digest: str, facts: manifests.Manifest) -> Image:
    return Image(
        digest=digest,
        media_type=facts.media_type,
        size=facts.size,
        pushed_at=time.time(),
        references=list(facts.blobs),
        artifact_type=facts.artifact_type,
        subject=facts.subject,
        annotations=facts.annotations,
    )
