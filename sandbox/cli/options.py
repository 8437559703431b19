"""Options that commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Decorated = Callable[..., Any]

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout, messages on stderr."
)
yes = click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
stack = click.argument("stack")
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
    show_default=True,
    help="Fraction of AWS's provisioning times to wait, from 0 to 1.",
)
_engine = click.option(
    "--engine",
    type=click.Choice(["auto", "embedded", "pulumi"]),
    default="auto",
    show_default=True,
    help="auto uses the Pulumi CLI on PATH if its version is covered.",
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
_diff = click.option(
    "--diff/--no-diff", default=True, show_default=True, help="Show changed properties."
)


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
        yes,
        _time_scale,
    )
    for option in reversed(options):
        function = option(function)
    return function
