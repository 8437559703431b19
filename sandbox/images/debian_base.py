"""A small base image with Python from the machine's own Debian mirror, for where registries of images can't be reached.

Two file systems come out of one run of mmdebstrap: `base` (python3 and what it needs) and `builder` (the same with pip,
for build stages). Packages are unpacked, not installed, which takes seconds; passwd, group and the certificates that
their scripts would write are put in by hand, and the package list goes where scanners look for it in such images
(/var/lib/dpkg/status.d, as in Google's distroless images).
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
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/lintian/*")
_HOOKS = (
    'mkdir -p "$1/etc/ssl/certs" && cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"',
    'cp "$1/usr/share/base-passwd/passwd.master" "$1/etc/passwd"',
    'cp "$1/usr/share/base-passwd/group.master" "$1/etc/group"',
    'mkdir -p "$1/var/lib/dpkg/status.d"; for deb in "$1"/var/cache/apt/archives/*.deb; do '
    'dpkg-deb -f "$deb" > "$1/var/lib/dpkg/status.d/$(dpkg-deb -f "$deb" Package)"; done',
)
# Not part of a running system: the mirror's lists and caches, and the pip wheel that only the builder gets.
_DROPPED = ("var/lib/apt", "var/cache", "var/log", "usr/share/python-wheels", "etc/apt", "dev")
_PIP_HOME = "usr/local/lib/python3.11/dist-packages"


@dataclass(frozen=True, kw_only=True)
class LocalBase:
    """Two root file systems as tar files; `key` names their content, and is the tag of their images."""

    key: str
    base: Path
    builder: Path


def trouble() -> str | None:
    """Return why no base can be made here, or None."""
    if shutil.which("mmdebstrap") is None:
        return "mmdebstrap, which makes a base image from Debian packages, is not installed"
    return None


def local_base(cache: Path, architecture: str) -> LocalBase:
    """Return the base for an architecture (amd64, arm64), making it on first use (about 15 s). Raises BuildError.

    It is made once and then kept, so that builds agree with each other; delete the folder for newer packages.
    """
    recipe = hashlib.sha256(repr((SUITE, PACKAGES, _LEFT_OUT, _HOOKS, _DROPPED)).encode()).hexdigest()[:12]
    folder = cache / f"{SUITE}-{architecture}-{recipe}"
    folder.mkdir(parents=True, exist_ok=True)
    found = LocalBase(key="", base=folder / "base.tar", builder=folder / "builder.tar")
    key_file = folder / "key"
    with _locked(folder / "lock"):
        if not key_file.exists():
            _make(found, architecture, folder / "whole.tar")
            key_file.write_text(hashlib.sha256(found.base.read_bytes() + found.builder.read_bytes()).hexdigest()[:16])
    return LocalBase(key=key_file.read_text(), base=found.base, builder=found.builder)


def _make(base: LocalBase, architecture: str, whole: Path) -> None:
    if (reason := trouble()) is not None:
        raise BuildError(f"{reason}; `apt-get install --no-install-recommends mmdebstrap` does it")
    command = ["mmdebstrap", "--quiet", "--variant=extract", f"--architectures={architecture}", f"--include={PACKAGES}"]
    command += [f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT]
    command += [f"--extract-hook={hook}" for hook in _HOOKS]
    command += ['--aptopt=Acquire::Retries "5"']  # a mirror that hiccups is no reason to fail
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0"}
    try:
        done = subprocess.run(
            [*command, SUITE, str(whole)], env=environment, capture_output=True, text=True, check=False, timeout=600
        )
    except subprocess.TimeoutExpired:
        whole.unlink(missing_ok=True)
        raise BuildError("mmdebstrap had not made a base image after 10 minutes: is Debian's mirror slow?") from None
    if done.returncode != 0:
        raise BuildError(f"mmdebstrap could not make a base image: {done.stderr.strip()[-600:]}")
    try:
        _split(whole, base)
    finally:
        whole.unlink()


def _split(whole: Path, base: LocalBase) -> None:
    """Write base and builder from mmdebstrap's tar, every time stamp zero, so that equal packages give equal bytes."""
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
            if name == "." or name.startswith(_DROPPED):
                continue
            member.mtime = 0
            data = content.read() if content is not None else b""
            for target in (plain, builder):
                target.addfile(member, io.BytesIO(data) if member.isfile() else None)
        if pip is None:
            raise BuildError("the Debian package python3-pip-whl has no pip wheel where it used to be")
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
