"""The operating system user of PostgreSQL, which refuses to run as root, and where its data is.

Root's servers run as `nobody`, which must be able to enter every directory above the data.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

_OUTSIDE = Path("/var/lib/sandbox-databases")


@dataclass(frozen=True)
class User:
    """An unprivileged user."""

    uid: int
    gid: int


def server_user() -> User | None:
    """Return the user to switch to, or None if this process is not root's."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return User(entry.pw_uid, entry.pw_gid)


def data_directory(inside: Path) -> Path:
    """Return `inside` if the server's user can reach it, else a directory below /var/lib."""
    if os.geteuid() != 0 or is_reachable(inside.parent.parent):
        return inside
    return _OUTSIDE / hashlib.sha256(str(inside).encode()).hexdigest()[:16]


def is_reachable(path: Path) -> bool:
    """Whether every user can enter a directory or execute a file, and all directories above it."""
    return all(item.stat().st_mode & stat.S_IXOTH for item in (path, *path.parents))


def admit(directory: Path) -> None:
    """Let the server's user pass through a directory and the sandbox's, without listing them."""
    if os.geteuid() != 0:
        return
    directory.chmod(0o711)
    directory.parent.chmod(0o711)
