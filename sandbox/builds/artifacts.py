"""Uploads a build's artifacts, in the phase UPLOAD_ARTIFACTS."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from sandbox.builds import file_patterns
from sandbox.builds.aws_session import AwsSession
from sandbox.builds.buildspec import Artifacts, ArtifactSet
from sandbox.builds.errors import PhaseError
from sandbox.contracts.build_runner import BuildOrder

_DATE = (1980, 1, 1, 0, 0, 0)  # equal files give an equal archive


class ArtifactUpload:
    """Uploads the artifacts of one build; `note` writes to its log, `expand` expands variables."""

    def __init__(
        self,
        order: BuildOrder,
        source: Path,
        session: AwsSession,
        *,
        note: Callable[[str], None],
        expand: Callable[[str], str],
    ) -> None:
        self._order, self._source, self._session = order, source, session
        self._note, self._expand = note, expand

    def upload(self, artifacts: Artifacts | None) -> dict[str, Any]:
        """Upload all; return `artifacts` and `secondaryArtifacts` of the build."""
        if self._order.pipeline is not None:
            self._upload_pipeline(artifacts)
            return {}
        result: dict[str, Any] = {}
        primary = self._order.project["artifacts"]
        if primary["type"] == "S3" and artifacts is not None and artifacts.files:
            result["artifacts"] = self._upload_s3(primary, artifacts)
        secondary = []
        sets = artifacts.secondary_artifacts if artifacts is not None else {}
        for target in self._order.project.get("secondaryArtifacts") or ():
            identifier = target["artifactIdentifier"]
            if identifier not in sets:
                raise _missing(identifier)
            uploaded = self._upload_s3(target, sets[identifier])
            secondary.append({"artifactIdentifier": identifier, **uploaded})
        if secondary:
            result["secondaryArtifacts"] = secondary
        return result

    def _upload_pipeline(self, artifacts: Artifacts | None) -> None:
        """Upload each output; several need secondary artifacts with the outputs' names."""
        pipeline = self._order.pipeline
        assert pipeline is not None  # noqa: S101 - the caller has checked it
        sets = artifacts.secondary_artifacts if artifacts is not None else {}
        for output in pipeline.outputs:
            chosen: ArtifactSet | None = sets.get(output.name)
            if chosen is None and len(pipeline.outputs) == 1 and artifacts and artifacts.files:
                chosen = artifacts
            if chosen is None:
                raise _missing(output.name)
            content = _zip(self._files(chosen), links=chosen.enable_symlinks)
            self._put(output.bucket, output.key, content, key=pipeline.encryption_key)

    def _upload_s3(self, target: Mapping[str, Any], artifacts: ArtifactSet) -> dict[str, Any]:
        bucket = target["location"].removeprefix("arn:aws:s3:::")
        name = target.get("name") or self._order.project["name"]
        if target.get("overrideArtifactName") and artifacts.name:
            name = self._expand(artifacts.name)
        parts = [target.get("path") or ""]
        if target.get("namespaceType") == "BUILD_ID":
            parts.append(self._order.id.partition(":")[2])
        parts.append("" if name == "/" else name)
        prefix = "/".join(part.strip("/") for part in parts if part.strip("/"))
        key = "" if target.get("encryptionDisabled") else self._order.project["encryptionKey"]
        files = self._files(artifacts)
        facts: dict[str, Any] = {"location": f"arn:aws:s3:::{bucket}/{prefix}".rstrip("/")}
        if target.get("packaging") == "ZIP":
            content = _zip(files, links=artifacts.enable_symlinks)
            self._put(bucket, prefix, content, key=key)
            facts["sha256sum"] = hashlib.sha256(content).hexdigest()
            facts["md5sum"] = hashlib.md5(content, usedforsecurity=False).hexdigest()
        else:
            for path, file in files.items():
                self._put(bucket, f"{prefix}/{path}".lstrip("/"), file.read_bytes(), key=key)
        return {**facts, "encryptionDisabled": not key}

    def _files(self, artifacts: ArtifactSet) -> dict[str, Path]:
        """Return files by their path in the artifact. Raises PhaseError if there is none."""
        directory = self._expand(artifacts.base_directory) or "."
        self._note(f"Expanding base directory path: {directory}")
        bases = [self._source / directory]
        if set(directory) & set("*?["):
            bases = sorted(path for path in self._source.glob(directory) if path.is_dir())
        self._note("Assembling file list")
        patterns = [self._expand(pattern) for pattern in artifacts.files]
        excluded = [self._expand(pattern) for pattern in artifacts.exclude_paths]
        files: dict[str, Path] = {}
        for base in bases:
            for pattern in patterns:
                self._note(f"Expanding {pattern}")
            for file in file_patterns.find(base, patterns, excluded):
                inside = Path(base.name) / file.relative_to(base) if len(bases) > 1 else (
                    file.relative_to(base)
                )  # fmt: skip
                path = file.name if artifacts.discard_paths else str(inside)
                files[path.replace("../", "")] = file
        if not files:
            raise PhaseError("CLIENT_ERROR", "no matching artifact paths found")
        self._note(f"Found {len(files)} file(s)")
        return files

    def _put(self, bucket: str, name: str, content: bytes, *, key: str) -> None:
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
        try:
            self._session.client("s3").put_object(
                Bucket=bucket, Key=name, Body=content, **encryption
            )
        except ClientError as error:
            code = error.response["Error"]["Code"]
            raise PhaseError(
                "CLIENT_ERROR",
                f"Failed to upload artifacts: {code}: {error.response['Error']['Message']}",
            ) from None


def _missing(name: str) -> PhaseError:
    return PhaseError(
        "CLIENT_ERROR", f"no definition for artifact {name} in the buildspec's artifacts"
    )


def _zip(files: Mapping[str, Path], *, links: bool) -> bytes:
    """Return a zip file with permissions; without `links`, symbolic links are followed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, file in sorted(files.items()):
            is_link = links and file.is_symlink()
            if not is_link and not file.is_file():
                continue
            item = zipfile.ZipInfo(path, _DATE)
            item.external_attr = file.stat(follow_symlinks=not is_link).st_mode << 16
            item.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(item, str(file.readlink()) if is_link else file.read_bytes())
    return buffer.getvalue()
