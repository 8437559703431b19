"""What an operation prints, where the one who reads it isn't there any more."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from sandbox.engine import Diagnostic, PlainDisplay, Request
from sandbox.engine.display.plain import resource_label


def test_a_type_that_says_its_name_twice_is_shown_as_the_cli_shows_it() -> None:
    shown = {
        "aws:ec2/vpc:Vpc": "aws:ec2:Vpc x",
        "kubernetes:apps/v1:Deployment": "kubernetes:apps/v1:Deployment x",
        "pulumi:providers:aws": "pulumi:providers:aws x",
    }
    assert {token: resource_label(f"urn:pulumi:dev::p::{token}::x").plain for token in shown} == shown


def test_an_operation_goes_on_when_its_reader_has_left(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    display = PlainDisplay(stream)
    display.started(Request(kind="up", directory=tmp_path, stack="dev", backend=tmp_path, passphrase=""))
    display.message(Diagnostic("error", "", "nobody hears this, and nobody is ended by it"))
    assert display.console.quiet
    with contextlib.suppress(BrokenPipeError):
        stream.close()
