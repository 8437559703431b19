"""The commands' modules are imported when a command is used, and without gRPC where it is not."""

import subprocess
import sys

import click
import pytest

from sandbox.cli.commands import commands


def names() -> list[str]:
    return commands.list_commands(click.Context(commands))


@pytest.mark.parametrize("name", names())
def test_each_listed_command_has_its_name_and_a_short_help(name: str) -> None:
    command = commands.get_command(click.Context(commands), name)
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str(90)


def test_unknown_command_is_refused() -> None:
    assert commands.get_command(click.Context(commands), "delete") is None


@pytest.mark.parametrize("module", ["service", "stacks", "machine", "config", "pipeline"])
def test_commands_without_an_operation_do_not_import_grpc_and_the_sdk(module: str) -> None:
    code = f"import sandbox.cli.{module}, sys; print({{'grpc', 'pulumi'}} & sys.modules.keys())"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout == "set()\n"
