"""Events of builds.

Source: CodeBuild User Guide, "Build notifications input format reference".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sandbox.contracts.service_event import ServiceEvent


def build_event(build: Mapping[str, Any]) -> ServiceEvent:
    """Return the event of a build's new status."""
    phases = [_phase(phase) for phase in build["phases"]]
    detail = {
        "build-status": build["buildStatus"],
        "current-phase": build["currentPhase"],
        "current-phase-context": "[]",
        "additional-information": {**_information(build), "phases": phases},
    }
    return _event(build, "State", detail)


def phase_event(build: Mapping[str, Any], phase: Mapping[str, Any]) -> ServiceEvent:
    """Return the event of a phase that has ended."""
    detail = {
        "completed-phase": phase["phaseType"],
        "completed-phase-status": phase["phaseStatus"],
        "completed-phase-duration-seconds": phase["durationInSeconds"],
        "completed-phase-start": _time(phase["startTime"]),
        "completed-phase-end": _time(phase["endTime"]),
        "completed-phase-context": _context(phase),
        "additional-information": _information(build),
    }
    return _event(build, "Phase", detail)


def _event(build: Mapping[str, Any], kind: str, detail: dict[str, Any]) -> ServiceEvent:
    name = {"State": "CodeBuild Build State Change", "Phase": "CodeBuild Build Phase Change"}[kind]
    own = {"project-name": build["projectName"], "build-id": build["arn"], "version": "1"}
    return ServiceEvent(
        source="aws.codebuild",
        detail_type=name,
        region=build["arn"].split(":")[3],
        resources=(build["arn"],),
        detail={**own, **detail},
    )


def _information(build: Mapping[str, Any]) -> dict[str, Any]:
    logs = build.get("logs") or {}
    return {
        "build-complete": build["buildComplete"],
        "build-number": build["buildNumber"],
        "initiator": build["initiator"],
        "build-start-time": _time(build["startTime"]),
        "timeout-in-minutes": build["timeoutInMinutes"],
        "logs": {"group-name": logs.get("groupName"), "stream-name": logs.get("streamName")},
    }


def _phase(phase: Mapping[str, Any]) -> dict[str, Any]:
    shown = {"phase-type": phase["phaseType"], "start-time": _time(phase["startTime"])}
    if "endTime" in phase:
        shown |= {
            "phase-status": phase["phaseStatus"],
            "end-time": _time(phase["endTime"]),
            "duration-in-seconds": phase["durationInSeconds"],
            "phase-context": [_context(phase)],
        }
    return shown


def _context(phase: Mapping[str, Any]) -> str:
    [context] = phase.get("contexts") or [{"statusCode": "", "message": ""}]
    return f"[{context['statusCode']}: {context['message']}]"


def _time(moment: datetime) -> str:
    return moment.strftime("%b %d, %Y %I:%M:%S %p")
