"""Where modules come from: the project and its virtual environment, whatever PYTHONPATH names."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sandbox.home import PROJECT_DIRECTORY


def keep() -> None:
    """Forget PYTHONPATH, in this process and its children: a `yaml` or `settings` from elsewhere would be taken for ours."""
    named = {str(Path(entry).absolute()) for entry in os.environ.pop("PYTHONPATH", "").split(os.pathsep) if entry}
    named.discard(str(PROJECT_DIRECTORY))
    sys.path[:] = [entry for entry in sys.path if entry not in named]
