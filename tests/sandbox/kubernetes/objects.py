"""Objects and expectations of the tests with the official Python client."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes import client as official

# The typed client would refuse some of the requests.
client: Any = official


def deployment(
    name: str = "web", replicas: int = 2, image: str = "registry/app:1", **pod: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": image}], **pod},
            },
        },
    }


def eventually(check: Callable[[], Any], seconds: float = 120.0) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        result = check()
        if result or time.monotonic() > deadline:
            assert result
            return result
        time.sleep(0.05)


def refusal(action: Callable[[], Any]) -> client.ApiException:
    with pytest.raises(client.ApiException) as caught:
        action()
    return caught.value


def available(apps: client.AppsV1Api, name: str = "web") -> int:
    status = apps.read_namespaced_deployment(name, "default").status
    return (status.available_replicas or 0) if status else 0
