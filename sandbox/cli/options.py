"""The options that commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Decorated = Callable[..., Any]

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print exactly one JSON document on stdout; words for people go to stderr."
)
yes = click.option("--yes", "-y", is_flag=True, help="Don't ask.")
stack = click.argument("stack")
overrides = click.option(
    "-c",
    "--config",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a setting for this run, e.g. -c network.zones=3. May be repeated.",
)
time_scale = click.option(
    "--time-scale",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="How much of AWS's provisioning times to wait: 0 nothing, 0.01 a hundredth, 1 all.",
)


def operation(function: Decorated) -> Decorated:
    """The options of preview, up, refresh and destroy."""
    for option in reversed(
        (
            stack,
            overrides,
            click.option(
                "--engine",
                type=click.Choice(["auto", "embedded", "pulumi"]),
                default="auto",
                show_default=True,
                help="auto: a covered Pulumi CLI where one is on PATH, else the embedded engine.",
            ),
            as_json,
            click.option("--expect-no-changes", is_flag=True, help="Exit with 7 if anything changes, or would."),
            click.option(
                "--target",
                "targets",
                multiple=True,
                metavar="URN",
                help="Only this resource; * and ** match. May be repeated.",
            ),
            yes,
            time_scale,
        )
    ):
        function = option(function)
    return function
