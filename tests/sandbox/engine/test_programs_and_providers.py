"""Providers on the SDK's own servicer, dynamic providers, usage errors, failing programs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.engine.recording_provider import Kit
from tests.sandbox.engine.workspace import ROOT, Workspace, messages, wait_until_said

PLAIN = """
class Plain(pulumi.CustomResource):
    arn: pulumi.Output[str]
    def __init__(self, name, opts=None, **props):
        super().__init__("plain:index:Thing", name, {"arn": None, **props}, opts)
"""


@pytest.fixture
def plain(workspace: Workspace, tmp_path: Path) -> Iterator[Workspace]:
    """The workspace with a provider without Handshake and Attach."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.sandbox.engine.sdk_provider", "127.0.0.1:1"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PLAIN_FILE": str(tmp_path / "things.json")},
    )
    assert process.stdout is not None
    workspace.others = f",plain:{process.stdout.readline().strip()}"
    yield workspace
    process.kill()
    process.communicate()


def test_provider_on_the_sdks_own_servicer_has_a_complete_lifecycle(
    plain: Workspace, tmp_path: Path
) -> None:
    text = PLAIN + (
        'a = Plain("a", size=1, word=pulumi.Output.secret("hush"))\nb = Plain("b", of=a.arn, '
        'colour="red")\n'
    )
    plain.program(text)
    assert plain.changes("preview") == {"create": 3}
    assert plain.changes("up") == {"create": 3}
    assert "hush" not in plain.state_file.read_text()
    assert plain.changes("preview", "--expect-no-changes") == {}
    assert plain.changes("refresh", "--expect-no-changes") == {}
    plain.program(text.replace("red", "blue").replace("size=1", "size=2"))
    assert plain.changes("preview", "--expect-no-changes", expect=7) == {"replace": 1, "update": 1}
    assert plain.changes("up", "--expect-no-changes", expect=7) == {"replace": 1, "update": 1}
    assert plain.changes("destroy", "--expect-no-changes", expect=7) == {"delete": 3}
    assert json.loads((tmp_path / "things.json").read_text()) == {}


def test_check_failures_are_listed_by_property_without_frames(plain: Workspace) -> None:
    plain.program(PLAIN + 'Plain("a", bad1=1, bad2=2)\nPlain("b", fail="no\\nroom")')
    failed = plain.json("up", expect=1)
    message = {item["urn"].rsplit("::", 1)[-1]: item["message"] for item in failed["diagnostics"]}
    assert message == {"a": "bad1: it is not allowed\nbad2: it is not allowed", "b": "no\nroom"}


def test_dying_provider_leaves_a_pending_operation(plain: Workspace) -> None:
    plain.program(PLAIN + 'a = Plain("a")\nb = Plain("b", of=a.arn, crash=True)\n')
    failed = plain.json("up", expect=1)
    assert "'plain' exited or disconnected during Create" in messages(failed)
    assert "a" in plain.resources()
    pending = plain.state()["pending_operations"]
    assert [(item["type"], item["resource"]["urn"].rsplit("::")[-1]) for item in pending] == [
        ("creating", "b")
    ]


def test_dynamic_providers_get_the_programs_configuration(workspace: Workspace) -> None:
    text = """
        from pulumi.dynamic import CreateResult, Resource, ResourceProvider, UpdateResult
        class Doubling(ResourceProvider):
            def configure(self, request):
                self.word = request.config.get("word")
            def create(self, props):
                if props["number"] == 13:
                    raise ValueError("an unlucky number")
                return CreateResult("one", {**props, "double": props["number"] * 2, "word": self.word})
            def update(self, id, olds, news):
                return UpdateResult({**news, "double": news["number"] * 2, "word": self.word})
        class Double(Resource):
            double: pulumi.Output[int]
            word: pulumi.Output[str]
            def __init__(self, name, number):
                super().__init__(Doubling(), name, {"number": number, "double": None, "word": None})
        one = Double("one", NUMBER)
        pulumi.export("said", pulumi.Output.concat(one.word, one.double.apply(str)))
    """
    workspace.yaml("Pulumi.dev.yaml", "config:\n  demo:word: twice\n")
    workspace.program(text.replace("NUMBER", "4"))
    assert workspace.json("up")["outputs"] == {"said": "twice8"}
    assert workspace.changes("preview") == {}
    workspace.program(text.replace("NUMBER", "5") + '\n        Double("bad", 13)\n')
    failed = workspace.json("up", expect=1)
    assert failed["outputs"] == {"said": "twice10"}
    assert messages(failed).endswith("::bad: ValueError: an unlucky number")
    assert workspace.changes("destroy") == {"delete": 2}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'raise pulumi.RunError("two problems:\\n  - one\\n  - two")',
            "two problems:\n  - one\n  - two",
        ),
        ('import sys; sys.exit("told so")', "told so"),
        ("import sys; sys.exit(3)", "The program called sys.exit(3)."),
        ("x = (", "SyntaxError: '(' was never closed"),
        (
            "import nowhere_to_be_found",
            "ModuleNotFoundError: No module named 'nowhere_to_be_found'",
        ),
    ],
)
def test_program_that_fails_first_is_reported_once(
    workspace: Workspace, text: str, told: str
) -> None:
    workspace.program(text)
    for operation in ("preview", "up", "up"):
        failed = workspace.json(operation, expect=1)
        assert [told in item["message"] for item in failed["diagnostics"]] == [True]
        assert (failed["steps"], failed["outputs"]) == ([], {})
        assert sum(failed["changes"].values()) == 1  # the stack, as in the CLI
    shown = workspace.run("up", expect=1).stdout
    assert shown.count(told.splitlines()[-1]) == 1
    assert "Outputs" not in shown
    assert "Resources" not in shown
    assert "\n\n\n" not in shown


def test_exception_in_an_apply_is_reported_with_its_type(workspace: Workspace) -> None:
    workspace.program("""
        def broken(arn):
            raise ValueError("no good: " + arn)
        pulumi.export("x", Thing("a").arn.apply(broken))
    """)
    assert "ValueError: no good: arn:kit:thing-1" in messages(workspace.json("up", expect=1))


def test_logged_error_does_not_fail_the_run(workspace: Workspace) -> None:
    workspace.program('Thing("a")\nThing("b")')
    workspace.json("up")
    workspace.program('pulumi.log.error("what a mess")\nThing("a")')
    document = workspace.json("up")
    assert "what a mess" in messages(document)
    assert document["changes"]["delete"] == 1


def test_directory_without_a_program_is_reported(workspace: Workspace) -> None:
    assert "has no __main__.py" in messages(workspace.json("preview", expect=1))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--json"], "Missing argument"),
        (["up", "--json"], "Missing option '--stack'"),
        (["up", "--stack", "dev", "--json", "--nope"], "No such option '--nope'"),
        (["sideways", "--stack=dev", "--json"], "'sideways' is not one of"),
        (["up", "--stack", "dev", "--json", "--parallel", "0"], "0 is not in the range"),
        (["up", "--stack", "dev", "--json", "-c", "word"], "-c word: the format is KEY=VALUE"),
    ],
)
def test_usage_error_prints_one_json_document(
    workspace: Workspace, arguments: list[str], told: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.engine", *arguments],
        env=workspace.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert document["result"] == "failed"
    assert told in document["diagnostics"][0]["message"]


def test_program_edited_within_a_second_is_recompiled(workspace: Workspace) -> None:
    for word in ("one", "two", "six"):
        workspace.program(f'pulumi.export("word", "{word}")')
        os.utime(workspace.folder / "__main__.py", (int(time.time()), int(time.time())))
        assert workspace.json("up")["outputs"] == {"word": word}


def test_unknown_key_of_a_stack_file_is_a_warning(workspace: Workspace) -> None:
    workspace.yaml("Pulumi.dev.yaml", "config: {}\nconfg:\n  demo:word: x\n")
    workspace.program("")
    assert "`confg`" in messages(workspace.json("preview"), "warning")


def children(pid: int) -> list[int]:
    """Return the child processes of a process, from all its threads."""
    result: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            result += map(int, (task / "children").read_text().split())
    return result


def wait_until_gone(pid: int) -> None:
    """Wait until a process has ended; an orphan's entry may remain."""
    deadline = time.monotonic() + 120
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < deadline, f"process {pid} still runs"
            time.sleep(0.05)


def test_second_interrupt_leaves_a_pending_operation_and_no_process(
    workspace: Workspace, kit: Kit
) -> None:
    workspace.program('a = Thing("a", hold=True)')
    process = subprocess.Popen(
        workspace.command("up", "--json"),
        env=workspace.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    kit.wait_for("create", "a")
    (host,) = children(process.pid)
    process.send_signal(signal.SIGTERM)
    wait_until_said(process, "Interrupt again to abandon them")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=240)  # does not wait for `a`
    assert process.returncode == 1
    assert json.loads(out)["result"] == "failed"
    assert [item["type"] for item in workspace.state()["pending_operations"]] == ["creating"]
    wait_until_gone(host)
    workspace.program('a = Thing("a")')
    assert "An earlier run was interrupted while creating it" in messages(
        workspace.json("up"), "warning"
    )


def test_program_ends_with_a_killed_engine(workspace: Workspace, kit: Kit) -> None:
    workspace.program("import time\ntime.sleep(600)")
    process = subprocess.Popen(
        workspace.command("up"), env=workspace.environment, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not (hosts := children(process.pid)):
        assert time.monotonic() < deadline, "the engine never started its program"
        time.sleep(0.05)
    process.kill()
    process.wait()
    wait_until_gone(hosts[0])
