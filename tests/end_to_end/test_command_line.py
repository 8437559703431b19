"""The command line without a running sandbox: refusals, documents, exit codes, terminals."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.conftest import PROJECT, Sandbox


@pytest.fixture
def fresh(tmp_path: Path) -> Sandbox:
    """A new sandbox."""
    return Sandbox(tmp_path / "home")


@contextmanager
def at_work(home: Path, command: str) -> Iterator[subprocess.Popen[str]]:
    """Run another process with an active command."""
    code = (
        "import sys; from pathlib import Path; from sandbox.runtime.home import Home\nwith "
        "Home(Path(sys.argv[1])).active(sys.argv[2]): print('in', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(home), command],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_stop_and_reset_are_refused_during_an_operation(fresh: Sandbox) -> None:
    with at_work(fresh.home, "up dev") as other:
        for command in (("stop",), ("reset", "--yes")):
            refused = fresh.json(*command, code=1)["error"]
            assert f"`up dev` (process {other.pid}, since " in refused
            assert "stop --force" in refused
        assert fresh.json("stop", "--force") == {"result": "succeeded", "stopped": False}


def test_killed_command_is_not_active(fresh: Sandbox) -> None:
    with at_work(fresh.home, "up dev") as other:
        other.kill()
        other.wait()
        assert fresh.json("stop")["stopped"] is False


def test_early_failure_prints_the_same_document(fresh: Sandbox) -> None:
    failed = fresh.json("preview", "nowhere", code=2)
    assert failed["result"] == "failed"
    assert (failed["stack"], failed["operation"], failed["engine"]) == (
        "nowhere",
        "preview",
        "embedded",
    )
    assert failed["changes"] == dict.fromkeys(("create", "update", "replace", "delete", "same"), 0)
    assert "there is no stack 'nowhere'" in failed["error"]


@pytest.mark.parametrize("command", ["stop", "status", "reset --yes"])
def test_home_that_is_a_file_is_reported(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").write_text("")
    ran = Sandbox(tmp_path / "file" / "home").run(*command.split(), "--json")
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    error = json.loads(ran.stdout)["error"]
    assert str(tmp_path / "file") in error
    assert "SANDBOX_HOME" in error


def test_closed_output_pipe_is_no_error(fresh: Sandbox) -> None:
    ran = fresh.shell("python -m sandbox status --json | head -1")
    assert ran.stdout == "{\n"
    assert "rror" not in ran.stderr


@pytest.mark.parametrize("stream", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_stream_is_no_error(fresh: Sandbox, stream: str) -> None:
    ran = fresh.shell(f"python -m sandbox status --json {stream}")
    assert (ran.returncode, "error:" in ran.stderr) == (0, False), ran.stderr
    assert "Traceback" not in ran.stderr
    assert bool(ran.stdout) == (not stream.startswith(">"))


@pytest.mark.parametrize("command", ["status", "status --json", "--version", "config ls -s dev"])
def test_output_to_a_full_disk_is_an_error(fresh: Sandbox, command: str) -> None:
    ran = fresh.shell(f"python -m sandbox {command} >/dev/full")
    assert ran.returncode == 1
    assert ran.stderr.count("error: No space left on device. Free space there") == 1, ran.stderr
    assert "Traceback" not in ran.stderr


def test_terminal_without_unicode_gets_question_marks(fresh: Sandbox) -> None:
    ran = fresh.run("preview", "münchen", environment={"PYTHONIOENCODING": "ascii"})
    assert ran.returncode == 2
    assert "there is no stack 'm?nchen'" in ran.stderr


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "not valid JSON"),
        ("[]", "it has no checkpoint"),
        (
            '{"version": 3, "checkpoint": {"latest": {"resources": "x"}}}',
            "`resources` is not a list",
        ),
        (
            '{"version": 3, "checkpoint": {"latest": {"resources": [{"urn": 1}]}}}',
            "resource 1 has no `urn`",
        ),
        ('{"version": 5}', "version 5"),
        ("\udcff", "not valid JSON"),
    ],
)
def test_damaged_state_is_reported_with_reason(fresh: Sandbox, content: str, why: str) -> None:
    state = fresh.home / "state" / ".pulumi" / "stacks" / "platform" / "dev.json"
    state.parent.mkdir(parents=True)
    written = content.encode(errors="surrogateescape")
    state.write_bytes(written)
    for command in ("output", "export"):
        error = fresh.json(command, "dev", code=1)["error"]
        assert str(state) in error
        assert why in error
    stacks = fresh.json("status")["stacks"]
    if "is damaged" in stacks["dev"]["error"]:
        assert "`import dev --file FILE`" in stacks["dev"]["error"]
        assert "`reset`" in stacks["dev"]["error"]
    assert why in stacks["dev"]["error"]
    assert stacks["prod"] is None
    assert state.read_bytes() == written


def test_damaged_entry_of_the_history_is_reported_with_its_remedy(fresh: Sandbox) -> None:
    entry = fresh.home / "state/.pulumi/history/platform/dev/dev-1.history.json"
    entry.parent.mkdir(parents=True)
    entry.write_text('{"kind":"upd')
    checkpoint = fresh.home / "state/.pulumi/stacks/platform/dev.json"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text('{"version":3,"checkpoint":{"stack":"organization/platform/dev"}}')
    error = fresh.json("history", "dev", code=1)["error"]
    assert f"{entry} is damaged: it is not valid JSON" in error
    assert "Delete it" in error


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"version":3,"deployment":[]}',
        '{"version":3,"deployment":{"resources":"x"}}',
        "\x00",
    ],
)
def test_invalid_export_is_not_imported(fresh: Sandbox, tmp_path: Path, content: str) -> None:
    file = tmp_path / "garbage"
    file.write_text(content)
    refused = fresh.json("import", "dev", "--file", str(file), code=2)["error"]
    assert "itself failed" not in refused
    assert not list((fresh.home / "state").rglob("dev.json"))


def test_wrong_passphrase_is_reported_with_its_file(fresh: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text('{"version": 3, "deployment": {"resources": []}}')
    fresh.json("import", "dev", "--file", str(file))
    (fresh.home / "passphrase").write_text("another")
    error = fresh.json("export", "dev", "--show-secrets", code=1)["error"]
    assert str(fresh.home / "passphrase") in error
    assert "reset" in error


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_destroy_without_yes_and_without_a_terminal_is_refused(
    fresh: Sandbox, options: tuple[str, ...]
) -> None:
    ran = fresh.run("destroy", "dev", *options, stdin="y\n")
    assert ran.returncode == 2
    assert "pass --yes to confirm" in ran.stderr


def test_settings_are_read_from_a_file_without_appearing_in_the_arguments(
    fresh: Sandbox,
) -> None:
    ran = fresh.run("preview", "nowhere", "--config-from", "-", stdin="token=secret\n")
    assert ran.returncode == 2
    assert "secret" not in ran.stderr
