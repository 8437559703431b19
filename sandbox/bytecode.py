"""Where compiled Python goes when the environment forbids `__pycache__` folders: under `.sandbox/`, not nowhere.

The cloud SDKs are large: a program that imports them anew without compiled code takes several times as long to start.
"""

from __future__ import annotations

import os
import sys

from sandbox.home import PROJECT_DIRECTORY


def keep() -> None:
    """Let this process and its children cache compiled code even with PYTHONDONTWRITEBYTECODE, in a folder of ours."""
    if sys.dont_write_bytecode and not sys.pycache_prefix:
        folder = str(PROJECT_DIRECTORY / ".sandbox" / "pycache")
        sys.dont_write_bytecode, sys.pycache_prefix = False, folder
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = folder
