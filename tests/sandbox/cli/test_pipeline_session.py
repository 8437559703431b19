"""The pipeline of a stack."""

from __future__ import annotations

from typing import Any

from sandbox.cli.pipeline_session import PIPELINE_TYPE, find_pipeline


def pipeline(name: str) -> dict[str, Any]:
    arn = f"arn:aws:codepipeline:us-east-1:123456789012:{name}"
    return {"type": PIPELINE_TYPE, "outputs": {"name": name, "arn": arn}}


def test_releases_use_the_pipeline_that_the_stack_exports() -> None:
    stack = {"type": "pulumi:pulumi:Stack", "outputs": {"pipeline_name": "release"}}
    resources = [pipeline("checks"), stack, pipeline("release")]
    assert find_pipeline(resources) == ("release", "us-east-1")
    assert find_pipeline([pipeline("only")]) == ("only", "us-east-1")
    assert find_pipeline([stack]) is None
