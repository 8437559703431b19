"""`url`, `open`, `logs`: the service that a stack runs in the sandbox."""

from __future__ import annotations

import re
import threading
import time
import webbrowser
from collections.abc import Mapping
from typing import Any, NamedTuple

import click

from sandbox.cli import options
from sandbox.cli.endpoints import Endpoint, endpoints, has_load_balancer
from sandbox.cli.output import Output
from sandbox.cli.stacks import require_state
from sandbox.engine import stack_outputs
from sandbox.providers.kubernetes.client import ApiStatusError, Client, UnreachableError
from sandbox.runtime import kubeconfig
from sandbox.runtime.background import ensure_running
from sandbox.runtime.home import Home
from sandbox.runtime.waiting import announced

_INSIDE_THE_CLUSTER = r"https?://([^./]+)\.([^./]+)\.svc\.cluster\.local.*"
READY_SECONDS = 30.0
"""How long to wait for a ready pod, which a start of the sandbox restarts."""


@click.command()
@options.stack
@options.as_json
def url(stack: str, *, as_json: bool) -> None:
    """Print the URL at which STACK's service answers on this machine."""
    printed = Output(as_json=as_json)
    endpoint = _endpoint(stack, printed)
    if not as_json:
        click.echo(endpoint.local_url)
    printed.document({"result": "succeeded", "stack": stack, "url": endpoint.local_url})


@click.command("open")
@options.stack
def open_(stack: str) -> None:
    """Open STACK's service in a browser."""
    printed = Output(as_json=False)
    endpoint = _endpoint(stack, printed)
    if not webbrowser.open(endpoint.local_url):
        printed.fail(f"there is no browser on this machine; the URL is {endpoint.local_url}")


@click.command()
@options.stack
@click.option("-f", "--follow", is_flag=True, help="Follow the logs until Ctrl-C.")
@click.option(
    "--tail", type=click.IntRange(0), default=50, show_default=True, help="Lines per pod."
)
@click.option("-p", "--previous", is_flag=True, help="Show the logs before the last restart.")
def logs(stack: str, tail: int, *, follow: bool, previous: bool) -> None:
    """Print the logs of STACK's pods."""
    printed = Output(as_json=False)
    home, outputs = _outputs(stack, show_secrets=True)
    client = _client(home, outputs, stack, printed)
    try:
        pods = [
            _Container(item["metadata"]["namespace"], item["metadata"]["name"], container["name"])
            for item in client.request("GET", "/api/v1/pods")[0]["items"]
            for container in item["spec"]["containers"]
        ]
    except (ApiStatusError, UnreachableError) as error:
        printed.fail(f"the cluster of {stack} does not respond: {error}")
    if not pods:
        printed.fail(f"stack {stack} has no pods.")
    query = f"tailLines={tail}" + "&previous=true" * previous + "&follow=true" * follow
    threads = [
        threading.Thread(
            target=_copy_log, args=(client, pod, query, len(pods) > 1, printed), daemon=True
        )
        for pod in pods
    ]
    for thread in threads:
        thread.start()
        if not follow:
            thread.join()  # one pod after the other
    for thread in threads:
        thread.join()


class _Container(NamedTuple):
    namespace: str
    pod: str
    name: str


def _copy_log(client: Client, pod: _Container, query: str, several: bool, printed: Output) -> None:
    path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.pod}/log?container={pod.name}&{query}"
    try:
        for line in client.stream(path):
            click.echo(f"{pod.pod}  {line}" if several else line)
    except (ApiStatusError, UnreachableError) as error:
        printed.note(str(error))


def _outputs(stack: str, *, show_secrets: bool) -> tuple[Home, Mapping[str, Any]]:
    home, project, passphrase = require_state(stack)
    return home, stack_outputs(home.state, project, stack, passphrase, show_secrets=show_secrets)


def _client(home: Home, outputs: Mapping[str, Any], stack: str, printed: Output) -> Client:
    running = ensure_running(home)
    if "kubeconfig" not in outputs:
        printed.fail(f"stack {stack} has no output kubeconfig.")
    variables = running.environment(home, "us-east-1")
    path = kubeconfig.write(home, stack, outputs["kubeconfig"], variables)
    return Client(path.read_text())


def _endpoint(stack: str, printed: Output) -> Endpoint:
    home, outputs = _outputs(stack, show_secrets=False)
    ensure_running(home)
    deadline = time.monotonic() + READY_SECONDS
    with announced(f"Waiting for the pods of {stack}."):
        while not (served := endpoints(home, outputs)) and has_load_balancer(home, outputs):
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
    if not served:
        printed.fail(unreachable(stack, outputs))
    return served[0]


def unreachable(stack: str, outputs: Mapping[str, Any]) -> str:
    """Return why no service of a stack answers on this machine, with the remedy."""
    if inside := re.fullmatch(_INSIDE_THE_CLUSTER, str(outputs.get("url"))):
        return (
            f"the service of stack {stack} has no load balancer; "
            f"`kubectl port-forward -n {inside[2]} service/{inside[1]} 8080:80` reaches it, "
            f'after `eval "$(sandbox env {stack})"`.'
        )
    return (
        f"no service of stack {stack} answers on this machine; "
        f"`sandbox up {stack}` starts it, and `kubectl get pods` shows why none runs."
    )
