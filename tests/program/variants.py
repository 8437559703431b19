"""Variants of both environments, whose resources the linters check."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from tests.program.recording import Recording
from tests.program.running import run_bootstrap, run_program

VARIANTS: dict[str, dict[str, Any]] = {
    "dev": {},
    "prod": {},
    "dev, arm64": {"architecture": "arm64", "cluster.nodes.instance_types": ["m7g.large"]},
    "dev, Auto Mode": {"cluster.compute": "auto"},
    "dev, S3 source": {"pipeline.source": {"kind": "s3"}},
    "prod, EKS action": {"pipeline.deploy": "eks"},
    **{
        f"{name}, infrastructure": {
            "pipeline.infrastructure": {
                "enabled": True,
                "state_bucket": "platform-state-123456789012-us-east-1",
                "state_key_arn": "arn:aws:kms:us-east-1:123456789012:key/state",
            },
            "aws.permissions_boundary": "arn:aws:iam::123456789012:policy/platform-boundary",
            "observability.contacts": ["team@example.com"],
        }
        for name in ("dev", "prod")
    },
    "dev, previews": {
        "pipeline.preview": {
            "enabled": True,
            "state_bucket": "platform-state-123456789012-us-east-1",
            "state_key_arn": "arn:aws:kms:us-east-1:123456789012:key/state",
            "comment_secret": "github/preview-comments",
        },
        "pipeline.source.connection_arn": (
            "arn:aws:codeconnections:us-east-1:123456789012:connection/"
            "11111111-2222-3333-4444-555555555555"
        ),
    },
}


@cache
def recordings() -> Mapping[str, Recording]:
    """Return the resources of each variant, and those of `make bootstrap`."""
    programs = {name: run_program(stack(name), changes) for name, changes in VARIANTS.items()}
    return {**programs, "bootstrap": run_bootstrap()}


def stack(variant: str) -> str:
    """Return the stack of a variant."""
    return variant.partition(",")[0]
