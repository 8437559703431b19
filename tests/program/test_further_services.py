"""Section `services`: a second service leaves the first one unchanged."""

from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from tests.program.recording import Recording
from tests.program.running import ROOT, run_program
from tests.program.snapshot import snapshot

EXAMPLE = yaml.safe_load(Path(ROOT / "examples" / "services.yaml").read_text(encoding="utf-8"))
SERVICES = EXAMPLE["platform:services"]


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    return snapshot(run_program("dev"))


@pytest.fixture(scope="module")
def both() -> Recording:
    services = {"echo": {**SERVICES["echo"], "database": {"enabled": True, "name": "echo"}}}
    return run_program("dev", {"services": services})


def test_second_service_changes_no_resource_of_the_first(
    alone: dict[str, Any], both: Recording
) -> None:
    assert {key: value for key, value in snapshot(both).items() if key in alone} == alone


def test_second_service_has_resources_of_its_own(alone: dict[str, Any], both: Recording) -> None:
    added = [key for key in snapshot(both) if key not in alone]
    parents = {key.split("$aws:")[0].split("$kubernetes:")[0].split("$docker:")[0] for key in added}
    prefix = "platform:index:Service$platform:index"
    assert parents == {f"{prefix}:{kind}" for kind in ("Database", "Image", "Pipeline", "Workload")}


def test_physical_names_are_unique(both: Recording) -> None:
    names: list[tuple[str, str, str]] = []
    for resource in both.resources:
        metadata = resource.inputs.get("metadata") or {}
        name = resource.inputs.get("name") or metadata.get("name")
        if name:
            names.append((resource.type, metadata.get("namespace", ""), str(name)))
    assert sorted(names) == sorted(set(names))


def test_version_of_a_further_database_that_rds_does_not_offer_is_refused() -> None:
    database = {"enabled": True, "name": "echo", "engine_version": "17.99"}
    with pytest.raises(pulumi.RunError, match=r"^echo-database: RDS does not offer .* 17\.99"):
        run_program("dev", {"services": {"echo": {**SERVICES["echo"], "database": database}}})
