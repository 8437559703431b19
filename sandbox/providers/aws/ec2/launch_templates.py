"""EC2: launch templates. A change creates a version; `updateDefaultVersion` makes it the default.

Defaults: pulumi_aws's documentation of aws.ec2.LaunchTemplate. API names are capitalized; text such
as "true" is a boolean there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.providers.aws.ec2.handler import Ec2Handler, only, tagging, tags_of
from sandbox.providers.aws.properties import (
    Property,
    block,
    boolean,
    integer,
    length,
    list_of,
    map_of,
    set_of,
    text,
)
from sandbox.providers.aws.resource import AutoName, Call
from sandbox.providers.protocol import Properties


def _flag() -> Property:
    return text(one_of=("true", "false"))


_DATA: Mapping[str, Property] = {
    "blockDeviceMappings": list_of(
        block(
            {
                "deviceName": text(),
                "ebs": block(
                    {
                        "deleteOnTermination": _flag(),
                        "encrypted": _flag(),
                        "iops": integer(computed=True),
                        "kmsKeyId": text(),
                        "snapshotId": text(),
                        "throughput": integer(computed=True),
                        "volumeSize": integer(computed=True),
                        "volumeType": text(computed=True),
                    }
                ),
                "noDevice": text(),
                "virtualName": text(),
            }
        )
    ),
    "disableApiStop": boolean(),
    "disableApiTermination": boolean(),
    "ebsOptimized": _flag(),
    "iamInstanceProfile": block({"arn": text(), "name": text()}),
    "imageId": text(),
    "instanceInitiatedShutdownBehavior": text(one_of=("stop", "terminate")),
    "instanceType": text(),
    "keyName": text(),
    "metadataOptions": block(
        {
            "httpEndpoint": text(computed=True, one_of=("enabled", "disabled")),
            "httpProtocolIpv6": text(computed=True, one_of=("enabled", "disabled")),
            "httpPutResponseHopLimit": integer(computed=True),
            "httpTokens": text(computed=True, one_of=("optional", "required")),
            "instanceMetadataTags": text(computed=True, one_of=("enabled", "disabled")),
        },
        computed=True,
    ),
    "monitoring": block({"enabled": boolean()}),
    "networkInterfaces": list_of(
        block(
            {
                "associatePublicIpAddress": _flag(),
                "deleteOnTermination": _flag(),
                "description": text(),
                "deviceIndex": integer(),
                "networkInterfaceId": text(),
                "securityGroups": set_of(text()),
                "subnetId": text(),
            }
        )
    ),
    "tagSpecifications": list_of(block({"resourceType": text(), "tags": map_of()})),
    "userData": text(),
    "vpcSecurityGroupIds": set_of(text()),
}
_NAMES = {"vpcSecurityGroupIds": "SecurityGroupIds", "securityGroups": "Groups"}


def _api(name: str) -> str:
    return _NAMES.get(name, name[0].upper() + name[1:])


def _to_api(values: Mapping[str, Any], declared: Mapping[str, Property]) -> dict[str, Any]:
    return {
        _api(name): _value_to_api(values[name], spec)
        for name, spec in declared.items()
        if values.get(name) not in (None, "", [], {})
    }


def _value_to_api(value: Any, spec: Property) -> Any:
    if spec.kind == "block":
        return _to_api(value, spec.fields)
    if spec.kind in ("list", "set") and spec.items:
        return [_value_to_api(item, spec.items) for item in value]
    if spec.kind == "map":
        return [{"Key": key, "Value": item} for key, item in value.items()]
    return value == "true" if spec.one_of == ("true", "false") else value


def _from_api(values: Mapping[str, Any], declared: Mapping[str, Property]) -> dict[str, Any]:
    properties = {
        name: _value_from_api(values.get(_api(name)), spec) for name, spec in declared.items()
    }
    return {name: value for name, value in properties.items() if value is not None}


def _value_from_api(value: Any, spec: Property) -> Any:
    if value is None:
        return None
    if spec.kind == "block":
        return _from_api(value, spec.fields)
    if spec.kind in ("list", "set") and spec.items:
        return [_value_from_api(item, spec.items) for item in value]
    if spec.kind == "map":
        return {tag["Key"]: tag["Value"] for tag in value}
    if spec.kind == "integer":
        return int(value)
    return str(value).lower() if spec.one_of == ("true", "false") else value


class LaunchTemplate(Ec2Handler):
    """A launch template and its versions."""

    token = "aws:ec2/launchTemplate:LaunchTemplate"
    noun = "EC2 Launch Template"
    inputs = {
        **_DATA,
        "defaultVersion": integer(computed=True),
        "description": text(rule=length(0, 255)),
        "name": text(replaces=True, rule=length(3, 128)),
        "updateDefaultVersion": boolean(write_only=True),
    }
    outputs = ("arn", "latestVersion")
    volatile = ("latestVersion", "defaultVersion")
    autoname = AutoName("name", 125)
    conflicts = (("defaultVersion", "updateDefaultVersion"),)
    missing = ("InvalidLaunchTemplateId.NotFound", "InvalidLaunchTemplateName.NotFoundException")

    def validate(self, call: Call, inputs: Properties) -> list[tuple[str, str]]:
        if inputs.get("networkInterfaces") and inputs.get("vpcSecurityGroupIds"):
            return [("vpcSecurityGroupIds", "belongs in networkInterfaces when those are set")]
        return []

    def _described(self, inputs: Properties) -> dict[str, Any]:
        return {"VersionDescription": inputs["description"]} if inputs.get("description") else {}

    def create(self, call: Call, inputs: Properties) -> str:
        template = call.client("ec2").create_launch_template(
            LaunchTemplateName=inputs["name"],
            LaunchTemplateData=_to_api(inputs, _DATA),
            **self._described(inputs),
            **tagging("launch-template", inputs),
        )
        return call.record_created(template["LaunchTemplate"]["LaunchTemplateId"])

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        ec2 = call.client("ec2")
        template = only(ec2.describe_launch_templates(LaunchTemplateIds=[id])["LaunchTemplates"])
        if template is None:
            return None
        latest = str(template["LatestVersionNumber"])
        versions = ec2.describe_launch_template_versions(LaunchTemplateId=id, Versions=[latest])
        version = only(versions["LaunchTemplateVersions"]) or {}
        data = version.get("LaunchTemplateData", {})
        return {
            **dict.fromkeys(_DATA),
            **_from_api(data, _DATA),
            "arn": call.arn("ec2", f"launch-template/{id}"),
            "defaultVersion": template["DefaultVersionNumber"],
            "description": version.get("VersionDescription"),
            "latestVersion": template["LatestVersionNumber"],
            "name": template["LaunchTemplateName"],
            "tagsAll": tags_of(template),
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        ec2 = call.client("ec2")
        latest = int(old.get("latestVersion") or 1)
        if changed & {*_DATA, "description"}:
            version = ec2.create_launch_template_version(
                LaunchTemplateId=id, LaunchTemplateData=_to_api(new, _DATA), **self._described(new)
            )
            latest = version["LaunchTemplateVersion"]["VersionNumber"]
        default = latest if new.get("updateDefaultVersion") else new.get("defaultVersion")
        if default and default != old.get("defaultVersion"):
            ec2.modify_launch_template(LaunchTemplateId=id, DefaultVersion=str(default))

    def delete(self, call: Call, id: str, state: Properties) -> None:
        call.client("ec2").delete_launch_template(LaunchTemplateId=id)


TYPES = (LaunchTemplate(),)
