"""Options of the operations: refresh, exclude, message, parallel, first update, interrupts."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox.runtime import pulumi_cli
from tests.end_to_end.conftest import Sandbox

PROGRAM = """\
import json
import pulumi
import pulumi_aws as aws

config = pulumi.Config()
topics = [aws.sns.Topic(f"topic-{i}", display_name=config.get("text") or "a") for i in range(3)]
statement = {"Effect": "Allow", "Principal": "*", "Action": "sns:Publish", "Resource": "*"}
aws.sns.TopicPolicy(
    "policy",
    arn=topics[0].arn,
    policy=json.dumps(
        {"Version": "2012-10-17", "Statement": [statement | {"Sid": config.get("text") or "a"}]}
    ),
)
"""


@pytest.fixture(scope="module")
def small(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """A small project with its own program, which is up."""
    project = tmp_path_factory.mktemp("project")
    (project / "Pulumi.yaml").write_text("name: small\nruntime: python\n")
    (project / "Pulumi.dev.yaml").write_text("config:\n  aws:region: us-east-1\n")
    (project / "__main__.py").write_text(PROGRAM)
    created = Sandbox(sandbox.home, project)
    up = created.run("up", "dev", "--yes", "--message", "the first")
    assert up.returncode == 0, up.stdout + up.stderr
    assert re.search(r"created \(\d\.\ds, 5 of 5\)", up.stdout), up.stdout
    return created


def changes(document: dict[str, object]) -> object:
    counted = document["changes"]
    assert isinstance(counted, dict)
    return {op: count for op, count in counted.items() if count and op != "same"}


def test_message_is_in_the_history(small: Sandbox) -> None:
    updates = small.json("history", "dev")["updates"]
    assert updates[0]["message"] == "the first"
    assert "the first" in small.run("history", "dev").stdout


def test_json_of_a_policy_is_compared_by_its_parts_in_a_pipe(small: Sandbox) -> None:
    shown = small.run("preview", "dev", "-c", "text=b", "--target", "**TopicPolicy::policy").stdout
    assert "~ policy: (json)" in shown
    assert '~ Statement[0].Sid: "a" => "b"' in shown


def test_excluded_resource_is_left_alone(small: Sandbox) -> None:
    preview = small.json("preview", "dev", "-c", "text=b", "--exclude", "**::topic-1")
    names = {step["urn"].rpartition("::")[2] for step in preview["steps"]}
    assert names == {"topic-0", "topic-2", "policy"}
    refused = small.json("preview", "dev", "--exclude", "urn:nothing", code=2)
    assert "No resource has the excluded URN urn:nothing" in refused["error"]


def test_preview_with_refresh_finds_drift_and_leaves_the_state(small: Sandbox) -> None:
    sns = small.client("sns")
    [arn] = [
        topic["TopicArn"]
        for topic in sns.list_topics()["Topics"]
        if ":topic-2-" in topic["TopicArn"]
    ]
    sns.set_topic_attributes(TopicArn=arn, AttributeName="DisplayName", AttributeValue="drift")
    before = small.run("export", "dev").stdout
    assert changes(small.json("preview", "dev")) == {}
    drift = small.json("preview", "dev", "--refresh", "--expect-no-changes", code=7)
    assert changes(drift) == {"update": 1}
    assert drift["steps"][0]["changes"][0]["old"] == "drift"
    assert small.run("export", "dev").stdout == before
    assert changes(small.json("up", "dev", "--refresh", "--parallel", "2")) == {"update": 1}
    assert changes(small.json("preview", "dev", "--refresh", "--expect-no-changes")) == {}


def test_destroy_leaves_an_excluded_resource_and_what_it_needs(small: Sandbox) -> None:
    destroyed = small.json("destroy", "dev", "--yes", "--exclude", "**::policy")
    assert changes(destroyed) == {"delete": 2}
    assert changes(small.json("up", "dev")) == {"create": 2}


@pytest.mark.parametrize("seconds", [0.15, 0.4, 0.8])
def test_interrupt_in_the_first_second_changes_nothing(small: Sandbox, seconds: float) -> None:
    command = [sys.executable, "-m", "sandbox", "up", "dev", "--yes", "-c", "text=interrupted"]
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]  # as a shell's `&` does
    process = subprocess.Popen(
        command,
        cwd=small.project,
        env=small.environment | {"PYTHONPATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode in (1, -signal.SIGINT)
    assert "Traceback" not in errors.partition("sandbox/__main__.py")[2]
    assert changes(small.json("preview", "dev")) == {}


def test_stop_returns_when_the_process_has_ended(small: Sandbox) -> None:
    pid = small.json("status")["process"]["pid"]
    small.json("stop")
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_taken_port_of_the_account_is_reported_within_five_seconds(small: Sandbox) -> None:
    port = int((small.home / "account" / "port").read_text())
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed connections linger
        taken.bind(("127.0.0.1", port))
        taken.listen()
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", "inventory", "--json"],
            cwd=small.project,
            env=small.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        line = process.stderr.readline()
        assert time.monotonic() - started < 5
        assert f"port {port} is taken by another process" in line
        assert "Shells that ran `sandbox env`" in line
        assert json.loads(process.communicate()[0])["result"] == "succeeded"
        assert process.returncode == 0


def test_killed_background_process_leaves_no_errors_of_controllers(small: Sandbox) -> None:
    log = small.home / "logs" / "daemon.log"
    size = log.stat().st_size
    pid = small.json("status")["process"]["pid"]
    os.killpg(pid, signal.SIGKILL)
    small.json("preview", "dev")
    with log.open() as file:
        file.seek(size)
        lines = file.read().splitlines()
    assert [line for line in lines if " ERROR " in line or "Traceback" in line] == []


def test_program_that_cannot_start_leaves_nothing_to_lose(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text(
        "name: unstarted\nruntime: {name: python, options: {virtualenv: venv}}\n"
    )
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  aws:region: us-east-1\n")
    (tmp_path / "__main__.py").write_text("")
    unstarted = Sandbox(sandbox.home, tmp_path)
    for _ in range(2):
        assert "Create it: python3 -m venv venv" in unstarted.run("up", "dev", "--yes").stderr


def test_types_that_are_not_emulated_are_recorded_and_listed(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: recorded\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  aws:region: us-east-1\n")
    (tmp_path / "__main__.py").write_text(
        "import pulumi\nimport pulumi_aws as aws\n"
        'table = aws.dynamodb.Table("t", hash_key="id", billing_mode="PAY_PER_REQUEST",\n'
        '    attributes=[{"name": "id", "type": "S"}])\n'
        'pulumi.export("arn", table.arn)\n'
    )
    recorded = Sandbox(sandbox.home, tmp_path)

    def refused() -> bool:
        document = recorded.json("up", "dev", "--yes", code=1)
        return any("--unemulated record" in item["message"] for item in document["diagnostics"])

    assert refused()
    recorded.json("up", "none", "--yes", "--unemulated", "record", code=2)
    assert not list((sandbox.home / "recording").glob("*.none"))
    for operation in (
        ("up", "dev", "--yes", "--unemulated", "record"),
        ("preview", "dev", "--expect-no-changes"),
        ("refresh", "dev", "--yes"),
        ("destroy", "dev", "--yes"),
    ):
        document = recorded.json(*operation)
        messages = [item["message"] for item in document["diagnostics"]]
        assert any(message.startswith("not emulated: ") for message in messages), operation
        if operation[0] == "up":
            arn = recorded.run("output", "dev", "arn").stdout
            assert arn.startswith("arn:aws:dynamodb:us-east-1:123456789012:table/t-")
    assert refused(), "destroy forgets the choice"


def test_up_after_a_killed_destroy_that_emptied_the_account_is_complete(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: emptied\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  aws:region: us-east-1\n")
    (tmp_path / "__main__.py").write_text("import pulumi_aws as aws\naws.sns.Topic('topic')\n")
    (tmp_path / "home").mkdir(mode=0o700)
    emptied = Sandbox(tmp_path / "home", tmp_path)
    try:
        emptied.json("up", "dev", "--yes")
        checkpoint = emptied.home / "state/.pulumi/stacks/emptied/dev.json"
        document = json.loads(checkpoint.read_bytes())
        emptied.json("destroy", "dev", "--yes")
        latest = document["checkpoint"]["latest"]
        topics = [item for item in latest["resources"] if item["type"] == "aws:sns/topic:Topic"]
        record = emptied.home / "created/emptied.dev.json"
        for pending, code in ((topics, 0), ([], 1)):  # without it, the account was lost
            latest["pending_operations"] = [
                {"resource": topic, "type": "deleting"} for topic in pending
            ]
            checkpoint.write_text(json.dumps(document))
            record.write_text(json.dumps({"resources": 3}))  # of an interrupted operation
            assert changes(emptied.json("preview", "dev", code=code)) == (
                {"create": 1} if pending else {}
            )
        assert "the account is empty" in emptied.run("up", "dev", "--yes").stderr
    finally:
        emptied.run("stop", "--force")


def test_first_update_by_the_cli_is_not_previewed_to_count_its_resources(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    if pulumi_cli.find() is None:
        pytest.skip("no Pulumi CLI: `make pulumi`")
    (tmp_path / "Pulumi.yaml").write_text("name: counted\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  aws:region: us-east-1\n")
    (tmp_path / "__main__.py").write_text("import pulumi\npulumi.export('a', 1)\n")
    ran = Sandbox(sandbox.home, tmp_path).run("up", "dev", "--yes", "--engine", "pulumi")
    assert ran.returncode == 0, ran.stderr
    assert "Updating (dev)" in ran.stderr
    assert "Previewing update" not in ran.stderr
