"""Builds the Pulumi CLI of `pulumi_module/go.mod` into the user's cache: `make pulumi`.

The sandbox's Python language host is installed next to it. Run as `python -m`.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from sandbox.runtime import go_build
from sandbox.runtime.go_build import BuildError, GoModule, say

LANGUAGE_HOST = "pulumi-language-python"
# The interpreter of the language host; by default that of the clone that ran `make pulumi` last.
PYTHON_VARIABLE = "SANDBOX_PYTHON"

_MODULE = GoModule(
    directory=Path(__file__).with_name("pulumi_module"),
    product="the Pulumi CLI",
    alternative=", or install the Pulumi CLI",
)
_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
_VERSION_SYMBOL = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
_HOST_SCRIPT = """#!/bin/sh
# Pulumi's Python language host of the sandbox, written by `make pulumi`.
python=${{{variable}:-{python}}}
[ -x "$python" ] || {{ echo "$python does not exist; run \\`make pulumi\\` again." >&2; exit 1; }}
exec "$python" -P -m sandbox.engine.language_host.server "$@"
"""


def version() -> str:
    """Return the version that go.mod pins, such as `v3.274.1`."""
    return _MODULE.required_version("github.com/pulumi/pulumi/pkg/v3")


def directory() -> Path:
    """Return the directory of the built CLI in the user's cache."""
    return go_build.cache_directory(f"pulumi-{version()}")


def built() -> Path | None:
    """Return the CLI that was built, or None."""
    path = directory() / "pulumi"
    return path if path.is_file() and os.access(path.with_name(LANGUAGE_HOST), os.X_OK) else None


def build() -> Path:
    """Build the CLI unless it exists, install the language host, and return the CLI's path."""
    target = directory()
    with go_build.locked(target):
        path = target / "pulumi"
        if not path.exists():
            partial = target / "pulumi.partial"
            try:
                say(
                    f"Building the Pulumi CLI {version()}, once; without Go's cache this takes "
                    "about 5 minutes."
                )
                symbols = f"-X {_VERSION_SYMBOL}={version()}"
                _MODULE.build([_PACKAGE], partial, linker_flags=symbols)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        _install_language_host(target / LANGUAGE_HOST)
    return path


def _install_language_host(path: Path) -> None:
    text = _HOST_SCRIPT.format(variable=PYTHON_VARIABLE, python=sys.executable)
    if path.exists() and path.read_text() == text:
        return
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    partial.chmod(0o755)
    partial.replace(path)


def main() -> int:
    """Build the CLI and print its path."""
    try:
        path = build()
    except (BuildError, OSError) as error:
        say(f"error: {error}")
        return 1
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
