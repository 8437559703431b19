"""ECR's repositories and images, as moto holds them, as the rules of the registry.

moto stores images but no data, so some of its ECR is replaced while a registry is attached (`attach`, `detach`):
the repository URI, the size and digest of an image, PutImage's tag rules, authorization tokens, lifecycle policies
(moto stores them only), and scan findings (moto invents a CVE). Error texts are ECR's own; where they aren't moto's,
they are those of the AWS documentation or of reports by users of ECR, named beside them.
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
    ImageAlreadyExistsException,
    InvalidParameterException,
    RepositoryNotFoundException,
    ScanNotFoundException,
)

from sandbox.account.services.ecr.authorization_tokens import USER, Tokens
from sandbox.account.services.ecr.lifecycle_policy import Candidate, expired
from sandbox.contracts import image_manifest as manifests
from sandbox.contracts.image_repositories import HeldImage, PushedImage, RefusedError

UNTAGGED: Any = None  # moto's own mark of an image without a tag, which its annotations leave out
NO_SCANNER = "The sandbox has no vulnerability database, so this image was not scanned."


class EcrImage(models.Image):
    """An image with the facts that ECR derives from its manifest, where moto makes them up."""

    def _create_digest(self) -> None:
        self._image_digest = f"sha256:{hashlib.sha256(self.image_manifest.encode()).hexdigest()}"

    def get_image_size_in_bytes(self) -> int:
        """Return the bytes of config and layers together, as ECR counts them."""
        return self.facts.size

    @property
    def facts(self) -> manifests.Manifest:
        """What the manifest says."""
        return manifests.parse(self.image_manifest.encode(), self.image_manifest_media_type)

    @property
    def artifact_media_type(self) -> str | None:
        """Return ECR's artifactMediaType."""
        return self.facts.artifact_type

    @property
    def subject_manifest_digest(self) -> str | None:
        """Return the digest of the image that this one is about."""
        return self.facts.subject

    @property
    def image_scan_status(self) -> dict[str, str] | None:
        """Return the status of the last scan, None when none was asked for."""
        return _scan_status() if self.last_scan else None


class ImageTagAlreadyExistsError(ServiceException):
    """PutImage's error for a taken tag of an immutable repository; moto has the wrong one."""

    code = "ImageTagAlreadyExistsException"


class ImageDigestDoesNotMatchError(ServiceException):
    """PutImage's error for a digest that isn't the manifest's; moto checks none."""

    code = "ImageDigestDoesNotMatchException"


class MotoRepositories:
    """RepositoryRules on moto's ECR backends of one account, in this process. Repository names are looked up in all
    regions, as one registry serves them all; a name in two regions is refused, since its address would be ambiguous."""

    def __init__(self, account_id: str = "123456789012") -> None:
        self.account_id = account_id
        self._tokens: Tokens | None = None
        self._lock = threading.RLock()
        self._changed: Callable[[], None] | None = None
        self._host = ""
        self._originals: list[tuple[Any, str, Any]] = []

    # RepositoryRules

    def authorize(self, username: str, password: str) -> None:
        """Take what GetAuthorizationToken gave out; refuse anybody else."""
        self.tokens.check(username, password)

    def repositories(self) -> list[str]:
        """Return the names of the repositories of all regions."""
        return sorted({name for backend in self._backends() for name in backend.repositories})

    def require(self, repository: str) -> None:
        """Refuse in ECR's words a repository that doesn't exist."""
        self._repository(repository)

    def admit(self, repository: str, tag: str) -> None:
        """Refuse a taken tag where tags are immutable: also for the very same image, as ECR does.

        Words: github.com/moby/buildkit/issues/3776; the same image: github.com/aws/containers-roadmap/issues/2179.
        """
        found = self._repository(repository)
        if _immutable(found, tag) and any(tag in image.image_tags for image in found.images):
            raise RefusedError(400, "TAG_INVALID", _taken(found, tag))

    def register(self, image: PushedImage) -> None:
        """Hold a pushed image; scan it and apply the lifecycle policy as ECR does after a push."""
        with self._lock:
            repository = self._repository(image.repository)
            held = _find(repository, image.digest)
            if held is None:
                held = EcrImage(
                    self.account_id,
                    UNTAGGED,
                    image.manifest.decode(),
                    image.repository,
                    image.media_type,
                    image.digest,
                )
                held.image_pushed_at = int(image.pushed_at)
                repository.images.append(held)
                if repository.image_scanning_configuration.get("scanOnPush"):
                    held.last_scan = datetime.fromtimestamp(image.pushed_at, UTC)
            for tag in image.tags:
                _move_tag(repository, tag, held)
            self._expire(repository)

    def pulled(self, repository: str, digest: str) -> None:
        """Set the image's lastRecordedPullTime."""
        if (image := _find(self._repository(repository), digest)) is not None:
            image.last_recorded_pull_time = int(time.time())

    def images(self, repository: str) -> Mapping[str, HeldImage]:
        """Return the images of a repository by digest."""
        for backend in self._backends():
            if found := backend.repositories.get(repository):
                return {
                    image.image_digest: HeldImage(
                        digest=image.image_digest,
                        media_type=image.image_manifest_media_type,
                        manifest=image.image_manifest.encode(),
                        tags=tuple(image.image_tags),
                    )
                    for image in list(found.images)
                }
        return {}

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever images may have gone."""
        self._changed = changed

    # The life of the attachment

    @property
    def tokens(self) -> Tokens:
        """Who may use the registry, while it is attached."""
        if self._tokens is None:
            raise RuntimeError("no registry is attached to ECR")
        return self._tokens

    def attach(self, host: str, directory: Path) -> None:
        """Make moto's ECR that of a registry at `host` ("localhost:PORT"), for this whole process, until detach()."""
        self._host = host
        self._tokens = Tokens(directory, self.account_id)
        replaced: list[tuple[Any, str, Any]] = [
            (
                models.Repository,
                "uri",
                property(lambda repository: f"{host}/{repository.name}", lambda _s, _v: None),
            ),
            (models, "Image", EcrImage),
            (models.ECRBackend, "put_image", self._with_backend(self._put_image)),
            (models.ECRBackend, "describe_image_scan_findings", _describe_image_scan_findings),
            (responses.ECRResponse, "get_authorization_token", self._get_authorization_token()),
            (
                models.ECRBackend,
                "put_lifecycle_policy",
                self._then_expire(models.ECRBackend.put_lifecycle_policy),
            ),
            (
                models.ECRBackend,
                "batch_delete_image",
                self._then_tell(models.ECRBackend.batch_delete_image),
            ),
            (
                models.ECRBackend,
                "delete_repository",
                self._then_tell(models.ECRBackend.delete_repository),
            ),
        ]
        for owner, name, replacement in replaced:
            self._originals.append((owner, name, vars(owner).get(name)))
            setattr(owner, name, replacement)

    def detach(self) -> None:
        """Give moto its own ECR back."""
        self._changed = None
        while self._originals:
            owner, name, original = self._originals.pop()
            if original is None:
                delattr(owner, name)
            else:
                setattr(owner, name, original)

    # What replaces moto's

    def _put_image(
        self,
        backend: Any,
        repository_name: str,
        image_manifest: str,
        image_tag: str | None,
        image_manifest_mediatype: str | None = None,
        digest: str | None = None,
    ) -> EcrImage:
        """PutImage with the tag rules of ECR (API reference, PutImage, "Errors")."""
        repository = backend._get_repository(repository_name)
        with _as_parameter_error():
            facts = manifests.parse(image_manifest.encode(), image_manifest_mediatype)
        image = EcrImage(
            self.account_id, UNTAGGED, image_manifest, repository_name, facts.media_type
        )
        if digest and digest != image.image_digest:
            raise ImageDigestDoesNotMatchError(
                f"The image digest '{digest}' does not match the manifest's '{image.image_digest}'."
            )
        with self._lock:
            held = _find(repository, image.image_digest)
            if held is not None and (image_tag is None or image_tag in held.image_tags):
                raise ImageAlreadyExistsException(
                    registry_id=repository.registry_id,
                    image_tag=image_tag or "null",
                    digest=held.image_digest,
                    repository_name=repository_name,
                )
            if (
                image_tag
                and _immutable(repository, image_tag)
                and any(image_tag in i.image_tags for i in repository.images)
            ):
                raise ImageTagAlreadyExistsError(_taken(repository, image_tag))
            if held is None:
                repository.images.append(image)
                held = image
            if image_tag:
                _move_tag(repository, image_tag, held)
            self._expire(repository)
        self._tell()
        return held

    def _get_authorization_token(self) -> Callable[[Any], ActionResult]:
        def get_authorization_token(response: Any) -> ActionResult:
            accounts = response._get_param("registryIds") or [response.current_account]
            password, expires = self.tokens.issue()
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
            answer = original(backend, registry_id, repository_name, lifecycle_policy_text)
            self._expire(backend._get_repository(repository_name, registry_id))
            self._tell()
            return answer

        return put_lifecycle_policy

    @staticmethod
    def _with_backend(method: Callable[..., Any]) -> Callable[..., Any]:
        """A plain function, which Python binds to the backend that it is called on."""

        def function(backend: Any, *given: Any, **named: Any) -> Any:
            return method(backend, *given, **named)

        return function

    def _then_tell(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*given: Any, **named: Any) -> Any:
            answer = original(*given, **named)
            self._tell()
            return answer

        return changed

    def _expire(self, repository: Any) -> None:
        """Apply the lifecycle policy now, where ECR takes up to 24 hours; images that belong to one that goes, go too."""
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
            gone = set(expired(repository.lifecycle_policy, candidates, time.time()))
            for image in list(repository.images):
                if image.image_digest in gone or image.facts.subject in gone:
                    repository.images.remove(image)

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed()

    # Look-ups

    def _backends(self) -> list[Any]:
        return [backend for _, backend in sorted(models.ecr_backends[self.account_id].items())]

    def _repository(self, name: str) -> Any:
        found = [
            backend.repositories[name]
            for backend in self._backends()
            if name in backend.repositories
        ]
        if not found:
            missing = RepositoryNotFoundException(name, self.account_id)
            raise RefusedError(404, "NAME_UNKNOWN", str(missing.message))
        if len(found) > 1:
            raise RefusedError(
                400,
                "DENIED",
                f"Repositories named '{name}' exist in two regions; the sandbox has one registry for all.",
            )
        return found[0]


def _find(repository: Any, digest: str) -> Any | None:
    return next((image for image in repository.images if image.image_digest == digest), None)


def _move_tag(repository: Any, tag: str, to: Any) -> None:
    for image in repository.images:
        image.remove_tag(tag)
        if not image.image_tags:
            image.image_tag = None
    to.update_tag(tag)


def _immutable(repository: Any, tag: str) -> bool:
    """Tell whether a taken `tag` stays; filters are wildcards (API reference, ImageTagMutabilityExclusionFilter)."""
    mutability = str(
        getattr(repository.image_tag_mutability, "value", repository.image_tag_mutability)
    )
    filters = repository.image_tag_mutability_exclusion_filters or []
    excluded = any(fnmatchcase(tag, entry["filter"]) for entry in filters)
    return mutability.startswith("IMMUTABLE") != excluded


def _taken(repository: Any, tag: str) -> str:
    return (
        f"The image tag '{tag}' already exists in the '{repository.name}' repository and cannot be overwritten "
        "because the repository is immutable."
    )


def _scan_status() -> dict[str, str]:
    return {"status": "FINDINGS_UNAVAILABLE", "description": NO_SCANNER}


def _describe_image_scan_findings(
    backend: Any, registry_id: str, repository_name: str, image_id: dict[str, Any]
) -> dict[str, Any]:
    repository = backend._get_repository(repository_name, registry_id)
    image = repository._get_image(image_id.get("imageTag"), image_id.get("imageDigest"))
    if not image.last_scan:
        wanted = f"{{imageDigest:'{image.image_digest}', imageTag:'{image_id.get('imageTag') or 'null'}'}}"
        raise ScanNotFoundException(
            image_id=wanted, repository_name=repository_name, registry_id=repository.registry_id
        )
    return {
        "registryId": repository.registry_id,
        "repositoryName": repository_name,
        "imageId": {"imageDigest": image.image_digest, "imageTag": image.image_tag},
        "imageScanStatus": _scan_status(),
    }


@contextmanager
def _as_parameter_error() -> Iterator[None]:
    try:
        yield
    except RefusedError as error:
        text = f"Invalid parameter at 'ImageManifest' failed to satisfy constraint: '{json.dumps(error.message)[1:-1]}'"
        raise InvalidParameterException(text) from None
