"""The components in programs of others: from the installed wheel, and through the schema."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from sandbox.runtime import pulumi_build
from tests.emulated_account import emulated_account
from tests.pulumi import cli_path, needs_cli

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("account")
    (folder / "state").mkdir()
    with emulated_account(folder) as variables:
        yield {
            **variables,
            "PULUMI_BACKEND_URL": (folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "",
        }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this repository."""
    folder = tmp_path_factory.mktemp("wheel")
    uv = Path(sys.executable).with_name("uv")
    command = [
        str(uv),
        "build",
        "--wheel",
        "--offline",
        "--out-dir",
        str(folder),
        "--quiet",
        str(ROOT),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def plugin(variables: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Variables of an engine that finds the component provider."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.examples.platform_plugin"],
        cwd=ROOT,
        env=dict(variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    port = process.stdout.readline().strip()
    providers = f"{variables['PULUMI_DEBUG_PROVIDERS']},platform:{port}"
    yield {**variables, "PULUMI_DEBUG_PROVIDERS": providers}
    process.stdin.close()
    process.wait(timeout=120)


def up(directory: Path, variables: Mapping[str, str], operation: str = "up") -> dict[str, Any]:
    """Run an operation with the embedded engine; return its document."""
    command = [sys.executable, "-m", "sandbox.engine", operation, "--stack", "dev", "--json"]
    ran = subprocess.run(
        [*command, "--cwd", str(directory)],
        cwd=ROOT,
        env=dict(variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    document: dict[str, Any] = json.loads(ran.stdout)
    return document


def test_wheel_has_the_components_and_their_dependencies(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    assert "components/network/component.py" in names
    assert "app/buildspecs/build.yml" in names  # the pipeline's commands
    for package in ("pulumi-aws", "pulumi-eks", "pulumi-kubernetes", "pulumi-docker"):
        assert f"Requires-Dist: {package}" in text


def test_program_uses_the_installed_package(
    wheel: Path, variables: Mapping[str, str], tmp_path: Path
) -> None:
    packages, program = tmp_path / "packages", tmp_path / "program"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    shutil.copytree(EXAMPLES / "network", program)
    document = up(program, {**variables, "PYTHONPATH": str(packages)})
    vpc = boto3.client("ec2").describe_vpcs(VpcIds=[document["outputs"]["vpc_id"]])["Vpcs"][0]
    assert vpc["CidrBlock"] == "10.40.0.0/16"
    ran = subprocess.run(
        [sys.executable, "-c", "import components; print(components.__file__)"],
        cwd=program,
        env={**os.environ, "PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.startswith(str(packages))


@pytest.fixture(scope="module")
def outputs_by_schema(plugin: Mapping[str, str]) -> dict[str, Any]:
    return dict(up(EXAMPLES / "network-by-schema", plugin)["outputs"])


def test_embedded_engine_uses_the_component_through_its_schema(
    outputs_by_schema: Mapping[str, Any],
) -> None:
    assert len(outputs_by_schema["private_subnet_ids"]) == 2
    vpcs = boto3.client("ec2").describe_vpcs(VpcIds=[outputs_by_schema["vpc_id"]])["Vpcs"]
    assert vpcs[0]["CidrBlock"] == "10.50.0.0/16"


@needs_cli
def test_pulumi_cli_uses_the_component_through_its_schema(
    plugin: Mapping[str, str], outputs_by_schema: Mapping[str, Any]
) -> None:
    program = EXAMPLES / "network-by-schema"
    assert outputs_by_schema
    command = [cli_path(), "--non-interactive", "--cwd", str(program)]

    def run(*arguments: str) -> str:
        ran = subprocess.run(
            [*command, *arguments], env=dict(plugin), capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    run("preview", "--stack", "dev", "--expect-no-changes")


@pytest.fixture(scope="module")
def all_providers(plugin: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Variables of an engine that finds the providers of images and clusters, too."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.providers", "docker", "eks", "kubernetes"],
        cwd=ROOT,
        env=dict(plugin),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    ports = json.loads(process.stdout.readline())
    addresses = [plugin["PULUMI_DEBUG_PROVIDERS"], *(f"{k}:{v}" for k, v in ports.items())]
    yield {**plugin, "PULUMI_DEBUG_PROVIDERS": ",".join(addresses)}
    process.stdin.close()
    process.wait(timeout=120)


def assert_planned(steps: Iterable[Mapping[str, Any]]) -> None:
    """Check the resources of service-by-schema that a preview creates."""
    created = Counter(
        step["urn"].split("::")[2].rpartition("$")[2] for step in steps if step["op"] == "create"
    )
    assert created["platform:index:Workload"] == 2  # the schema's, with the program's inside
    assert created["aws:eks/cluster:Cluster"] == 1
    assert created["aws:rds/instance:Instance"] == 1
    assert created["kubernetes:apps/v1:Deployment"] == 1
    assert created["aws:codepipeline/pipeline:Pipeline"] == 1
    assert created["aws:cloudwatch/metricAlarm:MetricAlarm"] == 4
    assert created["aws:ecr/repository:Repository"] == 3
    assert created["kubernetes:networking.k8s.io/v1:NetworkPolicy"] >= 2


def test_service_by_schema_is_planned_before_its_network_and_cluster_exist(
    all_providers: Mapping[str, str],
) -> None:
    """A preview: the emulated account of this test has no Kubernetes behind its clusters."""
    assert_planned(up(EXAMPLES / "service-by-schema", all_providers, "preview")["steps"])


@needs_cli
def test_pulumi_cli_plans_the_service_by_schema(
    all_providers: Mapping[str, str], tmp_path: Path
) -> None:
    program = tmp_path / "service-by-schema"
    shutil.copytree(EXAMPLES / program.name, program)
    shutil.copytree(EXAMPLES / "echo", tmp_path / "echo")  # the image's build context
    command = [cli_path(), "--non-interactive", "--cwd", str(program)]
    for arguments in (["stack", "init", "dev"], ["preview", "--stack", "dev", "--json"]):
        ran = subprocess.run(
            [*command, *arguments],
            env=dict(all_providers),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
    assert_planned(json.loads(ran.stdout)["steps"])


def test_schema_has_the_components() -> None:
    from pulumi.provider.experimental.component import ComponentProvider

    from component_provider import COMPONENTS

    schema = json.loads(ComponentProvider(COMPONENTS, "platform").schema or "")
    names = ("Cluster", "Database", "Image", "Network", "Observability", "Pipeline", "Workload")
    assert set(schema["resources"]) == {f"platform:index:{name}" for name in names}
    network = schema["resources"]["platform:index:Network"]
    assert set(network["requiredInputs"]) == {"cidr", "flowLogDays", "nat", "prefix", "zones"}
    assert network["inputProperties"]["cidr"]["description"] == (
        "IPv4 network of the VPC, /16 to /20."
    )
    assert set(network["properties"]) == {"vpcId", "privateSubnetIds", "publicSubnetIds"}


@needs_cli
def test_pulumi_cli_starts_the_plugin_and_reads_its_schema(tmp_path: Path) -> None:
    folder = tmp_path / "component_provider"
    shutil.copytree(ROOT / "component_provider", folder)
    (folder / "PulumiPlugin.yaml").write_text("runtime: python\n")  # this interpreter
    variables = {
        **os.environ,
        pulumi_build.PYTHON_VARIABLE: sys.executable,
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    ran = subprocess.run(
        [cli_path(), "package", "get-schema", str(folder)],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    schema = json.loads(ran.stdout)
    assert schema["name"] == "platform"
    assert "platform:index:Network" in schema["resources"]
