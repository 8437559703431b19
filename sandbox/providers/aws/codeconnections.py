"""CodeConnections connections. IDs are ARNs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sandbox.providers.aws.marshalling import filled, tag_list, tag_map
from sandbox.providers.aws.properties import length, text
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Properties

_PROVIDERS = (
    "AzureDevOps",
    "Bitbucket",
    "GitHub",
    "GitHubEnterpriseServer",
    "GitLab",
    "GitLabSelfManaged",
)


class Connection(Handler):
    """A connection to a Git host; it stays PENDING until its handshake in the console."""

    token = "aws:codeconnections/connection:Connection"
    noun = "CodeConnections Connection"
    inputs = {
        "name": text(replaces=True, rule=length(1, 32)),
        "hostArn": text(replaces=True),
        "providerType": text(computed=True, replaces=True, one_of=_PROVIDERS),
    }
    outputs = ("arn", "connectionStatus", "ownerAccountId")
    autoname = AutoName("name", 32)
    conflicts = (("hostArn", "providerType"),)
    one_needed = (("hostArn", "providerType"),)
    tagged = True
    missing = ("ResourceNotFoundException",)

    def create(self, call: Call, inputs: Properties) -> str:
        """Create the connection."""
        response = call.client("codeconnections").create_connection(
            **filled(
                ConnectionName=inputs["name"],
                HostArn=inputs.get("hostArn"),
                ProviderType=inputs.get("providerType"),
                Tags=tag_list(inputs["tagsAll"]),
            )
        )
        return call.record_created(response["ConnectionArn"])

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the connection."""
        client = call.client("codeconnections")
        connection = client.get_connection(ConnectionArn=id)["Connection"]
        return {
            "name": connection["ConnectionName"],
            "hostArn": connection.get("HostArn"),
            "providerType": connection.get("ProviderType"),
            "arn": connection["ConnectionArn"],
            "connectionStatus": connection["ConnectionStatus"],
            "ownerAccountId": connection.get("OwnerAccountId"),
            "tagsAll": tag_map(client.list_tags_for_resource(ResourceArn=id).get("Tags")),
        }

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Tag the connection."""
        if drop:
            call.client("codeconnections").untag_resource(ResourceArn=id, TagKeys=list(drop))
        if put:
            call.client("codeconnections").tag_resource(ResourceArn=id, Tags=tag_list(put))

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the connection."""
        call.client("codeconnections").delete_connection(ConnectionArn=id)


TYPES = (Connection(),)
