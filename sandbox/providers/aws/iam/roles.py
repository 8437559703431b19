"""IAM: roles, role policies, attachments and managed policies.

Replacements and defaults: pulumi_aws's documentation and the AWS provider's schema. IDs: a role's
name; a policy's ARN; `<role>:<name>`; `<role>-<policy ARN>`, imported as `<role>/<policy ARN>`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from sandbox.providers.aws.operation import code_of
from sandbox.providers.aws.policy_documents import same_policy
from sandbox.providers.aws.properties import (
    Rule,
    between,
    block,
    boolean,
    integer,
    length,
    policy,
    set_of,
    text,
)
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Properties

_GONE = ("NoSuchEntity",)
_NAME = re.compile(r"^[\w+=,.@-]+$")
_PATH = re.compile(r"^/([\x21-\x7e]+/)?$")


def name_rule(longest: int) -> Rule:
    """Return a rule for a name of at most `most` characters."""

    def check(value: str) -> str | None:
        if not _NAME.match(value):
            return f"letters, digits and +=,.@_- only, not {value!r}"
        return length(1, longest)(value)

    return check


def path_rule(value: str) -> str | None:
    """Return a rule for a path."""
    return None if _PATH.match(value) else f"a path that begins and ends with /, not {value!r}"


def _document(value: Any) -> str:
    """Return a policy document, which boto3 decodes or the API URL-encodes."""
    return unquote(value) if isinstance(value, str) else json.dumps(value)


def tag_list(inputs: Properties) -> dict[str, Any]:
    """Return the Tags argument of a new resource."""
    tags = [{"Key": key, "Value": value} for key, value in (inputs.get("tagsAll") or {}).items()]
    return {"Tags": tags} if tags else {}


def tags_of(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a response."""
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags") or []}


def quietly(action: Any, **arguments: Any) -> None:
    """Call an operation; a missing object is no error."""
    try:
        action(**arguments)
    except ClientError as error:
        if code_of(error) not in _GONE:
            raise


class Tagged(Handler):
    """A resource type that is tagged with tag_<kind> and untag_<kind>."""

    tagged = True
    missing = _GONE
    kind: str
    key: str

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        iam = call.client("iam")
        if drop:
            getattr(iam, f"untag_{self.kind}")(**{self.key: id}, TagKeys=list(drop))
        if put:
            tags = [{"Key": key, "Value": value} for key, value in put.items()]
            getattr(iam, f"tag_{self.kind}")(**{self.key: id}, Tags=tags)


class Role(Tagged):
    """A role, with inline and attached policies if the program lists them here."""

    token = "aws:iam/role:Role"
    noun = "IAM Role"
    kind, key = "role", "RoleName"
    inputs = {
        "assumeRolePolicy": policy(required=True),
        "description": text(rule=length(0, 1000)),
        "forceDetachPolicies": boolean(default=False, write_only=True),
        "inlinePolicies": set_of(block({"name": text(), "policy": policy()}), computed=True),
        "managedPolicyArns": set_of(text(), computed=True),
        "maxSessionDuration": integer(default=3600, rule=between(3600, 43200)),
        "name": text(replaces=True, rule=name_rule(64)),
        "path": text(default="/", replaces=True, rule=path_rule),
        "permissionsBoundary": text(),
    }
    outputs = ("arn", "createDate", "uniqueId")
    autoname = AutoName("name", 64)

    def create(self, call: Call, inputs: Properties) -> str:
        iam, name = call.client("iam"), inputs["name"]
        names = {"description": "Description", "permissionsBoundary": "PermissionsBoundary"}
        iam.create_role(
            RoleName=name,
            Path=inputs["path"],
            AssumeRolePolicyDocument=inputs["assumeRolePolicy"],
            MaxSessionDuration=inputs["maxSessionDuration"],
            **{api: inputs[key] for key, api in names.items() if inputs.get(key)},
            **tag_list(inputs),
        )
        call.record_created(name)
        self._policies(call, name, {}, inputs)
        return str(name)

    def _policies(self, call: Call, name: str, old: Properties, new: Properties) -> None:
        iam = call.client("iam")
        before = {item["name"]: item["policy"] for item in old.get("inlinePolicies") or []}
        after = {item["name"]: item["policy"] for item in new.get("inlinePolicies") or []}
        for key in before.keys() - after.keys():
            quietly(iam.delete_role_policy, RoleName=name, PolicyName=key)
        for key, document in after.items():
            if key not in before or not same_policy(before[key], document):
                iam.put_role_policy(RoleName=name, PolicyName=key, PolicyDocument=document)
        attached, declared = (
            set(old.get("managedPolicyArns") or []),
            set(new.get("managedPolicyArns") or []),
        )
        for arn in sorted(attached - declared):
            quietly(iam.detach_role_policy, RoleName=name, PolicyArn=arn)
        for arn in sorted(declared - attached):
            iam.attach_role_policy(RoleName=name, PolicyArn=arn)

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        iam = call.client("iam")
        role = iam.get_role(RoleName=id)["Role"]
        inline = iam.list_role_policies(RoleName=id)["PolicyNames"]
        attached = iam.list_attached_role_policies(RoleName=id)["AttachedPolicies"]
        return {
            "arn": role["Arn"],
            "assumeRolePolicy": _document(role["AssumeRolePolicyDocument"]),
            "createDate": role["CreateDate"].isoformat(),
            "description": role.get("Description"),
            "inlinePolicies": [
                {
                    "name": name,
                    "policy": _document(
                        iam.get_role_policy(RoleName=id, PolicyName=name)["PolicyDocument"]
                    ),
                }
                for name in inline
            ],
            "managedPolicyArns": [item["PolicyArn"] for item in attached],
            "maxSessionDuration": role.get("MaxSessionDuration", 3600),
            "name": role["RoleName"],
            "path": role["Path"],
            "permissionsBoundary": (role.get("PermissionsBoundary") or {}).get(
                "PermissionsBoundaryArn"
            ),
            "tagsAll": tags_of(role),
            "uniqueId": role["RoleId"],
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        iam = call.client("iam")
        if "assumeRolePolicy" in changed:
            iam.update_assume_role_policy(RoleName=id, PolicyDocument=new["assumeRolePolicy"])
        if changed & {"description", "maxSessionDuration"}:
            iam.update_role(
                RoleName=id,
                Description=new.get("description", ""),
                MaxSessionDuration=new["maxSessionDuration"],
            )
        if "permissionsBoundary" in changed:
            if new.get("permissionsBoundary"):
                iam.put_role_permissions_boundary(
                    RoleName=id, PermissionsBoundary=new["permissionsBoundary"]
                )
            else:
                iam.delete_role_permissions_boundary(RoleName=id)
        if changed & {"inlinePolicies", "managedPolicyArns"}:
            self._policies(call, id, old, new)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        iam = call.client("iam")
        for profile in iam.list_instance_profiles_for_role(RoleName=id)["InstanceProfiles"]:
            name = profile["InstanceProfileName"]
            quietly(iam.remove_role_from_instance_profile, InstanceProfileName=name, RoleName=id)
        for item in iam.list_attached_role_policies(RoleName=id)["AttachedPolicies"]:
            if state.get("forceDetachPolicies") or item["PolicyArn"] in (
                state.get("managedPolicyArns") or []
            ):
                quietly(iam.detach_role_policy, RoleName=id, PolicyArn=item["PolicyArn"])
        own = {item["name"] for item in state.get("inlinePolicies") or []}
        for name in iam.list_role_policies(RoleName=id)["PolicyNames"]:
            if state.get("forceDetachPolicies") or name in own:
                quietly(iam.delete_role_policy, RoleName=id, PolicyName=name)
        call.retrying(lambda: iam.delete_role(RoleName=id), ("DeleteConflict",))


class RolePolicy(Handler):
    """An inline policy of a role."""

    token = "aws:iam/rolePolicy:RolePolicy"
    noun = "IAM Role Policy"
    inputs = {
        "name": text(replaces=True, rule=name_rule(128)),
        "policy": policy(required=True),
        "role": text(required=True, replaces=True),
    }
    autoname = AutoName("name", 128)
    missing = _GONE

    def create(self, call: Call, inputs: Properties) -> str:
        self._put(call, inputs)
        return call.record_created(f"{inputs['role']}:{inputs['name']}")

    def _put(self, call: Call, inputs: Properties) -> None:
        call.client("iam").put_role_policy(
            RoleName=inputs["role"], PolicyName=inputs["name"], PolicyDocument=inputs["policy"]
        )

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        role, _, name = id.partition(":")
        response = call.client("iam").get_role_policy(RoleName=role, PolicyName=name)
        return {"name": name, "policy": _document(response["PolicyDocument"]), "role": role}

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        self._put(call, new)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        role, _, name = id.partition(":")
        call.client("iam").delete_role_policy(RoleName=role, PolicyName=name)


class RolePolicyAttachment(Handler):
    """A managed policy attached to a role."""

    token = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    noun = "IAM Role Policy Attachment"
    inputs = {
        "policyArn": text(required=True, replaces=True),
        "role": text(required=True, replaces=True),
    }
    missing = _GONE

    def create(self, call: Call, inputs: Properties) -> str:
        call.client("iam").attach_role_policy(
            RoleName=inputs["role"], PolicyArn=inputs["policyArn"]
        )
        return call.record_created(f"{inputs['role']}-{inputs['policyArn']}")

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        role, arn = state.get("role"), state.get("policyArn")
        if not role or not arn:
            role, _, arn = id.partition("/") if "/arn:" in id else id.partition("-arn:")
            arn = arn if arn.startswith("arn:") else f"arn:{arn}"
        pages = (
            call.client("iam").get_paginator("list_attached_role_policies").paginate(RoleName=role)
        )
        if not any(item["PolicyArn"] == arn for page in pages for item in page["AttachedPolicies"]):
            return None
        return {"id": f"{role}-{arn}", "policyArn": arn, "role": role}

    def delete(self, call: Call, id: str, state: Properties) -> None:
        call.client("iam").detach_role_policy(RoleName=state["role"], PolicyArn=state["policyArn"])


class Policy(Tagged):
    """A managed policy; an update creates a default version and deletes the oldest of five."""

    token = "aws:iam/policy:Policy"
    noun = "IAM Policy"
    kind, key = "policy", "PolicyArn"
    inputs = {
        "description": text(replaces=True, rule=length(0, 1000)),
        "name": text(replaces=True, rule=name_rule(128)),
        "path": text(default="/", replaces=True, rule=path_rule),
        "policy": policy(required=True),
    }
    outputs = ("arn", "attachmentCount", "policyId")
    autoname = AutoName("name", 128)

    def create(self, call: Call, inputs: Properties) -> str:
        described = {"Description": inputs["description"]} if inputs.get("description") else {}
        response = call.client("iam").create_policy(
            PolicyName=inputs["name"],
            Path=inputs["path"],
            PolicyDocument=inputs["policy"],
            **described,
            **tag_list(inputs),
        )
        return call.record_created(response["Policy"]["Arn"])

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        iam = call.client("iam")
        response = iam.get_policy(PolicyArn=id)["Policy"]
        version = iam.get_policy_version(PolicyArn=id, VersionId=response["DefaultVersionId"])[
            "PolicyVersion"
        ]
        return {
            "arn": id,
            "attachmentCount": response.get("AttachmentCount", 0),
            "description": response.get("Description"),
            "name": response["PolicyName"],
            "path": response["Path"],
            "policy": _document(version["Document"]),
            "policyId": response["PolicyId"],
            "tagsAll": tags_of(response) or tags_of(iam.list_policy_tags(PolicyArn=id)),
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        iam = call.client("iam")
        self._prune(call, id, keep=4)
        iam.create_policy_version(PolicyArn=id, PolicyDocument=new["policy"], SetAsDefault=True)

    def _prune(self, call: Call, id: str, keep: int) -> None:
        iam = call.client("iam")
        versions = iam.list_policy_versions(PolicyArn=id)["Versions"]
        others = sorted(
            (v for v in versions if not v["IsDefaultVersion"]),
            key=lambda v: int(v["VersionId"][1:]),
        )
        for version in others[: max(0, len(versions) - keep)]:
            iam.delete_policy_version(PolicyArn=id, VersionId=version["VersionId"])

    def delete(self, call: Call, id: str, state: Properties) -> None:
        self._prune(call, id, keep=1)
        call.retrying(lambda: call.client("iam").delete_policy(PolicyArn=id), ("DeleteConflict",))


TYPES = (Role(), RolePolicy(), RolePolicyAttachment(), Policy())
