"""RDS: subnet groups and parameter groups, and tagging.

Replacements and defaults: pulumi_aws's documentation of aws.rds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.providers.aws.marshalling import filled, tag_list, tag_map
from sandbox.providers.aws.properties import block, boolean, length, set_of, text
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Properties


def retag(call: Call, arn: str, put: Mapping[str, str], drop: Sequence[str]) -> None:
    """Update the tags of an ARN."""
    if drop:
        call.client("rds").remove_tags_from_resource(ResourceName=arn, TagKeys=list(drop))
    if put:
        call.client("rds").add_tags_to_resource(ResourceName=arn, Tags=tag_list(put))


class SubnetGroup(Handler):
    """A DB subnet group."""

    token = "aws:rds/subnetGroup:SubnetGroup"
    noun = "RDS DB Subnet Group"
    inputs = {
        "name": text(replaces=True, rule=length(1, 255)),
        "namePrefix": text(replaces=True, write_only=True),
        "description": text(default="Managed by Pulumi"),
        "subnetIds": set_of(text(), required=True),
    }
    outputs = ("arn", "supportedNetworkTypes", "vpcId")
    autoname = AutoName("name", 255, unless=("namePrefix",), lower=True)
    conflicts = (("name", "namePrefix"),)
    tagged = True
    missing = ("DBSubnetGroupNotFoundFault", "DBSubnetGroupNotFound")

    def create(self, call: Call, inputs: Properties) -> str:
        """Create the group."""
        name = (inputs.get("name") or f"{inputs['namePrefix']}{call.resource.name}").lower()
        call.client("rds").create_db_subnet_group(
            DBSubnetGroupName=name,
            DBSubnetGroupDescription=inputs["description"],
            SubnetIds=inputs["subnetIds"],
            Tags=tag_list(inputs["tagsAll"]),
        )
        return call.record_created(name)

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the group."""
        rds = call.client("rds")
        group = rds.describe_db_subnet_groups(DBSubnetGroupName=id)["DBSubnetGroups"][0]
        return {
            "name": group["DBSubnetGroupName"],
            "description": group["DBSubnetGroupDescription"],
            "subnetIds": [subnet["SubnetIdentifier"] for subnet in group["Subnets"]],
            "arn": group["DBSubnetGroupArn"],
            "supportedNetworkTypes": group.get("SupportedNetworkTypes") or [],
            "vpcId": group.get("VpcId"),
            "tagsAll": tag_map(
                rds.list_tags_for_resource(ResourceName=group["DBSubnetGroupArn"])["TagList"]
            ),
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Update description and subnets."""
        call.client("rds").modify_db_subnet_group(
            DBSubnetGroupName=id,
            DBSubnetGroupDescription=new["description"],
            SubnetIds=new["subnetIds"],
        )

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Tag the group."""
        retag(call, state["arn"], put, drop)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the group."""
        call.client("rds").delete_db_subnet_group(DBSubnetGroupName=id)


class ParameterGroup(Handler):
    """A DB parameter group."""

    token = "aws:rds/parameterGroup:ParameterGroup"
    noun = "RDS DB Parameter Group"
    inputs = {
        "name": text(replaces=True, rule=length(1, 255)),
        "namePrefix": text(replaces=True, write_only=True),
        "description": text(default="Managed by Pulumi", replaces=True),
        "family": text(required=True, replaces=True),
        "skipDestroy": boolean(default=False, write_only=True),
        "parameters": set_of(
            block(
                {
                    "name": text(required=True),
                    "value": text(required=True),
                    "applyMethod": text(
                        default="immediate", one_of=("immediate", "pending-reboot")
                    ),
                }
            )
        ),
    }
    outputs = ("arn",)
    autoname = AutoName("name", 255, unless=("namePrefix",), lower=True)
    conflicts = (("name", "namePrefix"),)
    tagged = True
    missing = ("DBParameterGroupNotFound", "DBParameterGroupNotFoundFault")

    def create(self, call: Call, inputs: Properties) -> str:
        """Create the group, then set its parameters."""
        name = (inputs.get("name") or f"{inputs['namePrefix']}{call.resource.name}").lower()
        call.client("rds").create_db_parameter_group(
            DBParameterGroupName=name,
            DBParameterGroupFamily=inputs["family"],
            Description=inputs["description"],
            Tags=tag_list(inputs["tagsAll"]),
        )
        call.record_created(name)
        self._set(call, name, inputs.get("parameters") or [])
        return name

    def _set(self, call: Call, name: str, parameters: Sequence[Mapping[str, Any]]) -> None:
        for start in range(0, len(parameters), 20):  # the API's limit is 20
            call.client("rds").modify_db_parameter_group(
                DBParameterGroupName=name,
                Parameters=[_parameter(p) for p in parameters[start : start + 20]],
            )

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the group and its user parameters."""
        rds = call.client("rds")
        groups = rds.describe_db_parameter_groups(DBParameterGroupName=id)["DBParameterGroups"]
        if not groups:  # moto's value for none
            return None
        group = groups[0]
        pages = rds.get_paginator("describe_db_parameters").paginate(
            DBParameterGroupName=id, Source="user"
        )
        return {
            "name": group["DBParameterGroupName"],
            "description": group["Description"],
            "family": group["DBParameterGroupFamily"],
            "parameters": [
                filled(
                    name=p["ParameterName"],
                    value=p["ParameterValue"],
                    applyMethod=p.get("ApplyMethod"),
                )
                for page in pages
                for p in page["Parameters"]
                if p.get("ParameterValue") is not None
            ],
            "arn": group["DBParameterGroupArn"],
            "tagsAll": tag_map(
                rds.list_tags_for_resource(ResourceName=group["DBParameterGroupArn"])["TagList"]
            ),
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Set changed parameters; reset removed ones."""
        if "parameters" not in changed:
            return
        before, after = old.get("parameters") or [], new.get("parameters") or []
        self._set(call, id, [parameter for parameter in after if parameter not in before])
        remaining = {parameter["name"] for parameter in after}
        removed = [parameter for parameter in before if parameter["name"] not in remaining]
        for start in range(0, len(removed), 20):
            call.client("rds").reset_db_parameter_group(
                DBParameterGroupName=id,
                ResetAllParameters=False,
                Parameters=[_parameter(p) for p in removed[start : start + 20]],
            )

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Tag the group."""
        retag(call, state["arn"], put, drop)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the group unless `skipDestroy` is set."""
        if not state.get("skipDestroy"):
            call.client("rds").delete_db_parameter_group(DBParameterGroupName=id)


def _parameter(parameter: Mapping[str, Any]) -> dict[str, str]:
    method = parameter.get("applyMethod") or "immediate"
    return {
        "ParameterName": parameter["name"],
        "ParameterValue": parameter["value"],
        "ApplyMethod": method,
    }


TYPES = (SubnetGroup(), ParameterGroup())
