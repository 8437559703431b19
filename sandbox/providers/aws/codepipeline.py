"""CodePipeline pipelines, V1 and V2. Only a new name replaces; other changes create a new version.

Properties have one `condition` where the API has a list of one, and `pushes` for `push`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sandbox.providers.aws.marshalling import filled, tag_list, tag_map
from sandbox.providers.aws.properties import (
    Property,
    between,
    block,
    integer,
    length,
    list_of,
    map_of,
    set_of,
    text,
)
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Properties

_CATEGORIES = ("Approval", "Build", "Compute", "Deploy", "Invoke", "Source", "Test")
_OWNERS = ("AWS", "Custom", "ThirdParty")
_FILTER = block({"includes": list_of(text()), "excludes": list_of(text())})

_RULE = block(
    {
        "name": text(required=True, rule=length(1, 100)),
        "ruleTypeId": block(
            {
                "category": text(required=True, one_of=("Rule",)),
                "owner": text(),
                "provider": text(required=True),
                "version": text(),
            },
            required=True,
        ),
        "configuration": map_of(),
        "commands": list_of(text()),
        "inputArtifacts": list_of(text()),
        "region": text(),
        "roleArn": text(),
        "timeoutInMinutes": integer(rule=between(5, 86400)),
    }
)


def _condition(*results: str) -> Property:
    return block(
        {"result": text(one_of=results), "rules": list_of(_RULE, required=True, rule=length(1, 5))}
    )


_ACTION = block(
    {
        "name": text(required=True, rule=length(1, 100)),
        "category": text(required=True, one_of=_CATEGORIES),
        "owner": text(required=True, one_of=_OWNERS),
        "provider": text(required=True),
        "version": text(required=True, rule=length(1, 9)),
        "configuration": map_of(),
        "commands": list_of(text()),
        "inputArtifacts": list_of(text()),
        "outputArtifacts": list_of(text()),
        "outputArtifactsForComputeActions": list_of(
            block({"name": text(required=True), "files": list_of(text())})
        ),
        "outputVariables": list_of(text()),
        "namespace": text(rule=length(1, 100)),
        "region": text(computed=True),
        "roleArn": text(),
        "runOrder": integer(computed=True, rule=between(1, 999)),
        "timeoutInMinutes": integer(rule=between(5, 86400)),
    }
)
_STAGE = block(
    {
        "name": text(required=True, rule=length(1, 100)),
        "actions": list_of(_ACTION, required=True, rule=length(1, 50)),
        "beforeEntry": block({"condition": _condition("FAIL", "SKIP")}),
        "onSuccess": block({"condition": _condition("FAIL", "ROLLBACK")}),
        "onFailure": block(
            {
                "result": text(one_of=("FAIL", "RETRY", "ROLLBACK")),
                "retryConfiguration": block(
                    {"retryMode": text(one_of=("ALL_ACTIONS", "FAILED_ACTIONS"))}
                ),
                "condition": _condition("FAIL", "ROLLBACK"),
            }
        ),
    }
)
_TRIGGER = block(
    {
        "providerType": text(required=True, one_of=("CodeStarSourceConnection",)),
        "gitConfiguration": block(
            {
                "sourceActionName": text(required=True),
                "pushes": list_of(
                    block({"branches": _FILTER, "filePaths": _FILTER, "tags": _FILTER})
                ),
                "pullRequests": list_of(
                    block(
                        {
                            "branches": _FILTER,
                            "filePaths": _FILTER,
                            "events": list_of(text(one_of=("CLOSED", "OPEN", "UPDATED"))),
                        }
                    )
                ),
            },
            required=True,
        ),
    }
)


class Pipeline(Handler):
    """A pipeline."""

    token = "aws:codepipeline/pipeline:Pipeline"
    noun = "CodePipeline Pipeline"
    inputs = {
        "name": text(replaces=True, rule=length(1, 100)),
        "roleArn": text(required=True),
        "artifactStores": set_of(
            block(
                {
                    "location": text(required=True),
                    "type": text(required=True, one_of=("S3",)),
                    "region": text(computed=True),
                    "encryptionKey": block(
                        {"id": text(required=True), "type": text(required=True, one_of=("KMS",))}
                    ),
                }
            ),
            required=True,
        ),
        "stages": list_of(_STAGE, required=True, rule=length(2, 50)),
        "executionMode": text(default="SUPERSEDED", one_of=("PARALLEL", "QUEUED", "SUPERSEDED")),
        "pipelineType": text(default="V1", one_of=("V1", "V2")),
        "triggers": list_of(_TRIGGER, computed=True, rule=length(0, 50)),
        "variables": list_of(
            block({"name": text(required=True), "defaultValue": text(), "description": text()}),
            rule=length(0, 50),
        ),
    }
    outputs = ("arn", "triggerAlls")
    autoname = AutoName("name", 100)
    tagged = True
    missing = ("PipelineNotFoundException",)

    def validate(self, call: Call, inputs: Properties) -> Iterable[tuple[str, str]]:
        """Validate features of V2 pipelines and the regions of several stores."""
        if inputs.get("pipelineType") == "V1":
            for key in ("triggers", "variables"):
                if inputs.get(key):
                    yield key, "can only be used when pipelineType is V2"
            if inputs.get("executionMode") in ("QUEUED", "PARALLEL"):
                yield (
                    "executionMode",
                    f"{inputs['executionMode']} can only be used when pipelineType is V2",
                )
        stores = inputs.get("artifactStores") or ()
        mappings = (
            [store for store in stores if isinstance(store, Mapping)]
            if isinstance(stores, list)
            else []
        )
        if len(mappings) > 1 and any(not store.get("region") for store in mappings):
            yield "artifactStores", "each store must have a region when there are several"

    def create(self, call: Call, inputs: Properties) -> str:
        """Create the pipeline; retry while IAM propagates a new role."""
        client, pipeline = call.client("codepipeline"), _pipeline(inputs)
        tags = filled(tags=tag_list(inputs["tagsAll"], "key", "value"))
        call.retrying(
            lambda: client.create_pipeline(pipeline=pipeline, **tags),
            ("InvalidStructureException",),
            seconds=1,
        )
        return call.record_created(inputs["name"])

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the pipeline's current version."""
        client = call.client("codepipeline")
        response = client.get_pipeline(name=id)
        pipeline, arn = response["pipeline"], response["metadata"]["pipelineArn"]
        stores = pipeline.get("artifactStores") or {}
        triggers = [_live_trigger(trigger) for trigger in pipeline.get("triggers") or ()]
        return {
            "name": pipeline["name"],
            "roleArn": pipeline["roleArn"],
            "artifactStores": [{**store, "region": region} for region, store in stores.items()]
            or [pipeline["artifactStore"]],
            "stages": [_live_stage(stage) for stage in pipeline["stages"]],
            "executionMode": pipeline.get("executionMode", "SUPERSEDED"),
            "pipelineType": pipeline.get("pipelineType", "V1"),
            "triggers": triggers,
            "triggerAlls": triggers,
            "variables": pipeline.get("variables") or [],
            "arn": arn,
            "tagsAll": tag_map(
                client.list_tags_for_resource(resourceArn=arn).get("tags"), "key", "value"
            ),
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Create a new version of the pipeline."""
        call.client("codepipeline").update_pipeline(pipeline=_pipeline(new))

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Tag the pipeline."""
        if drop:
            call.client("codepipeline").untag_resource(resourceArn=state["arn"], tagKeys=list(drop))
        if put:
            call.client("codepipeline").tag_resource(
                resourceArn=state["arn"], tags=tag_list(put, "key", "value")
            )

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the pipeline."""
        call.client("codepipeline").delete_pipeline(name=id)


def _pipeline(inputs: Properties) -> dict[str, Any]:
    stores = [
        (
            store.get("region"),
            filled(
                type=store["type"],
                location=store["location"],
                encryptionKey=store.get("encryptionKey"),
            ),
        )
        for store in inputs["artifactStores"]
    ]
    several = len(stores) > 1
    return filled(
        name=inputs["name"],
        roleArn=inputs["roleArn"],
        artifactStore=None if several else stores[0][1],
        artifactStores=dict(stores) if several else None,
        stages=[_stage(stage) for stage in inputs["stages"]],
        executionMode=inputs.get("executionMode"),
        pipelineType=inputs.get("pipelineType"),
        variables=[filled(**variable) for variable in inputs.get("variables") or ()],
        triggers=[_trigger(trigger) for trigger in inputs.get("triggers") or ()],
    )


def _stage(stage: Mapping[str, Any]) -> dict[str, Any]:
    return filled(
        name=stage["name"],
        actions=[_action(action) for action in stage["actions"]],
        **{key: _conditions(stage.get(key)) for key in ("beforeEntry", "onSuccess", "onFailure")},
    )


def _action(action: Mapping[str, Any]) -> dict[str, Any]:
    same = (
        "name",
        "configuration",
        "commands",
        "outputVariables",
        "namespace",
        "region",
        "roleArn",
        "runOrder",
        "timeoutInMinutes",
    )
    files = [
        filled(**artifact) for artifact in action.get("outputArtifactsForComputeActions") or ()
    ]
    return filled(
        **{key: action.get(key) for key in same},
        actionTypeId={key: action[key] for key in ("category", "owner", "provider", "version")},
        inputArtifacts=[{"name": name} for name in action.get("inputArtifacts") or ()],
        outputArtifacts=[{"name": name} for name in action.get("outputArtifacts") or ()] or files,
    )


def _conditions(entry: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not entry:
        return None
    condition = entry.get("condition")
    rules = [
        {
            **filled(**rule),
            "ruleTypeId": filled(**rule["ruleTypeId"]),
            "inputArtifacts": [{"name": n} for n in rule.get("inputArtifacts") or ()],
        }
        for rule in (condition or {}).get("rules") or ()
    ]
    return filled(
        result=entry.get("result"),
        retryConfiguration=entry.get("retryConfiguration"),
        conditions=[filled(result=condition.get("result"), rules=rules)] if condition else None,
    )


def _trigger(trigger: Mapping[str, Any]) -> dict[str, Any]:
    git = trigger["gitConfiguration"]
    return {
        "providerType": trigger["providerType"],
        "gitConfiguration": filled(
            sourceActionName=git["sourceActionName"],
            push=[_some(push) for push in git.get("pushes") or ()],
            pullRequest=[_some(pull) for pull in git.get("pullRequests") or ()],
        ),
    }


def _some(entry: Mapping[str, Any]) -> dict[str, Any]:
    return filled(
        **{
            key: filled(**value) if isinstance(value, Mapping) else value
            for key, value in entry.items()
        }
    )


def _live_stage(stage: Mapping[str, Any]) -> Properties:
    return filled(
        name=stage["name"],
        actions=[_live_action(action) for action in stage["actions"]],
        **{
            key: _live_condition(stage.get(key))
            for key in ("beforeEntry", "onSuccess", "onFailure")
        },
    )


def _live_action(action: Mapping[str, Any]) -> Properties:
    same = {
        key: value
        for key, value in action.items()
        if key not in ("actionTypeId", "inputArtifacts", "outputArtifacts")
    }
    outputs = action.get("outputArtifacts") or ()
    with_files = [artifact for artifact in outputs if artifact.get("files")]
    return filled(
        **same,
        **action["actionTypeId"],
        inputArtifacts=[artifact["name"] for artifact in action.get("inputArtifacts") or ()],
        outputArtifacts=None if with_files else [artifact["name"] for artifact in outputs],
        outputArtifactsForComputeActions=with_files,
    )


def _live_condition(entry: Mapping[str, Any] | None) -> Properties | None:
    if not entry:
        return None
    conditions = entry.get("conditions") or ()
    rules = [
        {
            **rule,
            "inputArtifacts": [artifact["name"] for artifact in rule.get("inputArtifacts") or ()],
        }
        for condition in conditions
        for rule in condition.get("rules") or ()
    ]
    return filled(
        result=entry.get("result"),
        retryConfiguration=entry.get("retryConfiguration"),
        condition=filled(result=conditions[0].get("result"), rules=rules) if conditions else None,
    )


def _live_trigger(trigger: Mapping[str, Any]) -> Properties:
    git = trigger["gitConfiguration"]
    return {
        "providerType": trigger["providerType"],
        "gitConfiguration": filled(
            sourceActionName=git["sourceActionName"],
            pushes=git.get("push"),
            pullRequests=git.get("pullRequest"),
        ),
    }


TYPES = (Pipeline(),)
