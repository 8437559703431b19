"""Functions that look up what AWS offers or an account contains: images, engines, groups, names."""

from __future__ import annotations

import re
from typing import Any

from sandbox.providers.aws.function import Function
from sandbox.providers.aws.operation import Call
from sandbox.providers.aws.properties import block, boolean, list_of, set_of, text
from sandbox.providers.protocol import Failure, Properties

_FILTERS = set_of(block({"name": text(required=True), "values": set_of(text(), required=True)}))
_REGION = {"region": text()}


def _filters(args: Properties) -> list[dict[str, Any]]:
    return [{"Name": item["name"], "Values": item["values"]} for item in args.get("filters") or []]


def _ami_ids(call: Call, args: Properties) -> Properties:
    request = {"Owners": args["owners"], "Filters": _filters(args)}
    images = call.client("ec2").describe_images(**request)["Images"]
    images.sort(key=lambda image: image.get("CreationDate", ""), reverse=True)
    ids = [image["ImageId"] for image in images]
    return {**args, "id": "-".join(ids) or "none", "ids": ids, "region": call.region}


def _ami(call: Call, args: Properties) -> Properties:
    request = {"Owners": args.get("owners") or [], "Filters": _filters(args)}
    images = call.client("ec2").describe_images(
        **{name: value for name, value in request.items() if value}
    )["Images"]
    pattern = re.compile(args.get("nameRegex") or "")
    images = [image for image in images if pattern.search(image.get("Name", ""))]
    if not images:
        raise Failure("Your query returned no results. Please change your search criteria")
    if len(images) > 1 and not args.get("mostRecent"):
        raise Failure("Your query returned more than one result; set most_recent=True")
    image = max(images, key=lambda image: str(image.get("CreationDate", "")))
    described = {
        f"{name[0].lower()}{name[1:]}": value
        for name, value in image.items()
        if isinstance(value, (str, bool))
    }
    return {
        **args,
        **described,
        "id": image["ImageId"],
        "arn": call.arn("ec2", f"image/{image['ImageId']}", account=False),
        "region": call.region,
    }


def _engine_version(call: Call, args: Properties) -> Properties:
    request: dict[str, Any] = {"Engine": args["engine"]}
    if args.get("version"):
        request["EngineVersion"] = args["version"]
    pages = call.client("rds").get_paginator("describe_db_engine_versions").paginate(**request)
    versions = [version for page in pages for version in page["DBEngineVersions"]]
    if preferred := args.get("preferredVersions"):
        versions = sorted(
            (version for version in versions if version["EngineVersion"] in preferred),
            key=lambda version: preferred.index(version["EngineVersion"]),
        )[:1]
    if not versions:
        raise Failure("no RDS engine versions match the criteria and preferred version list")
    if len(versions) > 1 and not args.get("latest"):
        raise Failure("multiple RDS engine versions match the criteria; try a different search")
    latest = max(versions, key=lambda version: _numbers(version["EngineVersion"]))
    return {
        **args,
        "id": latest["EngineVersion"],
        "engineDescription": latest["DBEngineDescription"],
        "parameterGroupFamily": latest["DBParameterGroupFamily"],
        "region": call.region,
        "status": latest["Status"],
        "version": latest["EngineVersion"],
        "versionActual": latest["EngineVersion"],
        "versionDescription": latest["DBEngineVersionDescription"],
    }


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _log_groups(call: Call, args: Properties) -> Properties:
    prefix = args.get("logGroupNamePrefix")
    pages = call.client("logs").get_paginator("describe_log_groups")
    groups = [
        group
        for page in pages.paginate(**({"logGroupNamePrefix": prefix} if prefix else {}))
        for group in page["logGroups"]
    ]
    return {
        **args,
        "id": call.region,
        "arns": [group["arn"].removesuffix(":*") for group in groups],
        "logGroupNames": [group["logGroupName"] for group in groups],
        "region": call.region,
    }


def _clusters(call: Call, args: Properties) -> Properties:
    pages = call.client("eks").get_paginator("list_clusters").paginate()
    names = [name for page in pages for name in page["clusters"]]
    return {**args, "id": call.region, "names": names, "region": call.region}


def _instances(call: Call, args: Properties) -> Properties:
    pages = call.client("rds").get_paginator("describe_db_instances")
    filters = _filters(args)
    instances = [
        instance
        for page in pages.paginate(**({"Filters": filters} if filters else {}))
        for instance in page["DBInstances"]
    ]
    return {
        **args,
        "id": call.region,
        "instanceArns": [instance["DBInstanceArn"] for instance in instances],
        "instanceIdentifiers": [instance["DBInstanceIdentifier"] for instance in instances],
        "region": call.region,
    }


FUNCTIONS = (
    Function(
        "aws:ec2/getAmiIds:getAmiIds",
        {**_REGION, "owners": set_of(text(), required=True), "filters": _FILTERS},
        _ami_ids,
    ),
    Function(
        "aws:ec2/getAmi:getAmi",
        {
            **_REGION,
            "filters": _FILTERS,
            "mostRecent": boolean(),
            "nameRegex": text(),
            "owners": set_of(text()),
        },
        _ami,
    ),
    Function(
        "aws:rds/getEngineVersion:getEngineVersion",
        {
            **_REGION,
            "engine": text(required=True),
            "version": text(),
            "latest": boolean(),
            "preferredVersions": list_of(text()),
        },
        _engine_version,
    ),
    Function(
        "aws:cloudwatch/getLogGroups:getLogGroups",
        {**_REGION, "logGroupNamePrefix": text()},
        _log_groups,
    ),
    Function("aws:eks/getClusters:getClusters", _REGION, _clusters),
    Function("aws:rds/getInstances:getInstances", {**_REGION, "filters": _FILTERS}, _instances),
)
