"""A small Python base image of Debian packages, used where no image registry is reachable.

One run of mmdebstrap gives two file systems: `base` (python3 and its dependencies) and `builder`
(the same with pip, for build stages). Packages are unpacked, not installed, which takes seconds.
Hooks write passwd, group and the certificates, which maintainer scripts would write, and the
package list where scanners expect it (/var/lib/dpkg/status.d, as in distroless images).
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.images.build_request import BuildError

SUITE = "bookworm"
PACKAGES = "base-files,base-passwd,dash,coreutils,findutils,libc-bin,python3,python3-pip-whl,tzdata"
_EXCLUDED = (
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/usr/share/info/*",
    "/usr/share/lintian/*",
)
_HOOKS = (
    'mkdir -p "$1/etc/ssl/certs" && cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"',
    'cp "$1/usr/share/base-passwd/passwd.master" "$1/etc/passwd"',
    'cp "$1/usr/share/base-passwd/group.master" "$1/etc/group"',
    'mkdir -p "$1/var/lib/dpkg/status.d"; for deb in "$1"/var/cache/apt/archives/*.deb; do '
    'dpkg-deb -f "$deb" > "$1/var/lib/dpkg/status.d/$(dpkg-deb -f "$deb" Package)"; done',
)
# Lists and caches of the mirror, and the pip wheel that only the builder includes.
_REMOVED = ("var/lib/apt", "var/cache", "var/log", "usr/share/python-wheels", "etc/apt", "dev")
_PIP_HOME = "usr/local/lib/python3.11/dist-packages"


@dataclass(frozen=True, kw_only=True)
class LocalBase:
    """Two root file systems as tar files; `key` identifies their content and tags their images."""

    key: str
    base: Path
    builder: Path


def problem() -> str | None:
    """Return why no base image can be created on this machine, or None."""
    if shutil.which("mmdebstrap") is None:
        return "mmdebstrap, which creates a base image from Debian packages, is not installed"
    return None


def local_base(cache: Path, architecture: str) -> LocalBase:
    """Return the base of an architecture (amd64, arm64), created on first use (15 s).

    It is reused so that builds are reproducible; delete the directory for newer packages.
    Raises BuildError.
    """
    recipe = hashlib.sha256(
        repr((SUITE, PACKAGES, _EXCLUDED, _HOOKS, _REMOVED)).encode()
    ).hexdigest()[:12]
    directory = cache / f"{SUITE}-{architecture}-{recipe}"
    directory.mkdir(parents=True, exist_ok=True)
    image = LocalBase(key="", base=directory / "base.tar", builder=directory / "builder.tar")
    key_file = directory / "key"
    with _locked(directory / "lock"):
        if not key_file.exists():
            _create(image, architecture, directory / "whole.tar")
            key_file.write_text(
                hashlib.sha256(image.base.read_bytes() + image.builder.read_bytes()).hexdigest()[
                    :16
                ]
            )
    return LocalBase(key=key_file.read_text(), base=image.base, builder=image.builder)


def _create(base: LocalBase, architecture: str, whole: Path) -> None:
    if (reason := problem()) is not None:
        raise BuildError(f"{reason}; run `apt-get install --no-install-recommends mmdebstrap`")
    command = [
        "mmdebstrap",
        "--quiet",
        "--variant=extract",
        f"--architectures={architecture}",
        f"--include={PACKAGES}",
    ]
    command += [f"--dpkgopt=path-exclude={path}" for path in _EXCLUDED]
    command += [f"--extract-hook={hook}" for hook in _HOOKS]
    command += ['--aptopt=Acquire::Retries "5"']  # transient mirror errors
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0"}
    try:
        process = subprocess.run(
            [*command, SUITE, str(whole)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
    except subprocess.TimeoutExpired:
        whole.unlink(missing_ok=True)
        raise BuildError(
            "mmdebstrap did not finish within 10 minutes; check the speed of the Debian mirror"
        ) from None
    if process.returncode != 0:
        raise BuildError(
            f"mmdebstrap failed to create a base image: {process.stderr.strip()[-600:]}"
        )
    try:
        _split(whole, base)
    finally:
        whole.unlink()


def _split(whole: Path, base: LocalBase) -> None:
    """Write base and builder from mmdebstrap's tar, reproducibly: every time stamp is zero."""
    pip: bytes | None = None
    with (
        tarfile.open(whole) as source,
        tarfile.open(base.base, "w") as plain,
        tarfile.open(base.builder, "w") as builder,
    ):
        for member in source:
            name = member.name.removeprefix("./")
            content = source.extractfile(member) if member.isfile() else None
            if name.startswith("usr/share/python-wheels/pip-") and content is not None:
                pip = content.read()
            if name == "." or name.startswith(_REMOVED):
                continue
            member.mtime = 0
            data = content.read() if content is not None else b""
            for target in (plain, builder):
                target.addfile(member, io.BytesIO(data) if member.isfile() else None)
        if pip is None:
            raise BuildError(
                "the Debian package python3-pip-whl has no wheel in usr/share/python-wheels"
            )
        with zipfile.ZipFile(io.BytesIO(pip)) as wheel:
            for entry in sorted(wheel.namelist()):
                if not entry.endswith("/"):
                    member = tarfile.TarInfo(f"./{_PIP_HOME}/{entry}")
                    member.size, member.mode = wheel.getinfo(entry).file_size, 0o644
                    builder.addfile(member, io.BytesIO(wheel.read(entry)))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
