"""The critical path of recorded operations."""

from __future__ import annotations

from sandbox.console.critical_path import critical_path
from sandbox.runtime.timeline import TimedStep


def step(urn: str, started: float, ended: float | None, op: str = "create") -> TimedStep:
    return TimedStep(urn=urn, op=op, parent="", started=started, ended=ended)


def names(steps: list[TimedStep]) -> list[str]:
    return [item.urn for item in steps]


def test_path_has_the_slowest_of_each_resources_dependencies() -> None:
    steps = [step("fast", 0, 1), step("slow", 0, 5), step("last", 5, 7), step("other", 0, 6)]
    dependencies = {"last": frozenset({"fast", "slow"})}
    assert names(critical_path(steps, dependencies, 7)) == ["slow", "last"]


def test_path_passes_resources_without_an_operation() -> None:
    steps = [step("first", 0, 3), step("last", 3, 4)]
    dependencies = {"last": frozenset({"component"}), "component": frozenset({"first"})}
    assert names(critical_path(steps, dependencies, 4)) == ["first", "last"]


def test_deletions_wait_for_the_resources_that_need_them() -> None:
    steps = [step("user", 0, 2, "delete"), step("used", 2, 3, "delete")]
    assert names(critical_path(steps, {"user": frozenset({"used"})}, 3)) == ["user", "used"]


def test_running_operation_ends_the_path() -> None:
    steps = [step("first", 0, 2), step("running", 2, None), step("done", 2, 3)]
    assert names(critical_path(steps, {"running": frozenset({"first"})}, 9)) == ["first", "running"]


def test_cycle_of_dependencies_ends() -> None:
    steps = [step("a", 0, 0), step("b", 0, 0)]
    dependencies = {"a": frozenset({"b"}), "b": frozenset({"a"})}
    assert sorted(names(critical_path(steps, dependencies, 0))) == ["a", "b"]


def test_operation_without_steps_has_no_path() -> None:
    assert critical_path([], {}, 0) == []
