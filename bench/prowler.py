"""`make prowler`: runs Prowler against dev and prod in a sandbox of its own, and records it.

Prowler is installed from `bench/locks/prowler.txt` into an environment in the user's cache. The
findings, with the resources' names in the program, are written to docs/prowler-findings.json. The
exit code is 1 if a finding is unexplained in `bench.prowler_findings`, or an explanation is stale.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import prowler_findings
from bench.progress import report
from sandbox.engine.state.backend import Backend
from sandbox.runtime.home import Home, user_cache
from sandbox.runtime.virtual_environments import VirtualEnvironments

PROJECT = Path(__file__).parents[1]
LOCK = Path(__file__).parent / "locks" / "prowler.txt"
STACKS = ("dev", "prod")
REGION = "us-east-1"
# Of Prowler's services, those that the program creates resources of.
SERVICES = (
    *("cloudwatch", "codebuild", "codepipeline", "ec2", "ecr", "eks", "elbv2", "eventbridge"),
    *("iam", "kms", "rds", "s3", "secretsmanager", "sns", "ssm", "vpc"),
)
_SECONDS = 900
_OPERATION = re.compile(r"when calling the (\w+) operation: ([\w-]+):")
_MESSAGE = re.compile(r'"filename": "(\w+)\.py:\d+".*?"message": "(.*)')
_ERROR = re.compile(r"\w*(?:Error|Exception)\w*")
# What identifies a resource that the program does not register: the kind in its ARN.
_KINDS = ("network-acl", "loadbalancer", "secret:", "security-group")


def main() -> None:
    """Create both stacks, run Prowler, record the findings and compare them with the table."""
    report(f"Installing Prowler of {LOCK.name}, unless it is cached")
    environment = VirtualEnvironments(user_cache() / "environments").ensure([LOCK])
    with TemporaryDirectory(prefix="prowler-") as directory:
        home = Path(directory) / "home"
        sandbox = _Sandbox(home)
        try:
            for stack in STACKS:
                report(f"Creating {stack}")
                sandbox.run("up", stack, "--yes", "--skip-preview")
            variables = json.loads(sandbox.run("env", STACKS[0], "--json"))["variables"]
            report("Running Prowler")
            findings, log = _run_prowler(environment, variables, Path(directory))
            recording = _record(findings, log, _names(home))
        finally:
            sandbox.run("stop", check=False)
    text = json.dumps(recording, indent=1, sort_keys=True) + "\n"
    prowler_findings.RECORDING.write_text(text, encoding="utf-8")
    counts = ", ".join(f"{number} {status}" for status, number in recording["counts"].items())
    report(f"{counts}; {prowler_findings.RECORDING.relative_to(PROJECT)} is written")
    if problems := prowler_findings.problems(recording):
        sys.exit("\n".join(problems))


class _Sandbox:
    """The command line with a home of its own."""

    def __init__(self, home: Path) -> None:
        variables = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("AWS_", "PULUMI_"))
        }
        self._environment = variables | {"SANDBOX_HOME": str(home), "SANDBOX_ENGINE": "embedded"}

    def run(self, *arguments: str, check: bool = True) -> str:
        """Run a command and return its output; exit with its messages if it fails."""
        result = subprocess.run(
            [sys.executable, "-m", "sandbox", *arguments],
            cwd=PROJECT,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        if check and result.returncode:
            sys.exit(f"sandbox {' '.join(arguments)} failed:\n{result.stdout}{result.stderr}")
        return result.stdout


def _run_prowler(
    environment: Path, variables: Mapping[str, str], directory: Path
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return Prowler's findings and the lines of its log."""
    own = {key: value for key, value in variables.items() if key.startswith("AWS_")}
    log = directory / "log"
    command = [str(environment / "bin" / "prowler"), "aws", "--region", REGION]
    command += ["--service", *SERVICES, "--ignore-exit-code-3", "--no-banner", "--no-color"]
    command += ["--output-formats", "json-ocsf", "--output-directory", str(directory)]
    command += ["--output-filename", "findings", "--log-level", "ERROR", "--log-file", str(log)]
    result = subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], "HOME": str(directory), "NO_PROXY": "*", **own},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    if result.returncode:
        sys.exit(f"Prowler failed:\n{result.stdout}{result.stderr}")
    findings = json.loads((directory / "findings.ocsf.json").read_text(encoding="utf-8"))
    return findings, log.read_text(encoding="utf-8").splitlines()


def _names(home: Path) -> dict[str, str]:
    """Return "STACK/LOGICAL NAME" by ARN and by ID."""
    names = {}
    for stack in STACKS:
        for resource in Backend(Home(home).state).read("platform", stack).get("resources") or []:
            name = f"{stack}/{resource['urn'].rpartition('::')[2]}"
            outputs = resource.get("outputs") or {}
            for identifier in (resource.get("id"), outputs.get("arn")):
                if isinstance(identifier, str) and resource["type"].startswith("aws:"):
                    names[identifier] = name
    return names


def _record(
    findings: Iterable[dict[str, Any]], log: Iterable[str], names: Mapping[str, str]
) -> dict[str, Any]:
    """Return a recording without identifiers that differ between runs."""
    checks: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    versions = set()
    for finding in findings:
        check, status = finding["metadata"]["event_code"], finding["status_code"]
        versions.add(finding["metadata"]["product"]["version"])
        checks[status][check].append(_resource(finding["resources"][0]["uid"], names))
    [version] = versions
    return {
        "prowler": version,
        "services": list(SERVICES),
        "counts": {
            status: sum(map(len, resources.values())) for status, resources in checks.items()
        },
        "passed": {check: len(resources) for check, resources in checks["PASS"].items()},
        "failed": {check: sorted(resources) for check, resources in checks["FAIL"].items()},
        "manual": {check: sorted(resources) for check, resources in checks["MANUAL"].items()},
        "unread": dict(Counter(_unread(log))),
    }


def _resource(uid: str, names: Mapping[str, str]) -> str:
    """Return the name of a resource in the program, or its kind."""
    uid = uid.removesuffix(":*")
    for identifier in (
        uid,
        re.split(r"[:/]", uid)[-1],
        uid.partition("/image/image/")[0] + "/image",
    ):
        if identifier in names:
            return names[identifier]
    return next((kind.rstrip(":") for kind in _KINDS if f":{kind}" in uid), "account")


def _unread(log: Iterable[str]) -> Iterator[str]:
    """Yield what Prowler could not read: an operation, or the module and kind of an error."""
    for line in log:
        if operation := _OPERATION.search(line):
            yield f"{operation[2]}:{operation[1]}"
        elif message := _MESSAGE.search(line):
            error = _ERROR.search(message[2])
            yield f"{message[1]}: {error[0] if error else message[2][:18]}"


if __name__ == "__main__":
    main()
