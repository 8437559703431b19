"""Virtual environments with an image's requirements, cached for the user."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from sandbox.contracts.container_runtime import ContainerError

_INSTALL_SECONDS = 600.0
_LAST_LINES = 3
# Not the sandbox's own environment, which is deleted with its clone.
_BASE_PYTHON = f"{sys.base_prefix}/bin/python{sys.version_info[0]}.{sys.version_info[1]}"


class VirtualEnvironments:
    """Creates environments under `directory`, one for each content of the requirements."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()

    def ensure(self, requirements: Sequence[Path]) -> Path:
        """Return the environment's directory; the first call installs. Raises ContainerError."""
        total = hashlib.sha256(f"{platform.python_version()} {sys.base_prefix}".encode())
        for file in requirements:
            total.update(file.read_bytes())
        environment = self._directory / total.hexdigest()[:20]
        with self._lock:
            if not (environment / "complete").exists():
                self._install(environment, requirements)
        return environment

    def _install(self, environment: Path, requirements: Sequence[Path]) -> None:
        environment.parent.mkdir(parents=True, exist_ok=True)
        uv = [sys.executable, "-m", "uv", "--quiet"]
        self._run([*uv, "venv", "--clear", "--python", _BASE_PYTHON, str(environment)])
        for file in requirements:
            hashes = ["--require-hashes"] if "--hash=" in file.read_text() else []
            python = str(environment / "bin" / "python")
            self._run([*uv, "pip", "install", "--python", python, *hashes, "-r", str(file)])
        (environment / "complete").touch()

    @staticmethod
    def _run(command: Sequence[str]) -> None:
        try:
            result = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise ContainerError(
                "CreateContainerError",
                f"the requirements were not installed within {_INSTALL_SECONDS:.0f} s; check the "
                "connection to the package index",
            ) from None
        if result.returncode:
            lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
            raise ContainerError(
                "CreateContainerError",
                f"the image's requirements cannot be installed: {' '.join(lines[-_LAST_LINES:])}",
            )
