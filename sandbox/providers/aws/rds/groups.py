"""RDS: subnet groups and parameter groups, and how anything of RDS is tagged.

Which properties replace, and the defaults: pulumi_aws's documentation of aws.rds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.providers.aws.marshalling import filled, tag_list, tag_map
from sandbox.providers.aws.properties import block, boolean, length, set_of, text
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Properties


def retag(call: Call, arn: str, put: Mapping[str, str], drop: Sequence[str]) -> None:
    """Put and drop tags of the object with this ARN."""
    if drop:
        call.client("rds").remove_tags_from_resource(ResourceName=arn, TagKeys=list(drop))
    if put:
        call.client("rds").add_tags_to_resource(ResourceName=arn, Tags=tag_list(put))


class SubnetGroup(Handler):
    """The subnets that instances may be in."""

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
        """Make the group."""
        name = (inputs.get("name") or f"{inputs['namePrefix']}{call.resource.name}").lower()
        call.client("rds").create_db_subnet_group(
            DBSubnetGroupName=name,
            DBSubnetGroupDescription=inputs["description"],
            SubnetIds=inputs["subnetIds"],
            Tags=tag_list(inputs["tagsAll"]),
        )
        return call.made(name)

    def read(self, call: Call, id: str, known: Properties) -> Properties | None:
        """Describe the group."""
        rds = call.client("rds")
        found = rds.describe_db_subnet_groups(DBSubnetGroupName=id)["DBSubnetGroups"][0]
        return {
            "name": found["DBSubnetGroupName"],
            "description": found["DBSubnetGroupDescription"],
            "subnetIds": [subnet["SubnetIdentifier"] for subnet in found["Subnets"]],
            "arn": found["DBSubnetGroupArn"],
            "supportedNetworkTypes": found.get("SupportedNetworkTypes") or [],
            "vpcId": found.get("VpcId"),
            "tagsAll": tag_map(rds.list_tags_for_resource(ResourceName=found["DBSubnetGroupArn"])["TagList"]),
        }

    def update(self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]) -> None:
        """Change description and subnets."""
        call.client("rds").modify_db_subnet_group(
            DBSubnetGroupName=id, DBSubnetGroupDescription=new["description"], SubnetIds=new["subnetIds"]
        )

    def retag(self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]) -> None:
        """Tag the group."""
        retag(call, state["arn"], put, drop)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the group."""
        call.client("rds").delete_db_subnet_group(DBSubnetGroupName=id)


class ParameterGroup(Handler):
    """Settings of a database engine."""

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
                    "applyMethod": text(default="immediate", one_of=("immediate", "pending-reboot")),
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
        """Make the group, then set its parameters."""
        name = (inputs.get("name") or f"{inputs['namePrefix']}{call.resource.name}").lower()
        call.client("rds").create_db_parameter_group(
            DBParameterGroupName=name,
            DBParameterGroupFamily=inputs["family"],
            Description=inputs["description"],
            Tags=tag_list(inputs["tagsAll"]),
        )
        call.made(name)
        self._set(call, name, inputs.get("parameters") or [])
        return name

    def _set(self, call: Call, name: str, parameters: Sequence[Mapping[str, Any]]) -> None:
        for start in range(0, len(parameters), 20):  # the API takes 20 at a time
            call.client("rds").modify_db_parameter_group(
                DBParameterGroupName=name, Parameters=[_parameter(p) for p in parameters[start : start + 20]]
            )

    def read(self, call: Call, id: str, known: Properties) -> Properties | None:
        """Describe the group and what was set by hand."""
        rds = call.client("rds")
        groups = rds.describe_db_parameter_groups(DBParameterGroupName=id)["DBParameterGroups"]
        if not groups:  # moto's way to say that there is none
            return None
        found = groups[0]
        pages = rds.get_paginator("describe_db_parameters").paginate(DBParameterGroupName=id, Source="user")
        return {
            "name": found["DBParameterGroupName"],
            "description": found["Description"],
            "family": found["DBParameterGroupFamily"],
            "parameters": [
                filled(name=p["ParameterName"], value=p["ParameterValue"], applyMethod=p.get("ApplyMethod"))
                for page in pages
                for p in page["Parameters"]
                if p.get("ParameterValue") is not None
            ],
            "arn": found["DBParameterGroupArn"],
            "tagsAll": tag_map(rds.list_tags_for_resource(ResourceName=found["DBParameterGroupArn"])["TagList"]),
        }

    def update(self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]) -> None:
        """Set changed parameters; reset those that are no longer given."""
        if "parameters" not in changed:
            return
        before, after = old.get("parameters") or [], new.get("parameters") or []
        self._set(call, id, [parameter for parameter in after if parameter not in before])
        kept = {parameter["name"] for parameter in after}
        gone = [parameter for parameter in before if parameter["name"] not in kept]
        for start in range(0, len(gone), 20):
            call.client("rds").reset_db_parameter_group(
                DBParameterGroupName=id,
                ResetAllParameters=False,
                Parameters=[_parameter(p) for p in gone[start : start + 20]],
            )

    def retag(self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]) -> None:
        """Tag the group."""
        retag(call, state["arn"], put, drop)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the group, unless the program wants it left."""
        if not state.get("skipDestroy"):
            call.client("rds").delete_db_parameter_group(DBParameterGroupName=id)


def _parameter(parameter: Mapping[str, Any]) -> dict[str, str]:
    method = parameter.get("applyMethod") or "immediate"
    return {"ParameterName": parameter["name"], "ParameterValue": parameter["value"], "ApplyMethod": method}


TYPES = (SubnetGroup(), ParameterGroup())
