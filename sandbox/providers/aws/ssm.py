"""Systems Manager: plain-text parameters. The ID is the parameter's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sandbox.providers.aws.marshalling import filled, tag_list, tag_map
from sandbox.providers.aws.properties import boolean, length, text
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Properties


class Parameter(Handler):
    """A parameter of type String or StringList."""

    token = "aws:ssm/parameter:Parameter"
    noun = "SSM Parameter"
    inputs = {
        "name": text(replaces=True, rule=length(1, 2048)),
        "type": text(required=True, one_of=("String", "StringList")),
        "insecureValue": text(required=True),
        "description": text(rule=length(0, 1024)),
        "allowedPattern": text(rule=length(0, 1024)),
        "tier": text(default="Standard", one_of=("Standard", "Advanced", "Intelligent-Tiering")),
        "overwrite": boolean(write_only=True),
    }
    outputs = ("arn",)
    autoname = AutoName("name", 2048)
    tagged = True
    missing = ("ParameterNotFound",)

    def create(self, call: Call, inputs: Properties) -> str:
        """Create the parameter; it must not exist."""
        request = _request(inputs, overwrite=bool(inputs.get("overwrite")))
        call.client("ssm").put_parameter(**request, **filled(Tags=tag_list(inputs["tagsAll"])))
        return call.record_created(str(inputs["name"]))

    def read(self, call: Call, id: str, known: Properties) -> Properties | None:
        """Read value, description and tags."""
        ssm = call.client("ssm")
        parameter = ssm.get_parameter(Name=id)["Parameter"]
        filters = [{"Key": "Name", "Values": [id]}]
        described = ssm.describe_parameters(ParameterFilters=filters)["Parameters"][0]
        tags = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=id)["TagList"]
        return {
            "id": id,
            "arn": parameter.get("ARN") or call.arn("ssm", f"parameter{id}"),
            "name": id,
            "type": parameter["Type"],
            "insecureValue": parameter["Value"],
            "description": described.get("Description") or None,
            "allowedPattern": described.get("AllowedPattern") or None,
            "tier": described.get("Tier") or "Standard",
            "tagsAll": tag_map(tags),
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Overwrite the parameter."""
        call.client("ssm").put_parameter(**_request(new, overwrite=True))

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Tag the parameter."""
        ssm, resource = call.client("ssm"), {"ResourceType": "Parameter", "ResourceId": id}
        if drop:
            ssm.remove_tags_from_resource(**resource, TagKeys=list(drop))
        if put:
            ssm.add_tags_to_resource(**resource, Tags=tag_list(put))

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the parameter."""
        call.client("ssm").delete_parameter(Name=id)


def _request(inputs: Properties, *, overwrite: bool) -> Properties:
    return filled(
        Name=inputs["name"],
        Type=inputs["type"],
        Value=inputs["insecureValue"],
        Description=inputs.get("description"),
        AllowedPattern=inputs.get("allowedPattern"),
        Tier=inputs["tier"],
        Overwrite=overwrite,
    )


TYPES = (Parameter(),)
