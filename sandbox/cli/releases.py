"""What a stack's service runs: where it answers, and images that are built but not released."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sandbox.cli.endpoints import endpoints
from sandbox.cli.output import Output
from sandbox.providers.kubernetes.client import ApiStatusError, Client, UnreachableError
from sandbox.runtime import kubeconfig
from sandbox.runtime.session import Session


def unreleased(client: Client, built: Sequence[str]) -> Iterator[str]:
    """Yield a line for each Deployment that runs another digest of a built image's repository."""
    try:
        items = client.request("GET", "/apis/apps/v1/deployments")[0]["items"]
    except (ApiStatusError, UnreachableError):
        return
    for reference in built:
        repository, _, digest = reference.partition("@")
        for item in items:
            outdated = [
                (container["name"], container["image"])
                for container in _containers(item)
                if container["image"].partition("@")[0] == repository
                and container["image"] != reference
            ]
            if outdated:
                yield _line(item["metadata"], outdated, reference, digest)


def _line(
    metadata: dict[str, Any], outdated: Sequence[tuple[str, str]], reference: str, digest: str
) -> str:
    running = outdated[0][1].partition("@")[2] or outdated[0][1]
    changes = " ".join(f"{name}={reference}" for name, _ in outdated)
    return (
        f"{metadata['name']} runs {running[:19]}, and {digest[:19]} is built. Commit the "
        f"change and run `sandbox release`, or: kubectl set image -n {metadata['namespace']} "
        f"deployment/{metadata['name']} {changes}"
    )


def _containers(deployment: dict[str, Any]) -> Iterator[dict[str, Any]]:
    spec = deployment["spec"]["template"]["spec"]
    yield from spec["containers"]
    yield from spec.get("initContainers") or ()


def report_service(session: Session, output: Output) -> None:
    """Print where the service answers, and what it runs if that is not what was built."""
    served = endpoints(session.home, session.outputs())
    if not served:
        return
    outputs = session.outputs(show_secrets=True)
    if "kubeconfig" in outputs:
        variables = session.running.environment(session.home, session.file.region)
        path = kubeconfig.write(
            session.home, session.stack, outputs["kubeconfig"], variables, session.namespace()
        )
        for line in unreleased(Client(path.read_text()), session.image_digests()):
            output.note(line)
    if session.running.without_containers:
        output.note(
            "the pods run as processes from the sources, not in containers: "
            f"{session.running.without_containers}. sandbox/containers/README.md says what differs."
        )
    for endpoint in served:
        output.say(f"{endpoint.service}: {endpoint.local_url}")
