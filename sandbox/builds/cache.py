"""The cache of a project: files of one build that the next one gets, local or in S3."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from sandbox.builds import file_patterns
from sandbox.builds.aws_session import AwsSession

_AWS_HOME = "/root"  # HOME of AWS's build images; here it is the build's private directory
_LOCAL_MODE = "LOCAL_CUSTOM_CACHE"


@dataclass(frozen=True, kw_only=True)
class BuildCache:
    """The cache of one build: paths of its buildspec, in its source directory or below HOME."""

    config: Mapping[str, Any]
    """The project's `cache`."""
    paths: Sequence[str]
    key: str
    directory: Path
    """Local caches of the project."""
    source: Path
    home: Path
    session: AwsSession
    note: Callable[[str], None]

    @property
    def _enabled(self) -> bool:
        kind = self.config.get("type", "NO_CACHE")
        local = kind == "LOCAL" and _LOCAL_MODE in (self.config.get("modes") or ())
        return bool(self.paths) and (local or kind == "S3")

    def restore(self) -> None:
        """Extract the cached files; a missing cache is no error."""
        if not self._enabled:
            return
        content = self._read()
        if content is None:
            self.note("Unable to download cache: no cache exists")
            return
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            for member in archive:
                root, _, path = member.name.partition("/")
                member.name = path
                archive.extract(member, self._root(root))
        self.note(f"Restored the cache of {len(self.paths)} path(s)")

    def save(self) -> None:
        """Store the files; like AWS, a failure does not fail the build."""
        if not self._enabled:
            return
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for pattern in self.paths:
                root, relative = self._place(pattern)
                if root is None:
                    self.note(f"Unable to cache {pattern}: not in the source directory or HOME")
                    continue
                base = self._root(root)
                for file in file_patterns.find(base, [relative, f"{relative.rstrip('/')}/**/*"]):
                    archive.add(file, f"{root}/{file.relative_to(base)}")
        try:
            self._write(buffer.getvalue())
        except (ClientError, OSError) as error:
            self.note(f"Unable to upload cache: {error}")

    def _place(self, pattern: str) -> tuple[str | None, str]:
        """Return "source" or "home", and the pattern below it."""
        for root, prefix in (
            ("source", f"{self.source}/"),
            ("home", f"{self.home}/"),
            ("home", f"{_AWS_HOME}/"),
            ("home", "~/"),
            ("home", "$HOME/"),
        ):
            if pattern.startswith(prefix):
                return root, pattern.removeprefix(prefix)
        return (None, pattern) if pattern.startswith("/") else ("source", pattern)

    def _root(self, name: str) -> Path:
        return self.source if name == "source" else self.home

    @property
    def _object(self) -> tuple[str, str]:
        location = str(self.config["location"]).removeprefix("arn:aws:s3:::")
        bucket, _, prefix = location.partition("/")
        name = self.key or "cache"
        return bucket, f"{prefix.rstrip('/')}/{name}.tar.gz".lstrip("/")

    @property
    def _file(self) -> Path:
        return self.directory / f"{(self.key or 'cache').replace('/', '_')}.tar.gz"

    def _read(self) -> bytes | None:
        if self.config["type"] == "LOCAL":
            return self._file.read_bytes() if self._file.is_file() else None
        bucket, key = self._object
        try:
            response = self.session.client("s3").get_object(Bucket=bucket, Key=key)
        except ClientError:
            return None
        content: bytes = response["Body"].read()
        return content

    def _write(self, content: bytes) -> None:
        if self.config["type"] == "LOCAL":
            self.directory.mkdir(parents=True, exist_ok=True)
            temporary = self._file.with_suffix(".new")
            temporary.write_bytes(content)
            temporary.replace(self._file)
            return
        bucket, key = self._object
        self.session.client("s3").put_object(Bucket=bucket, Key=key, Body=content)
