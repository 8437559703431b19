"""`notifications`: what a stack's SNS topics have sent."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

import click

from sandbox.cli import options
from sandbox.cli.output import Output
from sandbox.cli.stacks import require_state
from sandbox.engine.state.backend import Backend
from sandbox.runtime.background import ensure_running

TOPIC_TYPE = "aws:sns/topic:Topic"
_SHOWN = 20


@click.command()
@options.stack
@click.option("--all", "all_", is_flag=True, help="Show all messages instead of the newest.")
@options.as_json
def notifications(stack: str, *, all_: bool, as_json: bool) -> None:
    """Print the messages that STACK's SNS topics have sent."""
    output = Output(as_json=as_json)
    home, project, _ = require_state(stack)
    topics = topic_arns(Backend(home.state).read(project, stack).get("resources") or [])
    if not topics:
        output.fail(f"stack {stack} has no SNS topic; `sandbox up {stack}` creates them.")
    sent = [item for item in _messages(ensure_running(home).account) if item["topic"] in topics]
    shown = sent if all_ else sent[-_SHOWN:]
    for item in shown:
        moment = str(item["time"]).replace("T", " ").removesuffix("Z")
        output.say(f"{moment}  {summary(item)}")
    if not sent:
        output.say(f"The topics of {stack} have sent no message.")
    elif len(shown) < len(sent):
        output.note(f"{len(sent) - len(shown)} older messages; --all shows them.")
    output.document({"result": "succeeded", "stack": stack, "messages": shown})


def topic_arns(resources: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the ARNs of the topics among a state's resources."""
    return {
        str(item["outputs"]["arn"])
        for item in resources
        if item["type"] == TOPIC_TYPE and (item.get("outputs") or {}).get("arn")
    }


def summary(item: Mapping[str, Any]) -> str:
    """Return a message's subject, or one line of what an event says."""
    if item["subject"]:
        return str(item["subject"])
    try:
        message = json.loads(item["message"])
        detail = message["detail"]
    except (ValueError, TypeError, KeyError):
        return " ".join(str(item["message"]).split())
    kind = message.get("detailType") or message.get("detail-type")
    names = ("pipeline", "stage", "action", "project-name", "state", "build-status")
    facts = [str(detail[name]) for name in names if detail.get(name)]
    reason = (detail.get("execution-result") or {}).get("external-execution-summary")
    return ": ".join(filter(None, [str(kind), " ".join(facts), reason]))


def _messages(account: str) -> list[dict[str, Any]]:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"{account}/_sandbox/messages", timeout=30) as response:
        content: dict[str, list[dict[str, Any]]] = json.load(response)
    return content["messages"]
