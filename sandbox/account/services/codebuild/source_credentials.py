"""Credentials of source providers: one for each provider in a region. Tokens are not stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import implements
from sandbox.account.core.wire import ACCOUNT_ID
from sandbox.account.services import codeconnections
from sandbox.account.services.codebuild.projects import invalid

if TYPE_CHECKING:
    from sandbox.account.core.context import Record, RequestContext
    from sandbox.account.core.wire import Call

_TABLE = "codebuild.credential"


def find(context: RequestContext, region: str, server_type: str) -> Record | None:
    """Return the credential of a provider in a region."""
    return context.table(_TABLE).get((region, server_type))


@implements("codebuild", "ImportSourceCredentials")
def import_source_credentials(context: RequestContext, call: Call) -> dict[str, Any]:
    """Import a credential; a second one needs `shouldOverwrite`, which is the default."""
    server, auth = call["serverType"], call["authType"]
    key = (call.region, server)
    if key in context.table(_TABLE) and call.get("shouldOverwrite") is False:
        raise AwsError(
            "ResourceAlreadyExistsException",
            f"Access token with server type {server} already exists. Delete its source credential "
            "and try again.",
        )
    arn = f"arn:aws:codebuild:{call.region}:{ACCOUNT_ID}:token/{server.lower()}"
    record: Record = {"arn": arn, "serverType": server, "authType": auth}
    if auth in {"CODECONNECTIONS", "SECRETS_MANAGER"}:
        record["resource"] = call["token"]
    if auth == "CODECONNECTIONS" and codeconnections.find(context, call["token"]) is None:
        raise invalid(f"Connection not found: {call['token']}")
    context.table(_TABLE)[key] = record
    return {"arn": arn}


@implements("codebuild", "ListSourceCredentials")
def list_source_credentials(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the region's credentials without their tokens."""
    table = context.table(_TABLE)
    return {
        "sourceCredentialsInfos": [
            record for (region, _), record in table.items() if region == call.region
        ]
    }


@implements("codebuild", "DeleteSourceCredentials")
def delete_source_credentials(context: RequestContext, call: Call) -> dict[str, Any]:
    """Delete a credential."""
    for key, record in list(context.table(_TABLE).items()):
        if record["arn"] == call["arn"] and key[0] == call.region:
            del context.table(_TABLE)[key]
            return {"arn": call["arn"]}
    raise AwsError("ResourceNotFoundException", f"Source credential not found: {call['arn']}")
