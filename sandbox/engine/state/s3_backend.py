"""The state in an S3 bucket: `s3://BUCKET[/PREFIX]?region=REGION`, in the CLI's layout.

Files are read and written in a temporary directory, which is kept in step with the bucket.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.engine.errors import EngineError, UsageError
from sandbox.engine.state.backend import Backend

_OPTIONS = {"region", "profile", "awssdk", "endpoint", "s3ForcePathStyle"}


class S3Backend(Backend):
    """The stacks in the bucket of `PULUMI_BACKEND_URL=s3://…`."""

    def __init__(self, url: str) -> None:
        """Refuse an unknown URL and a bucket that is not readable."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        if parts.scheme != "s3" or not parts.netloc or options.keys() - _OPTIONS:
            raise UsageError(
                f"The location of the state is {url!r}; expected is file:///DIRECTORY or "
                "s3://BUCKET?region=REGION."
            )
        self._files = tempfile.TemporaryDirectory(prefix="pulumi-state-")
        super().__init__(Path(self._files.name))
        self.location = url
        self._bucket = parts.netloc
        prefix = parts.path.strip("/")
        self._prefix = f"{prefix}/.pulumi/" if prefix else ".pulumi/"
        self._versions: dict[str, str] = {}  # ETag of each object that was read
        path_style = {"addressing_style": "path"} if "s3ForcePathStyle" in options else {}
        try:
            session = boto3.session.Session(profile_name=options.get("profile"))
            self._client: Any = session.client(
                "s3",
                region_name=options.get("region"),
                endpoint_url=options.get("endpoint"),
                config=Config(s3=path_style),
            )
            self._client.head_bucket(Bucket=self._bucket)
        except (BotoCoreError, ClientError) as error:
            raise self._failure(error, "cannot be opened") from error

    def pull(self, folder: str) -> None:
        """Download what has changed, and remove what was deleted."""
        prefix = f"{self._prefix}{folder}"
        present: set[str] = set()
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix
            )
            for item in (item for page in pages for item in page.get("Contents") or []):
                key = item["Key"]
                present.add(key)
                path = self._path(key)
                if self._versions.get(key) == item["ETag"] and path.exists():
                    continue
                content = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                self._versions[key] = item["ETag"]
        except (BotoCoreError, ClientError) as error:
            raise self._failure(error, "cannot be read") from error
        for key in [key for key in self._versions if key.startswith(prefix)]:
            if key not in present:
                del self._versions[key]
                self._path(key).unlink(missing_ok=True)

    def push(self, path: Path) -> None:
        """Upload a file, or delete its object if the file is gone."""
        key = self._key(path)
        try:
            if path.exists():
                response = self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=path.read_bytes()
                )
                self._versions[key] = response["ETag"]
            else:
                self._client.delete_object(Bucket=self._bucket, Key=key)
                self._versions.pop(key, None)
        except (BotoCoreError, ClientError) as error:
            raise self._failure(error, "cannot be written") from error

    def place(self, path: Path) -> str:
        """Return the object of a file."""
        return f"s3://{self._bucket}/{self._key(path)}"

    def _copies(self, project: str, stack: str) -> str:
        del project, stack
        return "The bucket has its earlier versions, if it is versioned."

    def _key(self, path: Path) -> str:
        return self._prefix + path.relative_to(self.directory).as_posix()

    def _path(self, key: str) -> Path:
        return self.directory / key.removeprefix(self._prefix)

    def _failure(self, error: Exception, what: str) -> EngineError:
        return EngineError(
            f"The state in {self.location} {what}: {error}. Check the bucket, the region and your "
            "credentials."
        )
