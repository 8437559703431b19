"""The shell of a build: commands in sequence, which share variables and the working directory.

Each command runs in a new shell that restores the state of the previous one, so that `exit` and
`set -e` end a command and not the build. Functions and shell options do not persist.
"""

from __future__ import annotations

import contextlib
import json
import pwd
import re
import secrets
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sandbox.builds.errors import StoppedError

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_END_SECONDS = 10.0
_LINE_BYTES = 64 * 1024
_NAME = re.compile(r"[A-Za-z_]\w*")
# `_SAVE` saves exported variables and directory whenever the shell ends, and
# `set -a` exports all variables.
_SAVE = """\
trap 'CODEBUILD_LAST_EXIT=$?; trap - EXIT; set +aeu; export -p > {state}/variables.new \
&& mv {state}/variables.new {state}/variables; pwd > {state}/directory; \
exit $CODEBUILD_LAST_EXIT' EXIT
"""
_RUN = """\
. {state}/variables
cd "$(cat {state}/directory)"
set -a
. {state}/command
"""


class Shell:
    """One build's commands. `output` gets each line; methods raise StoppedError after `stop`.

    Without `persist`, commands do not share variables and directory, as in version 0.1.
    """

    def __init__(
        self,
        directory: Path,
        *,
        program: str,
        persist: bool,
        isolate: Callable[[Sequence[str]], Sequence[str]],
        output: Callable[[str], None],
    ) -> None:
        self._directory, self._program, self._output = directory, program, output
        self._persist = persist
        self._nonce = secrets.token_hex(16)
        self._stopped: StoppedError | None = None
        self._lock = threading.Lock()
        directory.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-I", "-S", str(_SUPERVISOR), str(directory), self._nonce]
        self._process = subprocess.Popen(
            isolate(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={},
        )
        (directory / "pid").write_text(str(self._process.pid))

    def set_state(self, variables: Mapping[str, str], working_directory: Path) -> None:
        """Set the variables and directory of the first command."""
        lines = [
            f"export {name}={shlex.quote(value)}\n"
            for name, value in variables.items()
            if _NAME.fullmatch(name)
        ]
        self._write("variables", "".join(lines))
        self._write("directory", f"{working_directory}\n")

    def set_variable(self, name: str, value: str) -> None:
        """Set a variable for the following commands."""
        with (self._directory / "variables").open("a") as file:
            file.write(f"\nexport {name}={shlex.quote(value)}\n")

    def run(self, command: str, output: Callable[[str], None] | None = None, user: str = "") -> int:
        """Run a command, as another user if one is given, and return its exit code.

        The variables it sets persist.
        """
        self._write("command", f"{command}\n")
        script = (_SAVE + _RUN if self._persist else _RUN).format(
            state=shlex.quote(str(self._directory))
        )
        self._write("script.sh", script)
        argv = [*_as_user(user), self._program, str(self._directory / "script.sh")]
        return self._execute(argv, output)

    def variables(self) -> dict[str, str]:
        """Return all variables."""
        target = self._directory / "environment"
        state = shlex.quote(str(self._directory))
        self._execute([self._program, "-c", f". {state}/variables; env -0 > {state}/environment"])
        items = target.read_bytes().decode(errors="replace").split("\0")
        return {name: value for name, _, value in (item.partition("=") for item in items if item)}

    def expand(self, text: str) -> str:
        """Expand variables and commands in a text, such as an artifact's name."""
        if not set(text) & set("$`"):
            return text
        lines: list[str] = []
        state = shlex.quote(str(self._directory))
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        self._execute([self._program, "-c", f'. {state}/variables; echo "{escaped}"'], lines.append)
        return "\n".join(lines)

    def stop(self, error: StoppedError) -> None:
        """End all processes; the running and later commands raise the error."""
        with self._lock:
            if self._stopped is None:
                self._stopped = error
        self._end_input()

    def close(self) -> None:
        """End all processes and wait for them."""
        self._end_input()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(OSError):
            if self._process.stdout is not None:
                self._process.stdout.close()

    def _end_input(self) -> None:
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()

    def _write(self, name: str, text: str) -> None:
        (self._directory / name).write_text(text)

    def _execute(self, argv: Sequence[str], output: Callable[[str], None] | None = None) -> int:
        if self._stopped is not None:
            raise self._stopped
        command = json.dumps({"argv": argv, "cwd": str(self._directory), "env": _SHELL_ENVIRONMENT})
        try:
            assert self._process.stdin is not None  # noqa: S101 - created with a pipe
            self._process.stdin.write(command.encode() + b"\n")
            self._process.stdin.flush()
            return self._read(output or self._output)
        except (OSError, ValueError):
            self._raise_ended()
        return 0

    def _read(self, output: Callable[[str], None]) -> int:
        """Pass lines to `output` until the command's end; return its exit code."""
        mark = b"\0" + self._nonce.encode() + b" "
        assert self._process.stdout is not None  # noqa: S101 - created with a pipe
        while line := self._process.stdout.readline(_LINE_BYTES):
            text, ended, code = line.partition(mark)
            if text or not ended:
                output(text.decode(errors="replace").rstrip("\r\n"))
            if ended:
                if self._stopped is not None:
                    raise self._stopped
                return int(code)
        self._raise_ended()
        return 0

    def _raise_ended(self) -> None:
        deadline = time.monotonic() + 1.0  # `stop` closes the pipe after it has set the reason
        while self._stopped is None and time.monotonic() < deadline:
            time.sleep(0.01)
        raise self._stopped or StoppedError("FAULT", "the build's processes were killed")


def _as_user(user: str) -> list[str]:
    """Return the command that runs another as a user.

    The user keeps root's access to files, because a build's directories belong to root.
    """
    if user in {"", "root"}:
        return []
    capabilities = "+dac_override,+dac_read_search"
    return [
        *("setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--init-groups"),
        *(f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}", "--"),
    ]


# Everything else is in the state's file.
_SHELL_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
