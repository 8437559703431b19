"""Which images a stack has built, and which of them its Deployments run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sandbox.providers.kubernetes.client import ApiStatusError, Client, UnreachableError


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
