"""Options that commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from sandbox.runtime.home import find_project
from sandbox.runtime.stack_files import stack_names

Decorated = Callable[..., Any]

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout, messages on stderr."
)
yes = click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")


def complete_stack(context: click.Context, parameter: click.Parameter, text: str) -> list[str]:
    """Return the project's stacks that begin with the text."""
    del context, parameter
    return [name for name in stack_names(find_project()) if name.startswith(text)]


stack = click.argument("stack", shell_complete=complete_stack)
service = click.option(
    "--service", metavar="NAME", help="A further service of the stack, instead of the main one."
)
_overrides = click.option(
    "-c",
    "--config",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a setting for this run, such as network.zones=3 (repeatable).",
)
_config_file = click.option(
    "--config-from",
    type=click.File(),
    metavar="FILE",
    help="Read more KEY=VALUE lines from FILE; - is standard input. For secrets.",
)
_time_scale = click.option(
    "--time-scale",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="FRACTION",
    help="Fraction of AWS's provisioning times to wait, from 0 (default) to 1.",
)
_engine = click.option(
    "--engine",
    type=click.Choice(["auto", "embedded", "pulumi"]),
    default="auto",
    envvar="SANDBOX_ENGINE",
    metavar="ENGINE",
    help="auto (default): a Pulumi CLI in a covered version; or embedded, pulumi.",
)
_kubernetes = click.option(
    "--kubernetes",
    metavar="CLUSTER",
    help="What serves the stack's Kubernetes API: emulated (default), control-plane, or "
    "kubeconfig:PATH#CONTEXT. `up` stores it; `destroy` forgets it.",
)
_unemulated = click.option(
    "--unemulated",
    type=click.Choice(["refuse", "record"]),
    help="Refuse AWS resource types that are not emulated (default), or record them in the state "
    "only. Stored for the stack; `destroy` forgets it.",
)
_expect_no_changes = click.option(
    "--expect-no-changes", is_flag=True, help="Exit with 7 if anything changes."
)
_targets = click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="URN",
    help="Limit the operation to this resource; * and ** match (repeatable).",
)
_target_dependents = click.option(
    "--target-dependents", is_flag=True, help="Also operate on what depends on the targets."
)
_excluded = click.option(
    "--exclude",
    "excluded",
    multiple=True,
    metavar="URN",
    help="Leave this resource alone; * and ** match (repeatable).",
)
_parallel = click.option(
    "--parallel",
    "-p",
    type=click.IntRange(min=1),
    default=32,
    metavar="N",
    help="Maximum number of concurrent operations (default 32).",
)
refresh = click.option(
    "--refresh", is_flag=True, help="Read the actual resources first; preview leaves the state."
)
message = click.option(
    "--message", "-m", default="", metavar="TEXT", help="Store TEXT in the stack's history."
)
_diff = click.option("--diff/--no-diff", default=True, help="Show changed properties (default).")


def operation(function: Decorated) -> Decorated:
    """Add the options of preview, up, refresh and destroy."""
    options = (
        stack,
        _overrides,
        _config_file,
        _engine,
        _diff,
        as_json,
        _expect_no_changes,
        _targets,
        _target_dependents,
        _excluded,
        _parallel,
        yes,
        _time_scale,
        _kubernetes,
        _unemulated,
    )
    for option in reversed(options):
        function = option(function)
    return function
