"""Dynamic providers (`pulumi.dynamic`): the SDK's server runs their code, part of the program."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from sandbox.engine.errors import ProviderError

PACKAGE = "pulumi-python"
# Ends when its standard input closes, also when the engine is killed.
_SERVE = """
import os, runpy, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(0)), daemon=True).start()
runpy.run_module("pulumi.dynamic", run_name="__main__")
"""


class DynamicServer:
    """The SDK's server for dynamic providers, in the program's interpreter."""

    def __init__(
        self, python: Path, folder: Path, project: str, environment: Mapping[str, str]
    ) -> None:
        """Start it and wait for its port."""
        path = os.pathsep.join(filter(None, (str(folder), environment.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [str(python), "-u", "-c", _SERVE],
            cwd=folder,
            stdin=subprocess.PIPE,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**environment, "PULUMI_PROJECT": project, "PYTHONPATH": path},
        )
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line.strip().isdigit():
            lines = self._process.communicate()[1].strip().splitlines()
            raise ProviderError(
                "The SDK's server for dynamic providers did not start: "
                f"{lines[-1] if lines else line!r}"
            )
        self.port = int(line)

    def stop(self) -> None:
        """Stop the server."""
        self._process.terminate()
        self._process.communicate()
