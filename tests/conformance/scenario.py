"""A small program with the operations that show one behavior."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.sandbox.engine.recording_provider import Kit


@dataclass(frozen=True)
class Stage:
    """One operation. `program` None: unchanged; `before` changes what the provider has."""

    operation: str
    program: str | None = None
    arguments: Sequence[str] = ()
    before: Callable[[Kit], object] | None = None
    # A request ("create a") during which the engine gets a signal.
    during: str = ""
    signal: signal.Signals = signal.SIGKILL


@dataclass(frozen=True)
class Scenario:
    """Stages on one stack; `project` and `stack` are appended to the files of the project."""

    stages: Sequence[Stage]
    project: str = ""
    stack: str = ""
    # Compare neither calls nor state of failed stages: how far the others got depends on timing.
    loose: bool = False
    environment: dict[str, str] = field(default_factory=dict)


def up(
    program: str | None = None, /, *arguments: str, before: Callable[[Kit], object] | None = None
) -> Stage:
    """Return an `up`."""
    return Stage("up", program, arguments, before)


def preview(
    program: str | None = None, /, *arguments: str, before: Callable[[Kit], object] | None = None
) -> Stage:
    """Return a `preview`."""
    return Stage("preview", program, arguments, before)


def refresh(*arguments: str, before: Callable[[Kit], object] | None = None) -> Stage:
    """Return a `refresh`."""
    return Stage("refresh", None, arguments, before)


def destroy(*arguments: str, before: Callable[[Kit], object] | None = None) -> Stage:
    """Return a `destroy`."""
    return Stage("destroy", None, arguments, before)


def killed(during: str, operation: str, program: str | None = None) -> Stage:
    """Return an operation that is killed during a request."""
    return Stage(operation, program, during=during)


def interrupted(during: str, operation: str, program: str | None = None) -> Stage:
    """Return an operation that is interrupted during a request, which then finishes."""
    return Stage(operation, program, during=during, signal=signal.SIGINT)


def scenario(*stages: Stage, **more: object) -> Scenario:
    """Return a scenario."""
    return Scenario(stages, **more)  # type: ignore[arg-type]


def breaks(*operations: str) -> Callable[[Kit], object]:
    """Return a function that lets these operations fail ("create a"), and no others."""

    def change(kit: Kit) -> None:
        kit.broken.clear()
        kit.broken.update(operations)

    return change


def drifts(name: str, **properties: object) -> Callable[[Kit], object]:
    """Return a function that changes a live thing."""

    def change(kit: Kit) -> None:
        for thing in kit.named(name):
            thing.update(properties)

    return change


def vanishes(name: str) -> Callable[[Kit], object]:
    """Return a function that removes a live thing."""

    def change(kit: Kit) -> None:
        for key in [key for key, thing in kit.things.items() if thing["__name"] == name]:
            del kit.things[key]

    return change


def exists(identifier: str, **properties: object) -> Callable[[Kit], object]:
    """Return a function that adds a live thing which no stack manages."""

    def change(kit: Kit) -> None:
        kit.things[identifier] = {"defaulted": "by kit", "__name": identifier, **properties}

    return change
