"""Executions of pipelines: overhead of actions and builds, and kills at random moments."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.row import Row
from bench.small_pipeline import LIVE, SmallPipeline

EXECUTIONS = 100
_TOGETHER = 5
_SEED = 11
_HANGS_AFTER = 180.0
_ACTIONS = 8


def measure(directory: Path) -> list[Row]:
    """Measure both."""
    return [*_overhead(directory / "overhead"), _kills(directory / "kills")]


def _overhead(directory: Path) -> list[Row]:
    """Run builds of an empty command one after the other."""
    stages = {f"stage{number}": ["true"] for number in range(_ACTIONS)}
    pipeline = SmallPipeline(directory, stages, mode="QUEUED")
    try:
        pipeline.wait(pipeline.first())
        id = pipeline.release()
        if (status := pipeline.wait(id)) != "Succeeded":
            reasons = "; ".join(filter(None, map(_reason, pipeline.actions(id))))
            raise RuntimeError(f"an execution without a kill is {status}: {reasons}")
        actions = pipeline.actions(id)
        own, of_builds = [], []
        for action in actions:
            seconds = (action["lastUpdateTime"] - action["startTime"]).total_seconds()
            build = action["output"]["executionResult"].get("externalExecutionId")
            if build and build.count(":") == 1:
                took = pipeline.build(build)
                ended = (took["endTime"] - took["startTime"]).total_seconds()
                own.append(seconds - ended)
                of_builds.append(ended - _commands(took))
        begun = min(action["startTime"] for action in actions)
        total = (max(action["lastUpdateTime"] for action in actions) - begun).total_seconds()
        within = sum(
            (action["lastUpdateTime"] - action["startTime"]).total_seconds() for action in actions
        )
        between = (total - within) / len(actions)
    finally:
        pipeline.stop()
    action_seconds = statistics.median(own) + between
    build_seconds = statistics.median(of_builds)
    return [
        _bar("overhead of an action", action_seconds, 0.3),
        _bar("overhead of a build", build_seconds, 1.0),
    ]


def _bar(measure: str, seconds: float, bar: float) -> Row:
    return Row(measure, f"{seconds:.2f} s", "", "", f"≤ {bar:g} s", met=seconds <= bar)


def _commands(build: dict[str, Any]) -> float:
    """Return the seconds of the phases that run commands."""
    seconds: float = sum(
        (phase["endTime"] - phase["startTime"]).total_seconds()
        for phase in build["phases"]
        if phase["phaseType"] in {"INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD"}
    )
    return seconds


def _kills(directory: Path) -> Row:
    """Kill the background process or builds at random moments of executions."""
    chance = random.Random(_SEED)  # noqa: S311 - reproducible, not secret
    stages = {"Build": ["sleep 0.4"], "Test": ["sleep 0.2", "sleep 0.5"], "Deploy": ["sleep 0.2"]}
    pipeline = SmallPipeline(directory, stages)
    ended: Counter[str] = Counter()
    kills: Counter[str] = Counter()
    try:
        started = time.monotonic()
        pipeline.wait(pipeline.first(), _HANGS_AFTER)
        longest = time.monotonic() - started
        while sum(ended.values()) < EXECUTIONS:
            ids = [pipeline.release() for _ in range(_TOGETHER)]
            for _ in range(chance.choice((1, 1, 2))):
                time.sleep(chance.uniform(0.0, longest))
                kills[_kill(pipeline, chance)] += 1
                pipeline.start()
            for id in ids:
                ended[_result(pipeline, id)] += 1
            sys.stderr.write(f"{dict(ended)} after {dict(kills)}\n")
    finally:
        pipeline.stop()
    bad = ended["hanging"] + ended["failed without a reason"]
    counted = ", ".join(f"{count} {status}" for status, count in sorted(ended.items()))
    killed = ", ".join(f"{count} of the {what}" for what, count in sorted(kills.items()))
    return Row(
        f"executions after kills at random moments ({killed})",
        f"{bad} hanging ({counted})",
        "",
        "",
        "0",
        met=bad == 0,
    )


def _kill(pipeline: SmallPipeline, chance: random.Random) -> str:
    """Kill the background process, or a build if one runs; return which."""
    builds = pipeline.builds()
    if builds and chance.random() < 0.4:
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(builds), signal.SIGKILL)
        return "builds"
    pipeline.kill()
    return "background process"


def _result(pipeline: SmallPipeline, id: str) -> str:
    """Return how an execution has ended; a failure must have a reason."""
    status = pipeline.wait(id, _HANGS_AFTER)
    if status in LIVE:
        return "hanging"
    failed = [action for action in pipeline.actions(id) if action["status"] == "Failed"]
    if status == "Failed" and not any(map(_reason, failed)):
        return "failed without a reason"
    return status.lower()


def _reason(action: dict[str, Any]) -> str:
    """Return why an action has failed."""
    result = (action.get("output") or {}).get("executionResult") or {}
    return str((result.get("errorDetails") or {}).get("message", ""))
