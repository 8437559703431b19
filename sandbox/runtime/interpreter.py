"""The interpreter of the sandbox's processes: where modules and compiled code come from.

The cloud SDKs are large: without compiled code, a program takes several times as long to start.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sandbox.runtime.home import SOURCE_DIRECTORY


def isolate() -> None:
    """Import modules from the project and its virtual environment only, and cache compiled code."""
    _drop_pythonpath()
    _cache_compiled_code()


def _drop_pythonpath() -> None:
    """Ignore PYTHONPATH here and in child processes: its `yaml` or `settings` would hide ours."""
    entries = os.environ.pop("PYTHONPATH", "").split(os.pathsep)
    foreign = {str(Path(entry).absolute()) for entry in entries if entry} - {str(SOURCE_DIRECTORY)}
    sys.path[:] = [entry for entry in sys.path if entry not in foreign]


def _cache_compiled_code() -> None:
    """Cache under `.sandbox/` where PYTHONDONTWRITEBYTECODE forbids `__pycache__` directories."""
    if sys.dont_write_bytecode and not sys.pycache_prefix:
        directory = str(SOURCE_DIRECTORY / ".sandbox" / "pycache")
        sys.dont_write_bytecode, sys.pycache_prefix = False, directory
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = directory
