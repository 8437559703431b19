"""Vulnerability scans: packages of an image, compared with a file of advisories.

The sandbox has no vulnerability database. `advisories.json` in the registry's directory takes its
place: a list of {"id", "package", "severity"}, and optionally "versions", "description" and "uri".
`package` is a package URL without version, such as pkg:pypi/flask; without `versions`, an advisory
applies to every version.
"""

from __future__ import annotations

import json
import tarfile
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.ecr.exceptions import ScanNotFoundException

from sandbox.account.core.errors import AwsError
from sandbox.contracts.image_repositories import blob_path
from sandbox.images.archive import Layer, OciImage
from sandbox.images.sbom import packages

Package = tuple[str, str, str]
_SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED")
_REQUIRED = {"id", "package", "severity"}
# ECR User Guide, "Troubleshooting image scanning".
UNSUPPORTED = (
    "UnsupportedImageError: The operating system and/or package manager are not supported."
)


class Scanner:
    """Scans images in threads of its own; packages are kept by digest until the process ends."""

    def __init__(self, directory: Path) -> None:
        """`directory` has the registry's data."""
        self._directory = directory
        self._packages: dict[str, list[Package]] = {}
        self._scanning: set[str] = set()
        self._lock = threading.Lock()

    def status(self, digest: str) -> dict[str, str]:
        """Return imageScanStatus without starting a scan."""
        with self._lock:
            if digest not in self._packages:
                return {"status": "IN_PROGRESS" if digest in self._scanning else "PENDING"}
            return {"status": "COMPLETE" if self._packages[digest] else "UNSUPPORTED_IMAGE"}

    def scan(self, manifest: str, digest: str) -> dict[str, Any]:
        """Return imageScanStatus and, once it is COMPLETE, imageScanFindings.

        The first request starts the scan. Raises AwsError for invalid advisories.
        """
        with self._lock:
            contents = self._packages.get(digest)
            if contents is None:
                if digest not in self._scanning:
                    self._scanning.add(digest)
                    threading.Thread(
                        target=self._scan, args=(manifest, digest), daemon=True
                    ).start()
                return {"imageScanStatus": {"status": "IN_PROGRESS"}}
        if not contents:
            return {"imageScanStatus": {"status": "UNSUPPORTED_IMAGE", "description": UNSUPPORTED}}
        advisories = self._advisories()
        vulnerabilities = findings(contents, advisories)
        now = datetime.now(UTC)
        return {
            "imageScanStatus": {
                "status": "COMPLETE",
                "description": (
                    f"The sandbox compared {len(contents)} packages with {len(advisories)} "
                    f"advisories of {self._file.name}."
                ),
            },
            "imageScanFindings": {
                "imageScanCompletedAt": now,
                "vulnerabilitySourceUpdatedAt": now,
                "findings": vulnerabilities,
                "findingSeverityCounts": dict(
                    Counter(item["severity"] for item in vulnerabilities)
                ),
            },
        }

    @property
    def _file(self) -> Path:
        return self._directory / "advisories.json"

    def _scan(self, manifest: str, digest: str) -> None:
        contents: list[Package] = []
        try:
            contents = packages(self._image(json.loads(manifest)))
        except (OSError, EOFError, KeyError, ValueError, tarfile.TarError):
            pass  # a list, an artifact, or a compression that ECR does not know either
        finally:
            with self._lock:
                self._packages[digest] = contents
                self._scanning.discard(digest)

    def _image(self, manifest: Mapping[str, Any]) -> OciImage:
        return OciImage(
            manifest=b"",
            config=b"",
            layers=tuple(
                Layer(
                    digest=layer["digest"],
                    diff_id="",
                    size=layer["size"],
                    path=blob_path(self._directory, layer["digest"]),
                )
                for layer in manifest["layers"]
            ),
        )

    def _advisories(self) -> list[Mapping[str, Any]]:
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        except ValueError as error:
            raise AwsError("ValidationException", f"{self._file} is not JSON: {error}") from None
        for entry in content if isinstance(content, list) else [None]:
            if (
                not isinstance(entry, dict)
                or not entry.keys() >= _REQUIRED
                or entry["severity"] not in _SEVERITIES
            ):
                text = (
                    f"{self._file} must be a list of objects with id, package and severity "
                    f"({', '.join(_SEVERITIES)})"
                )
                raise AwsError("ValidationException", text)
        return list(content)


def scan_findings_of(scanner: Scanner) -> Callable[..., dict[str, Any]]:
    """Return moto's describe_image_scan_findings with findings of `scanner`."""

    def describe_image_scan_findings(
        backend: Any, registry_id: str, repository_name: str, image_id: dict[str, Any]
    ) -> dict[str, Any]:
        repository = backend._get_repository(repository_name, registry_id)
        image = repository._get_image(image_id.get("imageTag"), image_id.get("imageDigest"))
        if not image.last_scan:
            tag = image_id.get("imageTag") or "null"
            reference = f"{{imageDigest:'{image.image_digest}', imageTag:'{tag}'}}"
            raise ScanNotFoundException(
                image_id=reference,
                repository_name=repository_name,
                registry_id=repository.registry_id,
            )
        return {
            "registryId": repository.registry_id,
            "repositoryName": repository_name,
            "imageId": {"imageDigest": image.image_digest, "imageTag": image.image_tag},
            **scanner.scan(image.image_manifest, image.image_digest),
        }

    return describe_image_scan_findings


def findings(
    contents: Sequence[Package], advisories: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the findings of a basic scan, the most severe first."""
    matches = [
        {
            "name": advisory["id"],
            "description": advisory.get("description", ""),
            "uri": advisory.get("uri", ""),
            "severity": advisory["severity"],
            "attributes": [
                {"key": "package_name", "value": name},
                {"key": "package_version", "value": version},
            ],
        }
        for kind, name, version in contents
        for advisory in advisories
        if advisory["package"] == f"pkg:{kind}/{name}"
        and version in advisory.get("versions", [version])
    ]
    return sorted(matches, key=lambda item: (_SEVERITIES.index(item["severity"]), item["name"]))
