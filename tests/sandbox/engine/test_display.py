"""The plain display and the live tree."""

from __future__ import annotations

import contextlib
import io
import os
import re
from pathlib import Path

import pytest
from rich.text import Text

from sandbox.engine import Diagnostic, PlainDisplay, Request, Result, Step, display_for
from sandbox.engine.display.plain import resource_label
from sandbox.engine.display.tree import LiveDisplay
from sandbox.engine.request import Kind, Op


def test_resource_type_is_abbreviated_as_in_the_cli() -> None:
    shown = {
        "aws:ec2/vpc:Vpc": "aws:ec2:Vpc x",
        "kubernetes:apps/v1:Deployment": "kubernetes:apps/v1:Deployment x",
        "pulumi:providers:aws": "pulumi:providers:aws x",
    }
    assert {
        token: resource_label(f"urn:pulumi:dev::p::{token}::x").plain for token in shown
    } == shown


def test_closed_output_pipe_does_not_stop_the_operation(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    display = PlainDisplay(stream)
    display.started(
        Request(kind="up", directory=tmp_path, stack="dev", backend=tmp_path, passphrase="")
    )
    display.message(Diagnostic("error", "", "nobody hears this, and nobody is ended by it"))
    assert display.console.quiet
    with contextlib.suppress(BrokenPipeError):
        stream.close()


STACK = "urn:pulumi:dev::p::pulumi:pulumi:Stack::p-dev"
COMPONENT = "urn:pulumi:dev::p::x:index:Network::network"
VPC = "urn:pulumi:dev::p::x:index:Network$aws:ec2/vpc:Vpc::network-with-a-long-name"


class Terminal(io.StringIO):
    """A terminal of the given size."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [45, 60, 120])
@pytest.mark.parametrize("kind", ["up", "destroy"])
def test_tree_keeps_name_and_status_on_a_narrow_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, kind: Kind
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LINES", "30")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    op: Op = "create" if kind == "up" else "delete"
    display = display_for(terminal, total=3, parents={COMPONENT: STACK, VPC: COMPONENT})
    display.started(
        Request(kind=kind, directory=tmp_path, stack="dev", backend=tmp_path, passphrase="")
    )
    for urn, parent in ((COMPONENT, STACK), (VPC, COMPONENT)):
        step = Step(op, urn, parent=parent)
        display.step_started(step)
        display.message(Diagnostic("info", urn, "waiting for something transient"))
        display.step_finished(step)
    display.finished(Result("succeeded", "dev", kind, {op: 2}, 1.0))
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", terminal.getvalue()), "NO_COLOR is respected"
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    rows = [line for line in text.splitlines() if "network-with-a-long-name" in line]
    verb = "created" if kind == "up" else "deleted"
    assert any(verb in row and len(row) <= width for row in rows), text
    assert text.index("p-dev") < text.index("network  ")


def test_progress_counts_to_the_total_and_shows_the_output_of_a_running_resource(
    tmp_path: Path,
) -> None:
    display = LiveDisplay(Terminal(), total=7)
    display.started(
        Request(kind="up", directory=tmp_path, stack="dev", backend=tmp_path, passphrase="")
    )
    display.step_finished(Step("create", COMPONENT, parent=STACK))
    display.step_started(Step("create", VPC, parent=COMPONENT))
    display.message(Diagnostic("info", VPC, "STEP 1/2"))
    display.message(Diagnostic("info", VPC, "STEP 2/2"))
    shown = [line.plain for line in display._progress().renderables if isinstance(line, Text)]
    display.finished(Result("succeeded", "dev", "up", {}, 1.0))
    assert [line.strip() for line in shown if "STEP" in line] == ["STEP 1/2", "STEP 2/2"]
    assert shown[-1].startswith(" 1 of 7 done (0 unchanged), 1 running")


def test_tree_that_is_too_high_shows_finished_branches_in_one_row(tmp_path: Path) -> None:
    display = LiveDisplay(Terminal(), total=200)
    display.started(
        Request(kind="up", directory=tmp_path, stack="dev", backend=tmp_path, passphrase="")
    )
    display.step_finished(Step("create", COMPONENT, parent=STACK))
    for number in range(150):
        display.step_finished(Step("create", f"{VPC}-{number}", parent=COMPONENT))
    display.step_started(Step("create", f"{STACK}-other", parent=STACK))
    shown = [line.plain for line in display._progress().renderables if isinstance(line, Text)]
    display.finished(Result("succeeded", "dev", "up", {}, 1.0))
    assert len(shown) < 10
    assert any("network" in line and "150 done" in line for line in shown)
