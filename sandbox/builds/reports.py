"""Reports of tests in JUnit's XML format, which the account stores."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from sandbox.builds import file_patterns
from sandbox.builds.aws_session import AwsSession
from sandbox.builds.buildspec import Report
from sandbox.builds.errors import PhaseError
from sandbox.contracts.build_runner import BuildOrder

_NANOSECONDS = 1_000_000_000
_MESSAGE_LENGTH = 4096
_STATUSES = {"failure": "FAILED", "error": "ERROR", "skipped": "SKIPPED"}
# Ignores proxies of the environment.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, kw_only=True)
class ReportUpload:
    """Uploads the reports of one build."""

    order: BuildOrder
    source: Path
    session: AwsSession
    note: Callable[[str], None]

    def upload(self, reports: Mapping[str, Report]) -> list[str]:
        """Upload all; return their ARNs. Raises PhaseError."""
        arns = []
        for group, report in reports.items():
            self.note(f"Preparing to upload test report {group}")
            if report.file_format != "JUNITXML":
                self.note(f"Report {group}: {report.file_format} is not emulated by the sandbox")
                continue
            files = file_patterns.find(self.source / report.base_directory, report.files)
            if not files:
                self.note(f"No matching report paths found for {group}")
                continue
            cases = [case for file in files for case in self._cases(file)]
            arns.append(self._add(group, cases))
        return arns

    def _cases(self, file: Path) -> list[dict[str, Any]]:
        try:
            return junit_cases(file)
        except ET.ParseError as error:
            self.note(f"Error processing test report {file.name}: {error}")
            return []

    def _add(self, group: str, cases: list[dict[str, Any]]) -> str:
        content = {
            "region": self.order.region,
            "access_key": self.session.credentials["AWS_ACCESS_KEY_ID"],
            "project": self.order.project["name"],
            "build": self.order.arn,
            "group": group,
            "cases": cases,
        }
        request = urllib.request.Request(  # noqa: S310 - the account's own URL
            f"{self.session.url}/_sandbox/codebuild/report", json.dumps(content).encode()
        )
        try:
            with _DIRECT.open(request) as response:
                return str(json.load(response)["arn"])
        except urllib.error.HTTPError as error:
            message = json.load(error).get("error", str(error))
            raise PhaseError("CLIENT_ERROR", f"Error in {group}: {message}") from None


def junit_cases(file: Path) -> list[dict[str, Any]]:
    """Return the test cases of a file. Raises ParseError."""
    # The files are the build's own; expat limits the expansion of entities.
    root = ET.parse(file).getroot()  # noqa: S314
    return [
        _case(case, suite.get("name", ""))
        for suite in root.iter("testsuite")
        for case in suite.findall("testcase")
    ]


def _case(element: ET.Element, suite: str) -> dict[str, Any]:
    status, message = "SUCCEEDED", ""
    for child in element:
        if child.tag in _STATUSES:
            status = _STATUSES[child.tag]
            message = (child.get("message") or child.text or "").strip()
            break
    try:
        seconds = float(element.get("time") or 0)
    except ValueError:
        seconds = 0.0
    return {
        "name": element.get("name", ""),
        "prefix": element.get("classname", ""),
        "testSuiteName": suite,
        "status": status,
        "durationInNanoSeconds": int(seconds * _NANOSECONDS),
        "message": message[:_MESSAGE_LENGTH],
    }
