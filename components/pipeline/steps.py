"""The steps of a release that are builds: what each is given, and what it may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi

from components.pipeline.permissions import of_build, of_deploy, of_promotion, of_proof
from components.pipeline.projects import Inside, Step, Workshop
from components.place import Place

if TYPE_CHECKING:
    from components.pipeline import PipelineArgs

__all__ = ["Step", "steps"]


def steps(name: str, args: PipelineArgs, workshop: Workshop, inside: Inside, place: Place) -> dict[str, Step]:
    """Make the projects `test`, `build` (or what promotes instead), `deploy` and `verify`."""
    image: dict[str, pulumi.Input[str]] = {
        "REPOSITORY_URL": args.repository_url,
        "REPOSITORY_NAME": args.repository_name,
        "CONTEXT": args.context,
    }
    if args.promote_from is None:
        build = workshop.project(
            name,
            "build",
            minutes=30,
            privileged=True,  # BuildKit needs it; no other project gets it
            environment={
                **image,
                "CACHE_URL": args.cache_url,
                "PLATFORM": f"linux/{args.architecture}",
                "BASE_IMAGE": args.base_image or "",
            },
            statements=of_build(args.repository_arn, args.cache_arn),
        )
    else:
        build = workshop.project(
            name,
            "promote",
            minutes=15,
            environment={**image, "PROVEN_NAME": args.promote_from},
            statements=of_promotion(args.repository_arn, place.arn("ecr", f"repository/{args.promote_from}")),
        )
    target: dict[str, pulumi.Input[str]] = {
        "CLUSTER_NAME": args.cluster_name,
        "NAMESPACE": args.namespace,
        "DEPLOYMENT": args.deployment,
        "REPOSITORY_URL": args.repository_url,
    }
    return {
        "test": workshop.project(
            name,
            "test",
            minutes=20,
            environment={"CONTEXT": args.context},
        ),
        "build": build,
        "deploy": workshop.project(
            name,
            "deploy",
            minutes=20,
            inside=inside,
            environment=target,
            statements=of_deploy(args.cluster_arn),
        ),
        # In the VPC like what deploys: the service's way in is open to the VPC's own addresses, not to CodeBuild's.
        "verify": workshop.project(
            name,
            "verify",
            minutes=15 + args.bake_minutes,
            inside=inside,
            environment={
                **target,
                "URL": args.url or "",
                "REPOSITORY_NAME": args.repository_name,
                "BAKE_MINUTES": str(args.bake_minutes),
            },
            statements=[*of_proof(args.repository_arn), *(of_deploy(args.cluster_arn) if args.url is None else [])],
        ),
    }
