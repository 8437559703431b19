"""Image, database, workload and pipeline of a further service on the same cluster and network."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.database import Database, DatabaseArgs, look_up_engine_version
from components.image import Image, ImageArgs
from components.pipeline import Pipeline, PipelineArgs
from components.service.args import ServiceArgs, ServiceSettings, SharedArgs
from components.workload import Workload, WorkloadArgs

__all__ = ["Service", "further_services", "look_up_service_versions"]


class Service(pulumi.ComponentResource):
    """A service with an image, workload, pipeline and, if enabled, a database of its own.

    Names begin with the service's: `<name>-image`, `<name>-database`, `<name>-pipeline`; the
    workload is called `<name>`. Network, cluster, notifications and release alarms are shared.
    """

    url: pulumi.Output[str]
    """URL of the service."""
    image: pulumi.Output[str]
    """Image of the first roll-out, by digest."""
    pipeline_name: pulumi.Output[str]

    def __init__(
        self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("platform:index:Service", name, {}, opts)
        settings, shared = args.settings, args.shared
        child = pulumi.ResourceOptions(parent=self)
        image = Image(
            f"{name}-image",
            ImageArgs(
                prefix=shared.prefix,
                protected=shared.protected,
                settings=settings.image,
                architecture=shared.architecture,
                build_once=shared.build_images_once,
            ),
            child,
        )
        database = Database(
            f"{name}-database",
            DatabaseArgs(
                prefix=shared.prefix,
                protected=shared.protected,
                settings=settings.database,
                engine_version=args.engine_version,
                network=shared.network,
                client_security_group_id=shared.cluster.security_group_id,
            ),
            child,
        )
        workload = Workload(
            name,
            WorkloadArgs(
                settings=settings.workload,
                cluster=shared.cluster,
                network=shared.network,
                database=database,
                image=image.reference,
                architecture=shared.architecture,
                environment=shared.environment,
                secrets=args.secrets,
            ),
            child,
        )
        pipeline = Pipeline(
            f"{name}-pipeline",
            PipelineArgs(
                prefix=shared.prefix,
                stack=shared.stack,
                protected=shared.protected,
                settings=settings.pipeline,
                build=settings.image,
                architecture=shared.architecture,
                image=image,
                network=shared.network,
                cluster=shared.cluster,
                workload=workload,
                observability=shared.observability,
            ),
            child,
        )
        self.url, self.image = workload.url, image.reference
        self.pipeline_name = pipeline.pipeline_name
        self.register_outputs({"url": self.url})


@dataclass(frozen=True, kw_only=True)
class FurtherServices:
    """The services by name."""

    by_name: Mapping[str, Service]

    @property
    def urls(self) -> dict[str, pulumi.Output[str]]:
        """URL of each service."""
        return {name: service.url for name, service in self.by_name.items()}


def look_up_service_versions(
    settings: Mapping[str, ServiceSettings], opts: pulumi.InvokeOptions
) -> dict[str, str]:
    """Return the PostgreSQL version of each service; raise RunError as for the first database."""
    return {
        name: look_up_engine_version(f"{name}-database", service.database, opts)
        for name, service in settings.items()
    }


def further_services(
    settings: Mapping[str, ServiceSettings],
    engine_versions: Mapping[str, str],
    shared: SharedArgs,
    secrets: Mapping[str, Mapping[str, pulumi.Input[str]]],
    opts: pulumi.ResourceOptions,
) -> FurtherServices:
    """Create a service for each entry of `settings`, with its entry of `secrets`."""
    return FurtherServices(
        by_name={
            name: Service(
                name,
                ServiceArgs(
                    shared=shared,
                    settings=service,
                    engine_version=engine_versions[name],
                    secrets=secrets[name],
                ),
                opts,
            )
            for name, service in settings.items()
        }
    )
