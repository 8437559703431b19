"""Arguments of a further service."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import pulumi

from components.database.args import DatabaseNetwork, DatabaseSettings
from components.image.args import ImageSettings
from components.pipeline.args import (
    BuildSettings,
    PipelineCluster,
    PipelineNetwork,
    PipelineObservability,
    PipelineSettings,
)
from components.workload.args import (
    Architecture,
    WorkloadCluster,
    WorkloadNetwork,
    WorkloadSettings,
)


class ServiceImageSettings(ImageSettings, BuildSettings, Protocol):
    """Section `image`: what the first build and the pipeline need."""


class ServiceSettings(Protocol):
    """One entry of section `services` of the stack file."""

    @property
    def image(self) -> ServiceImageSettings:
        """Container image."""

    @property
    def database(self) -> DatabaseSettings:
        """PostgreSQL database."""

    @property
    def workload(self) -> WorkloadSettings:
        """The service in Kubernetes."""

    @property
    def pipeline(self) -> PipelineSettings:
        """Pipeline from commit to cluster."""


class ServiceNetwork(DatabaseNetwork, PipelineNetwork, WorkloadNetwork, Protocol):
    """Outputs of the network component that a service needs."""


class ServiceCluster(PipelineCluster, WorkloadCluster, Protocol):
    """Outputs of the cluster component that a service needs."""


@dataclass(frozen=True, kw_only=True)
class SharedArgs:
    """What the services of an environment share."""

    prefix: str
    """Prefix of physical names."""
    stack: str
    """Stack that pull requests are previewed for."""
    build_images_once: bool = False
    """Whether only the pipelines build images after the first."""
    protected: bool
    """Whether deletion is refused."""
    architecture: Architecture
    """CPU architecture of images and nodes."""
    network: ServiceNetwork
    cluster: ServiceCluster
    observability: PipelineObservability
    """Topic of the pipelines' notifications, and alarms that hold releases."""
    environment: Mapping[str, pulumi.Input[str]]
    """Environment variables that the program sets, in addition to the settings'."""


@dataclass(frozen=True, kw_only=True)
class ServiceArgs:
    """Arguments of `Service`."""

    shared: SharedArgs
    settings: ServiceSettings
    engine_version: str
    """PostgreSQL version that RDS offers, from `look_up_service_versions`."""
    secrets: Mapping[str, pulumi.Input[str]]
    """Secret environment variables."""
