"""ECR's repositories and images in moto, implementing ImageRepositories for the registry.

moto stores no image data, so parts of its ECR are replaced while a registry is attached: repository
URI, image size and digest, PutImage's tag rules, authorization tokens, lifecycle policies (moto
only stores them) and scan findings (moto invents a CVE). Error messages are ECR's; where moto lacks
one, its source is named. `scans` has the scanner.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ecr import models, responses
from moto.ecr.exceptions import (
    InvalidParameterException,
    RepositoryNotFoundException,
)

from sandbox.account.services.ecr.authorization_tokens import USER, Tokens
from sandbox.account.services.ecr.lifecycle_policy import Candidate, expired
from sandbox.account.services.ecr.scans import Scanner, scan_findings_of
from sandbox.contracts import image_manifest as manifests
from sandbox.contracts.image_repositories import PushedImage, RegistryError, StoredImage

UNTAGGED: Any = None  # moto's value for an image without a tag, missing in its annotations.


class EcrImage(models.Image):
    """An image with the attributes that ECR derives from its manifest."""

    def _create_digest(self) -> None:
        self._image_digest = f"sha256:{hashlib.sha256(self.image_manifest.encode()).hexdigest()}"

    def get_image_size_in_bytes(self) -> int:
        """Return the size of config and layers in bytes, as ECR does."""
        return self.facts.size

    @property
    def facts(self) -> manifests.Manifest:
        """The parsed manifest."""
        return manifests.parse(self.image_manifest.encode(), self.image_manifest_media_type)

    @property
    def artifact_media_type(self) -> str | None:
        """Return ECR's artifactMediaType."""
        return self.facts.artifact_type

    @property
    def subject_manifest_digest(self) -> str | None:
        """Return the digest of the image that this one refers to."""
        return self.facts.subject

    scanner: Scanner | None = None

    @property
    def image_scan_status(self) -> dict[str, str] | None:
        """Return the status of the last scan, or None without one."""
        return self.scanner.status(self.image_digest) if self.scanner and self.last_scan else None


def put_image_error(
    repository: Any, registry_id: str, digest: str, tag: str | None
) -> tuple[str, str] | None:
    """Return the code and message with which PutImage refuses an image, or None."""
    stored = _find(repository, digest)
    if stored is not None and (tag is None or tag in stored.image_tags):
        return "ImageAlreadyExistsException", (
            f"Image with digest '{digest}' and tag '{tag or 'null'}' already exists in the "
            f"repository with name '{repository.name}' in registry with id '{registry_id}'"
        )
    taken = tag and any(tag in image.image_tags for image in repository.images)
    if tag and taken and _immutable(repository, tag):
        return "ImageTagAlreadyExistsException", _taken_message(repository, tag)
    return None


def digest_mismatch(digest: str, actual: str) -> tuple[str, str]:
    """Return the code and message with which PutImage refuses a wrong digest."""
    text = f"The image digest '{digest}' does not match the manifest's '{actual}'."
    return "ImageDigestDoesNotMatchException", text


class PutImageError(ServiceException):
    """An error of PutImage; moto takes the service's name from the module of its own classes."""


class EcrRepositories:
    """ImageRepositories on moto's ECR backends of one account in this process.

    Repository names are unique across regions, because one registry serves all of them.
    """

    def __init__(self, account_id: str = "123456789012") -> None:
        self.account_id = account_id
        self._tokens: Tokens | None = None
        self._scanner: Scanner | None = None
        self._lock = threading.RLock()
        self._changed: Callable[[], None] | None = None
        self.permission_check: Callable[[str, str, str, str], None] | None = None
        """Takes access key, region, action and ARN; raises PermissionError with AWS's message."""
        self._host = ""
        self._originals: list[tuple[Any, str, Any]] = []

    # RepositoryRules

    def authorize(self, username: str, password: str) -> str:
        """Accept credentials of GetAuthorizationToken; return its caller's access key."""
        return self.tokens.validate(username, password)

    def permit(self, access_key: str, action: str, repository: str) -> None:
        """Refuse what the policies of the token's caller and the repository do not allow."""
        if self.permission_check is None or not access_key:
            return
        target = self._repository(repository)
        try:
            self.permission_check(access_key, target.region_name, action, target.arn)
        except PermissionError as error:
            raise RegistryError(403, "DENIED", str(error)) from None

    def repositories(self) -> list[str]:
        """Return the names of the repositories of all regions."""
        return sorted({name for backend in self._backends() for name in backend.repositories})

    def require(self, repository: str) -> None:
        """Refuse an unknown repository in ECR's words."""
        self._repository(repository)

    def check_tag(self, repository: str, tag: str) -> None:
        """Refuse a taken immutable tag, even for the same image, as ECR does.

        Message: github.com/moby/buildkit/issues/3776; same image:
        github.com/aws/containers-roadmap/issues/2179.
        """
        target = self._repository(repository)
        if _immutable(target, tag) and any(tag in image.image_tags for image in target.images):
            raise RegistryError(400, "TAG_INVALID", _taken_message(target, tag))

    def register(self, image: PushedImage) -> None:
        """Record a pushed image, scan it and apply the lifecycle policy, as ECR does."""
        with self._lock:
            repository = self._repository(image.repository)
            stored = _find(repository, image.digest)
            if stored is None:
                stored = EcrImage(
                    self.account_id,
                    UNTAGGED,
                    image.manifest.decode(),
                    image.repository,
                    image.media_type,
                    image.digest,
                )
                stored.image_pushed_at = int(image.pushed_at)
                stored.scanner = self._scanner
                repository.images.append(stored)
                if repository.image_scanning_configuration.get("scanOnPush"):
                    stored.last_scan = datetime.fromtimestamp(image.pushed_at, UTC)
            for tag in image.tags:
                _move_tag(repository, tag, stored)
            self._expire(repository)

    def record_pull(self, repository: str, digest: str) -> None:
        """Set the image's lastRecordedPullTime."""
        if (image := _find(self._repository(repository), digest)) is not None:
            image.last_recorded_pull_time = int(time.time())

    def images(self, repository: str) -> Mapping[str, StoredImage]:
        """Return the images of a repository by digest."""
        for backend in self._backends():
            if entry := backend.repositories.get(repository):
                return {
                    image.image_digest: StoredImage(
                        digest=image.image_digest,
                        media_type=image.image_manifest_media_type,
                        manifest=image.image_manifest.encode(),
                        tags=tuple(image.image_tags),
                    )
                    for image in list(entry.images)
                }
        return {}

    def on_removal(self, changed: Callable[[], None]) -> None:
        """Call `changed` after images may have been removed."""
        self._changed = changed

    # Attachment

    @property
    def tokens(self) -> Tokens:
        """The authorization tokens of the attached registry."""
        if self._tokens is None:
            raise RuntimeError("no registry is attached to ECR")
        return self._tokens

    def attach(self, host: str, directory: Path) -> None:
        """Replace parts of moto's ECR in this process until detach()."""
        self._host = host
        self._tokens = Tokens(directory, self.account_id)
        self._scanner = scanner = Scanner(directory)
        replaced: list[tuple[Any, str, Any]] = [
            (
                models.Repository,
                "uri",
                property(lambda repository: f"{host}/{repository.name}", lambda _s, _v: None),
            ),
            (models, "Image", EcrImage),
            (models.ECRBackend, "put_image", self._with_backend(self._put_image)),
            (
                models.ECRBackend,
                "describe_image_scan_findings",
                scan_findings_of(scanner),
            ),
            (responses.ECRResponse, "get_authorization_token", self._get_authorization_token()),
            (
                models.ECRBackend,
                "put_lifecycle_policy",
                self._then_expire(models.ECRBackend.put_lifecycle_policy),
            ),
            (
                models.ECRBackend,
                "batch_delete_image",
                self._then_notify(models.ECRBackend.batch_delete_image),
            ),
            (
                models.ECRBackend,
                "delete_repository",
                self._then_notify(models.ECRBackend.delete_repository),
            ),
        ]
        for owner, name, replacement in replaced:
            self._originals.append((owner, name, vars(owner).get(name)))
            setattr(owner, name, replacement)

    def detach(self) -> None:
        """Restore moto's ECR."""
        self._changed = None
        while self._originals:
            owner, name, original = self._originals.pop()
            if original is None:
                delattr(owner, name)
            else:
                setattr(owner, name, original)

    # Replacements of moto's functions

    def _put_image(
        self,
        backend: Any,
        repository_name: str,
        image_manifest: str,
        image_tag: str | None,
        image_manifest_mediatype: str | None = None,
        digest: str | None = None,
    ) -> EcrImage:
        """PutImage with ECR's tag rules (API reference, PutImage, "Errors")."""
        repository = backend._get_repository(repository_name)
        with _as_parameter_error():
            facts = manifests.parse(image_manifest.encode(), image_manifest_mediatype)
        image = EcrImage(
            self.account_id, UNTAGGED, image_manifest, repository_name, facts.media_type
        )
        if digest and digest != image.image_digest:
            raise PutImageError(*digest_mismatch(digest, image.image_digest))
        with self._lock:
            registry_id = repository.registry_id
            error = put_image_error(repository, registry_id, image.image_digest, image_tag)
            if error is not None:
                raise PutImageError(*error)
            stored = _find(repository, image.image_digest)
            if stored is None:
                repository.images.append(image)
                stored = image
            if image_tag:
                _move_tag(repository, image_tag, stored)
            self._expire(repository)
        self._notify()
        return stored

    def _get_authorization_token(self) -> Callable[[Any], ActionResult]:
        def get_authorization_token(response: Any) -> ActionResult:
            accounts = response._get_param("registryIds") or [response.current_account]
            password, expires = self.tokens.issue(response.get_access_key())
            datum = {
                "authorizationToken": base64.b64encode(f"{USER}:{password}".encode()).decode(),
                "expiresAt": datetime.fromtimestamp(int(expires), UTC),
                "proxyEndpoint": f"http://{self._host}",
            }
            return ActionResult({"authorizationData": [datum for _ in accounts]})

        return get_authorization_token

    def _then_expire(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def put_lifecycle_policy(
            backend: Any, registry_id: str, repository_name: str, lifecycle_policy_text: str
        ) -> Any:
            result = original(backend, registry_id, repository_name, lifecycle_policy_text)
            self._expire(backend._get_repository(repository_name, registry_id))
            self._notify()
            return result

        return put_lifecycle_policy

    @staticmethod
    def _with_backend(method: Callable[..., Any]) -> Callable[..., Any]:
        """Return a plain function, which Python binds to the backend."""

        def function(backend: Any, *arguments: Any, **options: Any) -> Any:
            return method(backend, *arguments, **options)

        return function

    def _then_notify(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **options: Any) -> Any:
            result = original(*arguments, **options)
            self._notify()
            return result

        return changed

    def _expire(self, repository: Any) -> None:
        """Apply the lifecycle policy at once (ECR: within 24 hours), with dependent images."""
        if not repository.lifecycle_policy:
            return
        with self._lock:
            digests = {image.image_digest for image in repository.images}
            children = {child for image in repository.images for child in image.facts.children}
            candidates = [
                Candidate(
                    digest=image.image_digest,
                    tags=tuple(image.image_tags),
                    pushed_at=image.image_pushed_at,
                    bound=image.image_digest in children or image.facts.subject in digests,
                )
                for image in repository.images
            ]
            expired_digests = set(expired(repository.lifecycle_policy, candidates, time.time()))
            for image in list(repository.images):
                if image.image_digest in expired_digests or image.facts.subject in expired_digests:
                    repository.images.remove(image)

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed()

    # Queries

    def _backends(self) -> list[Any]:
        return [backend for _, backend in sorted(models.ecr_backends[self.account_id].items())]

    def _repository(self, name: str) -> Any:
        matches = [
            backend.repositories[name]
            for backend in self._backends()
            if name in backend.repositories
        ]
        if not matches:
            error = RepositoryNotFoundException(name, self.account_id)
            raise RegistryError(404, "NAME_UNKNOWN", str(error.message))
        if len(matches) > 1:
            raise RegistryError(
                400,
                "DENIED",
                f"Repositories named '{name}' exist in two regions; the sandbox has one "
                "registry for all.",
            )
        return matches[0]


def _find(repository: Any, digest: str) -> Any | None:
    return next((image for image in repository.images if image.image_digest == digest), None)


def _move_tag(repository: Any, tag: str, to: Any) -> None:
    for image in repository.images:
        image.remove_tag(tag)
        if not image.image_tags:
            image.image_tag = None
    to.update_tag(tag)


def _immutable(repository: Any, tag: str) -> bool:
    """Return whether a taken tag is immutable (wildcards: ImageTagMutabilityExclusionFilter)."""
    mutability = str(
        getattr(repository.image_tag_mutability, "value", repository.image_tag_mutability)
    )
    filters = repository.image_tag_mutability_exclusion_filters or []
    excluded = any(fnmatchcase(tag, entry["filter"]) for entry in filters)
    return mutability.startswith("IMMUTABLE") != excluded


def _taken_message(repository: Any, tag: str) -> str:
    return (
        f"The image tag '{tag}' already exists in the '{repository.name}' repository and cannot "
        "be overwritten "
        "because the repository is immutable."
    )


@contextmanager
def _as_parameter_error() -> Iterator[None]:
    try:
        yield
    except RegistryError as error:
        message = (
            "Invalid parameter at 'ImageManifest' failed to satisfy constraint: "
            f"'{json.dumps(error.message)[1:-1]}'"
        )
        raise InvalidParameterException(message) from None
