"""A small project with its own sandbox, which kills and damage leave in any state."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import ROOT

PROGRAM = """\
import json
import pulumi
import pulumi_aws as aws

config = pulumi.Config()
text, generation = config.get("text") or "a", config.get("generation") or "0"
vpc = aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16", tags={"Name": text})
subnets = [
    aws.ec2.Subnet(
        f"subnet-{i}",
        vpc_id=vpc.id,
        cidr_block=f"10.0.{i}.0/24",
        availability_zone=f"us-east-1{'abc'[i]}",  # EKS refuses us-east-1e, which AWS may choose
        tags={"Name": text},
    )
    for i in range(3)
]
gateway = aws.ec2.InternetGateway("gateway", vpc_id=vpc.id, tags={"Name": text})
table = aws.ec2.RouteTable("table", vpc_id=vpc.id)
aws.ec2.Route(
    "route", route_table_id=table.id, destination_cidr_block="0.0.0.0/0", gateway_id=gateway.id
)
for i, subnet in enumerate(subnets):
    aws.ec2.RouteTableAssociation(f"a-{i}", route_table_id=table.id, subnet_id=subnet.id)
aws.ec2.SecurityGroup("group", vpc_id=vpc.id, description=f"group {generation}")
principal = {"Service": "ec2.amazonaws.com"}
trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
role = aws.iam.Role(
    "role",
    name=f"role-{generation}",
    description=text,
    assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
)
aws.iam.RolePolicyAttachment(
    "attachment", role=role.name, policy_arn="arn:aws:iam::aws:policy/ReadOnlyAccess"
)
topics = [aws.sns.Topic(f"topic-{i}", display_name=text) for i in range(3)]
for i in range(3):
    name = f"/{generation}/{i}"
    aws.ssm.Parameter(f"parameter-{i}", name=name, type="String", insecure_value=text)
aws.cloudwatch.LogGroup("logs", name=f"logs-{generation}", retention_in_days=7)
trust["Principal"] = {"Service": "eks.amazonaws.com"}
cluster_role = aws.iam.Role(
    "cluster", assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
)
if config.get_bool("cluster"):
    aws.eks.Cluster(
        "cluster",
        role_arn=cluster_role.arn,
        vpc_config={"subnet_ids": [subnet.id for subnet in subnets]},
    )
pulumi.export("topics", [topic.arn for topic in topics])
"""


@dataclass(frozen=True)
class SmallStack:
    """A project and the home of its sandbox, both in one directory."""

    directory: Path
    engine: str = "embedded"

    @classmethod
    def create(cls, directory: Path, engine: str = "embedded") -> SmallStack:
        """Write the project."""
        project = directory / "project"
        project.mkdir(parents=True)
        (project / "Pulumi.yaml").write_text("name: small\nruntime: python\n")
        (project / "Pulumi.dev.yaml").write_text("config:\n  aws:region: us-east-1\n")
        (project / "__main__.py").write_text(PROGRAM)
        return cls(directory, engine)

    @property
    def home(self) -> Path:
        """The sandbox's directory."""
        return self.directory / "home"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command of the sandbox in a session of its own."""
        variables = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("AWS_", "PULUMI_"))
        }
        return subprocess.Popen(
            [sys.executable, "-m", "sandbox", *arguments],
            cwd=self.directory / "project",
            env=variables
            | {
                "SANDBOX_HOME": str(self.home),
                "SANDBOX_ENGINE": self.engine,
                "PYTHONPATH": str(ROOT),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run a command; return its exit code and output."""
        process = self.start(*arguments)
        try:
            output, errors = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return -1, "no end within 300 s"
        return process.returncode, output + errors

    def kill_after(self, seconds: float, *arguments: str, working: bool = False) -> bool:
        """Run a command and kill its processes after a time; return False if it ended before.

        With `working`, the time starts with the first request to a provider.
        """
        process = self.start(*arguments)
        while working and process.poll() is None and b'"pending_operations"' not in self._state():
            time.sleep(0.005)
        deadline = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        killed = process.poll() is None
        if killed:
            for pid in [process.pid, *_descendants(process.pid)]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        process.communicate()
        return killed

    def _state(self) -> bytes:
        return self.checkpoint.read_bytes() if self.checkpoint.exists() else b""

    @property
    def checkpoint(self) -> Path:
        """The file of the stack's state."""
        return self.home / "state" / ".pulumi" / "stacks" / "small" / "dev.json"

    def objects(self) -> Counter[str]:
        """Return the number of the account's objects by service and type."""
        info = json.loads((self.home / "daemon.json").read_text())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{info['account']}/_sandbox/inventory", timeout=60) as response:
            items: list[dict[str, Any]] = json.load(response)["items"]
        return Counter(f"{item['service']}:{item['type']}" for item in items)


def _descendants(pid: int) -> list[int]:
    """Return the processes below a process, except the sandbox's background process."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if b"sandbox.daemon" not in stat.with_name("cmdline").read_bytes():
                parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
                children.setdefault(parent, []).append(int(stat.parent.name))
    pids = list(children.get(pid, ()))
    for child in pids:  # extended in the loop
        pids += children.get(child, ())
    return pids
