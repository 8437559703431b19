"""The header by which a pipeline passes its part of a build to StartBuild.

AWS passes it inside the service; `X-Sandbox-Pipeline-Build` has the JSON of a `PipelineBuild`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from sandbox.account.core.errors import AwsError
from sandbox.contracts.build_runner import PIPELINE_HEADER, PipelineBuild

if TYPE_CHECKING:
    from sandbox.account.core.wire import Call

_KEY = f"HTTP_{PIPELINE_HEADER.upper().replace('-', '_')}"
_MEMBERS = {"initiator", "execution_id", "inputs", "primary", "outputs", "encryption_key"}
_ARTIFACT_MEMBERS = {"name", "bucket", "key"}
_ADAPTER = TypeAdapter(PipelineBuild)


def parse(call: Call) -> PipelineBuild | None:
    """Return the pipeline's part, or None without the header. Raises AwsError."""
    text = call.environ.get(_KEY)
    if text is None:
        return None
    try:
        content = json.loads(text)
        if not isinstance(content, dict):
            raise _invalid("it must be a JSON object")
        artifacts = [*content.get("inputs", ()), *content.get("outputs", ())]
        unknown = {key for item in artifacts for key in item} - _ARTIFACT_MEMBERS
        unknown |= set(content) - _MEMBERS
        if unknown:
            raise _invalid(f"unknown member {min(unknown)}")
        pipeline = _ADAPTER.validate_python(content, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise _invalid(f"{place}: {first['msg']}") from None
    except (ValueError, TypeError) as error:
        raise _invalid(str(error)) from None
    if pipeline.primary not in {artifact.name for artifact in pipeline.inputs}:
        raise _invalid(f"primary names no input artifact: {pipeline.primary}")
    return pipeline


def _invalid(reason: str) -> AwsError:
    return AwsError("InvalidInputException", f"Invalid header {PIPELINE_HEADER}: {reason}")


def initiator(call: Call, pipeline: PipelineBuild | None) -> str:
    """Return who started the build: a pipeline, or the access key's principal."""
    if pipeline is not None:
        return pipeline.initiator
    return call.access_key or "sandbox"
