"""The state: checkpoints, locks, history and backups under `.pulumi/`, as the CLI's.

They are files of a directory; `s3_backend` keeps such a directory in step with a bucket.
"""

from __future__ import annotations

import getpass
import gzip
import json
import os
import secrets
import shutil
import socket
import time
import uuid
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from sandbox.engine.errors import EngineError, UsageError
from sandbox.engine.state.resource import unknown_features

_LAYOUT = 1  # stacks are stored by project, the layout of new backends


Location = Path | str  # a directory, or the URL of a bucket


def open_backend(location: Location) -> Backend:
    """Open the state in a directory, or in the bucket of a URL `s3://…`; raises EngineError."""
    if isinstance(location, Path):
        return Backend(location)
    # boto3 takes 0.3 s to import, and most states are files.
    from sandbox.engine.state.s3_backend import S3Backend  # noqa: PLC0415

    return S3Backend(location)


class Backend:
    """The stacks in the directory of `PULUMI_BACKEND_URL=file://…`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / ".pulumi"
        self.location = str(self.directory)

    def pull(self, folder: str) -> None:
        """Update a folder from where the state is stored; a directory stores it itself."""

    def push(self, path: Path) -> None:
        """Store a file that was written or removed."""

    def stacks(self, project: str) -> list[str]:
        """Return the names of the project's stacks, sorted."""
        self.pull(f"stacks/{project}")
        folder = self.directory / "stacks" / project
        return sorted(
            {
                path.name.split(".json", 1)[0]
                for path in folder.glob("*.json*")
                if _is_checkpoint(path)
            }
        )

    def exists(self, project: str, stack: str) -> bool:
        """Whether the stack exists."""
        return stack in self.stacks(project)

    def read(self, project: str, stack: str) -> dict[str, Any]:
        """Return the stack's deployment, empty for a new stack; EngineError if the file is
        unusable.
        """
        self.pull(f"stacks/{project}")
        path = self.checkpoint(project, stack)
        packed, place = path.with_name(path.name + ".gz"), self.place(path)
        if not path.exists() and not packed.exists():
            raise UsageError(
                f"There is no stack {stack!r} of project {project!r} in {self.location}."
            )
        try:
            document = json.loads(
                path.read_bytes() if path.exists() else gzip.decompress(packed.read_bytes())
            )
        except (ValueError, EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise EngineError(
                f"{place} is damaged: it is not valid JSON ({error}). "
                f"{self._copies(project, stack)}"
            ) from error
        except OSError as error:
            raise EngineError(
                f"{place} cannot be read: {error.strerror or error}. Make it readable, or replace "
                f"it. {self._copies(project, stack)}"
            ) from error
        version = document.get("version") if isinstance(document, dict) else None
        if version not in (None, 3, 4):
            raise EngineError(
                f"{place} has checkpoint version {version}; versions 3 and 4 are supported."
            )
        if version and (unknown := unknown_features(document)):
            raise EngineError(
                f"{place} uses {', '.join(unknown)}, which this engine does not support. Use the "
                "Pulumi CLI."
            )
        checkpoint = document.get("checkpoint") if version else None
        latest = (checkpoint.get("latest") or {}) if isinstance(checkpoint, dict) else None
        if problem := "it has no checkpoint" if latest is None else validate_deployment(latest):
            raise EngineError(f"{place} is damaged: {problem}. {self._copies(project, stack)}")
        return cast("dict[str, Any]", latest)

    def newest_copy(self, project: str, stack: str) -> Path | None:
        """Return the newest readable copy of the state: `.bak`, the state before the last write;
        of the history, after the last operation; or of the backups, before an operation.
        """
        path = self.checkpoint(project, stack)
        copies = [path.with_name(path.name + ".bak")]
        copies += (self.directory / "history" / project / stack).glob("*.checkpoint.json")
        copies += (self.directory / "backups" / project / stack).glob("*.json")
        readable = [copy for copy in copies if _deployment(copy) is not None]
        return max(readable, key=lambda copy: copy.stat().st_mtime_ns, default=None)

    def newest_history(self, project: str, stack: str) -> Path | None:
        """Return the newest state of the history."""
        folder = self.directory / "history" / project / stack
        return max(folder.glob("*.checkpoint.json"), default=None)

    def _copies(self, project: str, stack: str) -> str:
        copy = self.newest_copy(project, stack)
        if copy is None:
            return (
                "There is no readable copy of it. Import one of yours "
                f"(`import {stack} --file FILE`), or erase account and stacks: `reset`."
            )
        when = datetime.fromtimestamp(copy.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"Its newest copy is of {when}; `import {stack} --file {copy}` restores it."

    def write(
        self,
        project: str,
        stack: str,
        deployment: str,
        features: Sequence[str],
    ) -> None:
        """Replace the stack's deployment (JSON text; empty for none) atomically; keep the former
        one in `.bak`.
        """
        self._prepare()
        path = self.checkpoint(project, stack)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            path.rename(path.with_name(f"{path.name}.damaged-{time.time_ns()}"))
        if path.is_file():  # as the CLI does; a copy from before an operation would lack resources
            _keep(path)
        latest = ',"latest":' if deployment else ""
        name = json.dumps(f"organization/{project}/{stack}")
        version = f'4,"features":{json.dumps(features)}' if features else "3"
        head = f'{{"version":{version},"checkpoint":{{"stack":{name}'
        _write(path, head, latest, deployment, "}}")
        self.push(path)
        packed = path.with_name(path.name + ".gz")
        if packed.exists():
            packed.unlink()
            self.push(packed)

    def backup(self, project: str, stack: str) -> None:
        """Copy the checkpoint to the backups."""
        path = self.checkpoint(project, stack)
        if path.is_file():
            folder = self.directory / "backups" / project / stack
            folder.mkdir(parents=True, exist_ok=True)
            copy = folder / f"{stack}.{time.time_ns()}.json"
            shutil.copyfile(path, copy)
            self.push(copy)

    def record(self, project: str, stack: str, update: dict[str, Any]) -> None:
        """Add an operation and its checkpoint to the stack's history."""
        folder = self.directory / "history" / project / stack
        folder.mkdir(parents=True, exist_ok=True)
        prefix = f"{stack}-{time.time_ns()}"
        entry, state = (folder / f"{prefix}.{kind}.json" for kind in ("history", "checkpoint"))
        _write(entry, json.dumps(update, separators=(",", ":")))
        _write(state, self.checkpoint(project, stack).read_text())
        self.push(entry)
        self.push(state)

    def history(self, project: str, stack: str) -> list[dict[str, Any]]:
        """Return the stack's operations, the newest first."""
        self.pull(f"history/{project}/{stack}")
        directory = self.directory / "history" / project / stack
        files = sorted(directory.glob("*.history.json"), reverse=True)
        return [_entry(file) for file in files]

    @contextmanager
    def lock(self, project: str, stack: str) -> Iterator[None]:
        """Hold the stack's lock. Raises EngineError naming its holder; clears locks of dead
        processes.
        """
        self._prepare()
        folder = self._locks(project, stack)
        folder.mkdir(parents=True, exist_ok=True)
        self._refuse_if_locked(folder, None)
        own = folder / f"{uuid.uuid4()}.json"
        holder = {
            "pid": os.getpid(),
            "username": _user(),
            "hostname": socket.gethostname(),
            "timestamp": now(),
        }
        _write(own, json.dumps(holder))
        self.push(own)
        try:
            self._refuse_if_locked(folder, own)
            yield
        finally:
            own.unlink(missing_ok=True)
            self.push(own)

    def refuse_if_locked(self, project: str, stack: str) -> None:
        """Raise EngineError naming the lock's holder; clear locks of dead processes."""
        self._refuse_if_locked(self._locks(project, stack), None)

    def _locks(self, project: str, stack: str) -> Path:
        return self.directory / "locks" / "organization" / project / stack

    def _refuse_if_locked(self, folder: Path, own: Path | None) -> None:
        self.pull(str(folder.relative_to(self.directory)))
        for path in folder.glob("*.json"):
            if path == own:
                continue
            try:
                holder = json.loads(path.read_text())
            except (OSError, ValueError):
                continue  # removed or incomplete: its owner checks again after writing
            if holder.get("hostname") == socket.gethostname() and not _alive(
                int(holder.get("pid", 0))
            ):
                path.unlink(missing_ok=True)
                self.push(path)
                continue
            raise EngineError(
                f"The stack is locked by {holder.get('username')}@{holder.get('hostname')} (pid "
                f"{holder.get('pid')}) since {holder.get('timestamp')}. Wait for that operation "
                f"to end; if it died on another machine, delete {self.place(path)}."
            )

    def _prepare(self) -> None:
        meta = self.directory / "meta.yaml"
        self.pull(meta.name)
        if not meta.exists():
            legacy = (
                list((self.directory / "stacks").glob("*.json")) if self.directory.exists() else []
            )
            if legacy:
                raise EngineError(
                    f"{self.directory} has stacks in the old layout without projects "
                    f"({legacy[0].name}); run `pulumi state upgrade`."
                )
            self.directory.mkdir(parents=True, exist_ok=True)
            _write(meta, f"version: {_LAYOUT}\n")
            self.push(meta)

    def place(self, path: Path) -> str:
        """Return where a file of the state is stored."""
        return str(path)

    def checkpoint(self, project: str, stack: str) -> Path:
        """Return the path of the stack's state."""
        return self.directory / "stacks" / project / f"{stack}.json"


def _entry(file: Path) -> dict[str, Any]:
    try:
        entry: dict[str, Any] = json.loads(file.read_text())
    except ValueError as error:
        raise EngineError(
            f"{file} is damaged: it is not valid JSON ({error}). Delete it; the history lacks this "
            "operation then."
        ) from error
    return entry


def _deployment(path: Path) -> dict[str, Any] | None:
    """Return the deployment of a checkpoint, None if it is not readable."""
    try:
        document = json.loads(path.read_bytes())
        latest = document["checkpoint"]["latest"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return latest if latest and not validate_deployment(latest) else None


def _keep(path: Path) -> None:
    """Link a file as its `.bak`; the next write replaces the file, not its content."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with suppress(OSError):  # a copy is no condition of the write
        os.link(path, temporary)
        temporary.replace(path.with_name(path.name + ".bak"))


def validate_deployment(deployment: Any) -> str:
    """Return what is invalid in a deployment; empty if its resources are readable."""
    if not isinstance(deployment, dict):
        return "the deployment is not a JSON object"
    resources = deployment.get("resources") or []
    if not isinstance(resources, list):
        return "`resources` is not a list"
    for number, item in enumerate(resources, 1):
        if not (
            isinstance(item, dict)
            and isinstance(item.get("urn"), str)
            and isinstance(item.get("type"), str)
            and "custom" in item
        ):
            return f"resource {number} has no `urn`, `type` or `custom`"
    return ""


def now() -> str:
    """Return the current time in checkpoint format."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user ID without a name, as in containers
        return str(os.getuid())


def _is_checkpoint(path: Path) -> bool:
    return path.name.endswith((".json", ".json.gz"))


def _alive(pid: int) -> bool:
    """Whether a process runs. A killed one stays until its parent collects it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return pid > 0


def _write(path: Path, *texts: str) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("w") as file:
            file.writelines(texts)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise EngineError(
            f"{path} cannot be written: {error.strerror or error}. Fix that and run this again; "
            "it continues."
        ) from error
