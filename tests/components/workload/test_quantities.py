"""Quantities in the canonical form of the Kubernetes API."""

from typing import Any

import pytest

from components.workload import quantities
from tests.components.factories import record, workload


@pytest.mark.parametrize(
    ("millicores", "text"), [(1, "1m"), (250, "250m"), (1000, "1"), (1500, "1500m"), (12000, "12")]
)
def test_cpu(millicores: int, text: str) -> None:
    assert quantities.cpu(millicores) == text


@pytest.mark.parametrize(
    ("mib", "text"),
    [(64, "64Mi"), (1024, "1Gi"), (1536, "1536Mi"), (12288, "12Gi"), (1 << 20, "1Ti")],
)
def test_memory(mib: int, text: str) -> None:
    assert quantities.memory(mib) == text


def test_every_quantity_of_a_workload_is_canonical() -> None:
    """1,024 MiB and 1,000 millicores have a shorter form, in which the API stores them."""
    recording = record(lambda: workload("one", cpu_millicores=1000, memory_mib=1024, maximum=2))
    pod = recording.one("kubernetes:apps/v1:Deployment", "one").inputs["spec"]["template"]["spec"]
    resources: dict[str, Any] = pod["containers"][0]["resources"]
    assert (resources["requests"]["cpu"], resources["requests"]["memory"]) == ("1", "1Gi")
    assert resources["limits"]["memory"] == "1Gi"
    hard = recording.one("kubernetes:core/v1:ResourceQuota", "one").inputs["spec"]["hard"]
    assert hard["requests.cpu"] == "4"
    assert hard["requests.memory"] == hard["limits.memory"] == "4Gi"
