"""Downloads a build's sources, in the phase DOWNLOAD_SOURCE."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from sandbox.builds.aws_session import AwsSession
from sandbox.builds.errors import PhaseError
from sandbox.contracts.build_runner import BuildOrder

GitRepository = Callable[[str], Path | None]
"""Returns the local repository of a source's location, or None if there is none."""

Permits = Callable[[str, str, str, str], None]
"""Raises PermissionError if an access key may not do an action on a resource in a region."""

LOCAL = "SANDBOX_LOCAL"
"""The type of a source in a directory of this machine, for `sandbox codebuild run`."""
_SKIPPED = (".sandbox", ".venv", "__pycache__")


@dataclass(kw_only=True)
class Sources:
    """The directories of primary and secondary sources, by identifier, and the versions."""

    primary: Path
    secondary: dict[str, Path] = field(default_factory=dict)
    version: str = ""
    resolved_version: str = ""


def download(
    order: BuildOrder, directory: Path, session: AwsSession, repository: GitRepository
) -> Sources:
    """Download all sources below `directory`. Raises PhaseError."""
    project = order.project
    sources = Sources(primary=directory / "src", version=order.source_version)
    sources.primary.mkdir(parents=True)
    if order.pipeline is not None and project["source"]["type"] == "CODEPIPELINE":
        check_buckets(session, {artifact.bucket for artifact in order.pipeline.inputs})
        for artifact in order.pipeline.inputs:
            target = sources.primary
            if artifact.name != order.pipeline.primary:
                target = sources.secondary[artifact.name] = directory / artifact.name
                target.mkdir()
            _extract(_object(session, artifact.bucket, artifact.key), target)
        primary = next(a for a in order.pipeline.inputs if a.name == order.pipeline.primary)
        sources.resolved_version = order.source_version
        sources.version = f"arn:aws:s3:::{primary.bucket}/{primary.key}"
        return sources
    resolved = _download(project["source"], order.source_version, sources.primary, session,
                         repository)  # fmt: skip
    sources.resolved_version = resolved
    versions = {
        item["sourceIdentifier"]: item["sourceVersion"]
        for item in project.get("secondarySourceVersions") or ()
    }
    for source in project.get("secondarySources") or ():
        identifier = source["sourceIdentifier"]
        target = sources.secondary[identifier] = directory / identifier
        target.mkdir()
        _download(source, versions.get(identifier, ""), target, session, repository)
    return sources


def check_connections(order: BuildOrder, session: AwsSession, permits: Permits) -> None:
    """Refuse a connection that the service role may not use. Raises PhaseError.

    Source: CodeBuild User Guide, "GitHub App connections".
    """
    for source in (order.project["source"], *(order.project.get("secondarySources") or ())):
        auth = source.get("auth") or {}
        if auth.get("type") != "CODECONNECTIONS":
            continue
        action = f"{auth['resource'].split(':')[2]}:GetConnectionToken"
        key = session.credentials["AWS_ACCESS_KEY_ID"]
        try:
            permits(key, session.region, action, auth["resource"])
        except PermissionError as error:
            raise PhaseError("CLIENT_ERROR", f"Access denied to connection: {error}") from None


def _download(
    source: Mapping[str, Any],
    version: str,
    target: Path,
    session: AwsSession,
    repository: GitRepository,
) -> str:
    """Download one source; return its resolved version."""
    match source["type"]:
        case "NO_SOURCE":
            return ""
        case "S3":
            return _download_s3(source["location"], version, target, session)
        case "CODEPIPELINE":
            raise PhaseError("CLIENT_ERROR", "the build was not started by a pipeline")
        case str(kind) if kind == LOCAL:
            copy_directory(Path(source["location"]), target)
            return ""
    local = repository(source["location"])
    if local is None:
        raise PhaseError(
            "CLIENT_ERROR",
            f"the sandbox has no local repository for the {source['type']} source "
            f"{source['location']}; use the source type S3 or NO_SOURCE, or start the build from "
            "a pipeline",
        )
    return _clone(local, version, target)


def _download_s3(location: str, version: str, target: Path, session: AwsSession) -> str:
    """Extract a zip file, or copy every object of a folder ("bucket/path/")."""
    bucket, _, key = location.removeprefix("arn:aws:s3:::").partition("/")
    if key and not key.endswith("/"):
        content = _object(session, bucket, key, version)
        if zipfile.is_zipfile(io.BytesIO(content)):
            _extract(content, target)
        else:
            (target / Path(key).name).write_bytes(content)
        return version
    try:
        pages = session.client("s3").get_paginator("list_objects_v2")
        keys = [
            item["Key"]
            for page in pages.paginate(Bucket=bucket, Prefix=key)
            for item in page.get("Contents") or ()
        ]
    except ClientError as error:
        raise _source_error(bucket, key, error) from None
    for name in keys:
        file = (target / name.removeprefix(key)).resolve()
        if not name.endswith("/") and file.is_relative_to(target.resolve()):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(_object(session, bucket, name))
    return ""


def check_buckets(session: AwsSession, buckets: Collection[str]) -> None:
    """Read the location and access control list of artifact buckets. Raises PhaseError.

    Source: CodeBuild User Guide, "Create a CodeBuild service role": both need a grant.
    """
    s3 = session.client("s3")
    for bucket in buckets:
        try:
            s3.get_bucket_location(Bucket=bucket)
            s3.get_bucket_acl(Bucket=bucket)
        except ClientError as error:
            raise _source_error(bucket, "", error) from None


def _object(session: AwsSession, bucket: str, key: str, version: str = "") -> bytes:
    arguments = {"Bucket": bucket, "Key": key, **({"VersionId": version} if version else {})}
    try:
        content: bytes = session.client("s3").get_object(**arguments)["Body"].read()
    except ClientError as error:
        raise _source_error(bucket, key, error) from None
    return content


def _source_error(bucket: str, key: str, error: ClientError) -> PhaseError:
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    return PhaseError(
        "CLIENT_ERROR",
        f"error while downloading key {key}, error: {code}: {message} for primary source and "
        f"source version arn:aws:s3:::{bucket}/{key}",
    )


def _extract(content: bytes, target: Path) -> None:
    """Extract a zip file with permissions and symbolic links, inside `target` only."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile as error:
        raise PhaseError("CLIENT_ERROR", f"the source is no zip file: {error}") from None
    root = target.resolve()
    with archive:
        for item in archive.infolist():
            path = Path(os.path.normpath(root / item.filename))
            if not path.is_relative_to(root) or not path.parent.resolve().is_relative_to(root):
                raise PhaseError(
                    "CLIENT_ERROR", f"the source's file {item.filename} is outside of it"
                )
            mode = item.external_attr >> 16
            if item.is_dir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if stat.S_ISLNK(mode):
                path.unlink(missing_ok=True)
                path.symlink_to(archive.read(item).decode())
                continue
            with archive.open(item) as source, path.open("wb") as file:
                shutil.copyfileobj(source, file)
            if stat.S_IMODE(mode):
                path.chmod(stat.S_IMODE(mode))


def _clone(repository: Path, version: str, target: Path) -> str:
    """Clone a local repository at a version; return the commit.

    `pr/NUMBER` is the reference `refs/pull/NUMBER/BRANCH` of the sandbox's repositories.
    """
    checkout = version or "HEAD"
    fetch = []
    if version.startswith("pr/"):
        checkout = "FETCH_HEAD"
        # A pull request has one base branch, so the pattern matches one reference.
        pattern = f"refs/pull/{version.removeprefix('pr/')}/*"
        fetch = [["git", "-C", str(target), "fetch", "--quiet", "origin", f"{pattern}:{pattern}"]]
    commands = [
        ["git", "clone", "--quiet", "--no-hardlinks", str(repository), str(target)],
        *fetch,
        ["git", "-C", str(target), "checkout", "--quiet", checkout],
        ["git", "-C", str(target), "rev-parse", "HEAD"],
    ]
    output = ""
    for command in commands:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise PhaseError(
                "CLIENT_ERROR",
                f"{' '.join(command[:2])} failed for source version {version or 'HEAD'}: "
                f"{result.stderr.strip()}",
            )
        output = result.stdout.strip()
    return output


def copy_directory(source: Path, target: Path) -> None:
    """Copy a directory without the sandbox's files."""
    try:
        shutil.copytree(
            source,
            target,
            symlinks=True,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns(*_SKIPPED),
        )
    except shutil.Error as error:
        raise PhaseError("CLIENT_ERROR", f"{source} cannot be copied: {error}") from None
