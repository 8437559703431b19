"""The file backend: checkpoints, locks, history and backups under `.pulumi/`, as the Pulumi CLI's."""

from __future__ import annotations

import getpass
import gzip
import json
import os
import secrets
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


class Backend:
    """The stacks in the directory of `PULUMI_BACKEND_URL=file://…`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / ".pulumi"

    def stacks(self, project: str) -> list[str]:
        """Return the names of the project's stacks, sorted."""
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
        path = self._checkpoint(project, stack)
        packed = path.with_name(path.name + ".gz")
        if not path.exists() and not packed.exists():
            raise UsageError(
                f"There is no stack {stack!r} of project {project!r} in {self.directory}."
            )
        try:
            document = json.loads(
                path.read_bytes() if path.exists() else gzip.decompress(packed.read_bytes())
            )
        except (ValueError, EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise EngineError(
                f"{path} is not valid JSON ({error}). {path.name}.bak is a copy from before the "
                "last operation."
            ) from error
        version = document.get("version") if isinstance(document, dict) else None
        if version not in (None, 3, 4):
            raise EngineError(
                f"{path} has checkpoint version {version}; versions 3 and 4 are supported."
            )
        if version and (unknown := unknown_features(document)):
            raise EngineError(
                f"{path} uses {', '.join(unknown)}, which this engine does not support. Use the "
                "Pulumi CLI."
            )
        checkpoint = document.get("checkpoint") if version else None
        latest = (checkpoint.get("latest") or {}) if isinstance(checkpoint, dict) else None
        if problem := "it has no checkpoint" if latest is None else validate_deployment(latest):
            raise EngineError(
                f"{path} is damaged: {problem}. {path.name}.bak is a copy from before the last "
                "operation."
            )
        return cast("dict[str, Any]", latest)

    def write(
        self,
        project: str,
        stack: str,
        deployment: str,
        features: Sequence[str],
        *,
        keep_backup: bool = False,
    ) -> None:
        """Replace the stack's deployment (JSON text; empty for none) atomically."""
        self._prepare()
        path = self._checkpoint(project, stack)
        path.parent.mkdir(parents=True, exist_ok=True)
        if keep_backup and path.exists():
            _write(path.with_name(path.name + ".bak"), path.read_text())
        latest = f',"latest":{deployment}' if deployment else ""
        name = json.dumps(f"organization/{project}/{stack}")
        version = f'4,"features":{json.dumps(features)}' if features else "3"
        _write(path, f'{{"version":{version},"checkpoint":{{"stack":{name}{latest}}}}}')
        path.with_name(path.name + ".gz").unlink(missing_ok=True)

    def backup(self, project: str, stack: str) -> None:
        """Copy the checkpoint to the backups."""
        path = self._checkpoint(project, stack)
        if path.exists():
            folder = self.directory / "backups" / project / stack
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / f"{stack}.{time.time_ns()}.json", path.read_text())

    def record(self, project: str, stack: str, update: dict[str, Any]) -> None:
        """Add an operation and its checkpoint to the stack's history."""
        folder = self.directory / "history" / project / stack
        folder.mkdir(parents=True, exist_ok=True)
        prefix = f"{stack}-{time.time_ns()}"
        _write(folder / f"{prefix}.history.json", json.dumps(update, separators=(",", ":")))
        _write(folder / f"{prefix}.checkpoint.json", self._checkpoint(project, stack).read_text())

    def history(self, project: str, stack: str) -> list[dict[str, Any]]:
        """Return the stack's operations, the newest first."""
        directory = self.directory / "history" / project / stack
        files = sorted(directory.glob("*.history.json"), reverse=True)
        return [json.loads(file.read_text()) for file in files]

    @contextmanager
    def lock(self, project: str, stack: str) -> Iterator[None]:
        """Hold the stack's lock. Raises EngineError naming its holder; clears locks of dead
        processes.
        """
        self._prepare()
        folder = self.directory / "locks" / "organization" / project / stack
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
        try:
            self._refuse_if_locked(folder, own)
            yield
        finally:
            own.unlink(missing_ok=True)

    @staticmethod
    def _refuse_if_locked(folder: Path, own: Path | None) -> None:
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
                continue
            raise EngineError(
                f"The stack is locked by {holder.get('username')}@{holder.get('hostname')} (pid "
                f"{holder.get('pid')}) since {holder.get('timestamp')}. Wait for that operation "
                f"to end; if it died on another machine, delete {path}."
            )

    def _prepare(self) -> None:
        meta = self.directory / "meta.yaml"
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

    def _checkpoint(self, project: str, stack: str) -> Path:
        return self.directory / "stacks" / project / f"{stack}.json"


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
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise EngineError(
            f"{path} cannot be written: {error.strerror or error}. Fix that and run this again; "
            "it continues."
        ) from error
