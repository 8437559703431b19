"""Creates one component each, with valid arguments that a test can change."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.cluster import Cluster, ClusterArgs, look_up_versions
from components.database import Database, DatabaseArgs, look_up_engine_version
from components.image import Image, ImageArgs
from components.network import Network, NetworkArgs
from components.observability import Observability, ObservabilityArgs
from components.pipeline import Pipeline, PipelineArgs
from components.workload import Workload, WorkloadArgs
from settings import Settings, parse
from settings.sections import Section
from tests.program.recording import TODAY, Recording
from tests.program.running import run, stack_file

DEV: Settings = parse(stack_file("dev"), "platform", "dev", today=TODAY)
ACCOUNT_ARN = "us-east-1:123456789012"
CLUSTER_ARN = f"arn:aws:eks:{ACCOUNT_ARN}:cluster/test-cluster"
REPOSITORY_ARN = f"arn:aws:ecr:{ACCOUNT_ARN}:repository/test/image"


def record(*components: Callable[[], object]) -> Recording:
    """Run the calls as a program and return what it registered."""

    def program() -> None:
        for component in components:
            component()

    return run(program)


def _arguments(section: Section, defaults: dict[str, Any], changes: dict[str, Any]) -> Any:
    """Apply changes to the section where it has the field, otherwise to the arguments."""
    fields = type(section).model_fields
    own = {key: value for key, value in changes.items() if key in fields}
    others = {key: value for key, value in changes.items() if key not in fields}
    return {"settings": section.model_copy(update=own), **defaults, **others}


def network(name: str, **changes: Any) -> Network:
    defaults = {"prefix": "test", "protected": False}
    return Network(name, NetworkArgs(**_arguments(DEV.network, defaults, changes)))


def cluster(name: str, **changes: Any) -> Cluster:
    defaults = {
        "prefix": "test",
        "protected": False,
        "network": SimpleNamespace(
            vpc_id="vpc-1",
            cidr="10.0.0.0/16",
            private_subnet_ids=["subnet-1", "subnet-2"],
            public_subnet_ids=["subnet-3", "subnet-4"],
            egress=[],
        ),
        "architecture": "amd64",
        "assume_role_arn": None,
        "tags": {},
    }
    arguments = _arguments(DEV.cluster, defaults, changes)
    arguments["versions"] = look_up_versions(
        name,
        settings=arguments["settings"],
        architecture=arguments["architecture"],
        role_arn=arguments["assume_role_arn"],
        opts=pulumi.InvokeOptions(),
    )
    return Cluster(name, ClusterArgs(**arguments))


def image(name: str, **changes: Any) -> Image:
    defaults = {"prefix": "test", "protected": False, "architecture": "amd64"}
    return Image(name, ImageArgs(**_arguments(DEV.image, defaults, changes)))


def database(name: str, **changes: Any) -> Database:
    defaults = {
        "prefix": "test",
        "protected": False,
        "network": SimpleNamespace(vpc_id="vpc-1", private_subnet_ids=["subnet-1", "subnet-2"]),
        "client_security_group_id": "sg-1",
    }
    arguments = _arguments(DEV.database, defaults, changes)
    version = look_up_engine_version(name, arguments["settings"], pulumi.InvokeOptions())
    return Database(name, DatabaseArgs(**arguments, engine_version=version))


def workload(name: str, **changes: Any) -> Workload:
    provider = k8s.Provider(f"{name}-provider")
    defaults = {
        "cluster": SimpleNamespace(
            cluster_name="test-cluster",
            cluster_arn=CLUSTER_ARN,
            service_cidr="172.20.0.0/16",
            load_balancer_class=None,
            ingress_controller=changes.pop("ingress_controller", None),
            control_plane=provider,
            compute=[],
        ),
        "network": SimpleNamespace(cidr="10.0.0.0/16", nat_cidrs=changes.pop("nat_cidrs", [])),
        "database": SimpleNamespace(environment={}, secret_arns=[], key_arns=[], ports=[]),
        "image": f"registry.test/{name}@sha256:{'a' * 64}",
        "architecture": "amd64",
        "environment": {},
        "secrets": {},
    }
    changes = {"namespace": name, "migration": (), **changes}
    return Workload(
        name,
        WorkloadArgs(**_arguments(DEV.workload, defaults, changes)),
        pulumi.ResourceOptions(providers=[provider]),
    )


def observability(name: str, **changes: Any) -> Observability:
    defaults = {
        "prefix": "test",
        "protected": False,
        "cluster_name": "test-cluster",
        "database_identifier": None,
        "repository_name": "test/image",
        "workload": k8s.Provider(f"{name}-workload"),
        "budget_tag": "user:stack$test",
    }
    changes = {"contacts": ("team@example.com",), **changes}
    return Observability(
        name, ObservabilityArgs(**_arguments(DEV.observability, defaults, changes))
    )


def pipeline(name: str, **changes: Any) -> Pipeline:
    defaults = {
        "prefix": "test",
        "stack": "dev",
        "protected": False,
        "build": DEV.image,
        "architecture": "amd64",
        "image": SimpleNamespace(
            repository_url="registry.test/test/image",
            repository_name="test/image",
            repository_arn=REPOSITORY_ARN,
            proven_url="registry.test/test/image-proven",
            proven_name="test/image-proven",
            proven_arn=f"{REPOSITORY_ARN}-proven",
            cache_url="registry.test/test/image-cache",
            cache_arn=f"{REPOSITORY_ARN}-cache",
        ),
        "network": SimpleNamespace(vpc_id="vpc-1", private_subnet_ids=["subnet-1"]),
        "cluster": SimpleNamespace(
            cluster_name="test-cluster", cluster_arn=CLUSTER_ARN, security_group_id="sg-1"
        ),
        "workload": SimpleNamespace(
            namespace="guestbook",
            deployment_name="guestbook",
            container_names=["guestbook"],
            init_container_names=["migrate"],
            outside_url=changes.pop("url", "http://guestbook.test"),
        ),
        "observability": SimpleNamespace(
            topic_arn=f"arn:aws:sns:{ACCOUNT_ARN}:test",
            topic_key_arn=f"arn:aws:kms:{ACCOUNT_ARN}:key/test",
            release_alarm_names=changes.pop("alarm_names", ["unscheduled", "api-errors"]),
        ),
    }
    changes = {
        "approval": True,
        "execution_mode": "QUEUED",
        "rollback": True,
        "bake_minutes": 10,
        **changes,
    }
    return Pipeline(name, PipelineArgs(**_arguments(DEV.pipeline, defaults, changes)))


FACTORIES: list[Callable[..., pulumi.ComponentResource]] = [
    network,
    cluster,
    image,
    database,
    workload,
    observability,
    pipeline,
]
