"""IAM: instance profiles and OpenID Connect providers.

Replacements and defaults: pulumi_aws's documentation. A profile's ID is its name, a provider's its
ARN.
"""

from __future__ import annotations

from sandbox.providers.aws.iam.roles import Tagged, name_rule, path_rule, quietly, tag_list, tags_of
from sandbox.providers.aws.properties import length, list_of, set_of, text
from sandbox.providers.aws.resource import AutoName, Call
from sandbox.providers.protocol import Properties


class InstanceProfile(Tagged):
    """An instance profile."""

    token = "aws:iam/instanceProfile:InstanceProfile"
    noun = "IAM Instance Profile"
    kind, key = "instance_profile", "InstanceProfileName"
    inputs = {
        "name": text(replaces=True, rule=name_rule(128)),
        "path": text(default="/", replaces=True, rule=path_rule),
        "role": text(),
    }
    outputs = ("arn", "createDate", "uniqueId")
    autoname = AutoName("name", 128)

    def create(self, call: Call, inputs: Properties) -> str:
        iam, name = call.client("iam"), inputs["name"]
        iam.create_instance_profile(
            InstanceProfileName=name, Path=inputs["path"], **tag_list(inputs)
        )
        call.record_created(name)
        if inputs.get("role"):
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=inputs["role"])
        return str(name)

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        response = call.client("iam").get_instance_profile(InstanceProfileName=id)[
            "InstanceProfile"
        ]
        roles = response.get("Roles") or []
        return {
            "arn": response["Arn"],
            "createDate": response["CreateDate"].isoformat(),
            "name": id,
            "path": response["Path"],
            "role": roles[0]["RoleName"] if roles else None,
            "tagsAll": tags_of(response),
            "uniqueId": response["InstanceProfileId"],
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        self._let_go(call, id, old)
        if new.get("role"):
            call.client("iam").add_role_to_instance_profile(
                InstanceProfileName=id, RoleName=new["role"]
            )

    def _let_go(self, call: Call, id: str, state: Properties) -> None:
        if state.get("role"):
            remove = call.client("iam").remove_role_from_instance_profile
            quietly(remove, InstanceProfileName=id, RoleName=state["role"])

    def delete(self, call: Call, id: str, state: Properties) -> None:
        self._let_go(call, id, state)
        call.client("iam").delete_instance_profile(InstanceProfileName=id)


class OpenIdConnectProvider(Tagged):
    """An OpenID Connect provider."""

    token = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
    noun = "IAM OIDC Provider"
    kind, key = "open_id_connect_provider", "OpenIDConnectProviderArn"
    inputs = {
        "clientIdLists": set_of(text(rule=length(1, 255)), required=True),
        "thumbprintLists": list_of(text(rule=length(40, 40)), computed=True),
        "url": text(
            required=True,
            replaces=True,
            same=lambda one, other: one.removeprefix("https://") == other.removeprefix("https://"),
        ),
    }
    outputs = ("arn",)

    def create(self, call: Call, inputs: Properties) -> str:
        url = inputs["url"] if inputs["url"].startswith("https://") else f"https://{inputs['url']}"
        thumbprints = (
            {"ThumbprintList": inputs["thumbprintLists"]} if inputs.get("thumbprintLists") else {}
        )
        response = call.client("iam").create_open_id_connect_provider(
            Url=url, ClientIDList=inputs["clientIdLists"], **thumbprints, **tag_list(inputs)
        )
        return call.record_created(response["OpenIDConnectProviderArn"])

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        response = call.client("iam").get_open_id_connect_provider(OpenIDConnectProviderArn=id)
        return {
            "arn": id,
            "clientIdLists": response.get("ClientIDList") or [],
            "tagsAll": tags_of(response),
            "thumbprintLists": response.get("ThumbprintList") or [],
            "url": response["Url"].removeprefix("https://"),
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        iam = call.client("iam")
        if "clientIdLists" in changed:
            before, after = set(old.get("clientIdLists") or []), set(new["clientIdLists"])
            for client in sorted(after - before):
                iam.add_client_id_to_open_id_connect_provider(
                    OpenIDConnectProviderArn=id, ClientID=client
                )
            for client in sorted(before - after):
                iam.remove_client_id_from_open_id_connect_provider(
                    OpenIDConnectProviderArn=id, ClientID=client
                )
        if "thumbprintLists" in changed:
            iam.update_open_id_connect_provider_thumbprint(
                OpenIDConnectProviderArn=id, ThumbprintList=new["thumbprintLists"]
            )

    def delete(self, call: Call, id: str, state: Properties) -> None:
        call.client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=id)


TYPES = (InstanceProfile(), OpenIdConnectProvider())
