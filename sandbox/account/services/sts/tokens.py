"""Principals of requests and Kubernetes tokens, and what access entries grant them."""

from __future__ import annotations

import datetime
import hashlib
import hmac
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit

from sandbox.account.core import moto_backends
from sandbox.account.core.wire import ACCOUNT_ID
from sandbox.contracts.cluster_host import CallerIdentity, Grant, UnknownPrincipalError

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext

_CLUSTER_HEADER = "x-k8s-aws-id"
# EKS accepts a token for 15 minutes regardless of X-Amz-Expires (aws-iam-authenticator README).
_TOKEN_LIFETIME = datetime.timedelta(minutes=15)


def _session(context: RequestContext, access_key: str) -> Any | None:
    roles = context.backend("sts").assumed_roles
    return next((role for role in roles if role.access_key_id == access_key), None)


def _user_of(context: RequestContext, access_key: str) -> tuple[Any, Any] | None:
    for user in context.backend("iam").users.values():
        for key in user.access_keys:
            if key.access_key_id == access_key:
                return user, key
    return None


def caller(context: RequestContext, access_key: str) -> str:
    """Return the IAM principal of an access key: a role, a user, or the account's caller."""
    session = _session(context, access_key)
    if session is not None:
        return str(session.role_arn)
    user = _user_of(context, access_key)
    return str(user[0].arn) if user else moto_backends.CALLER_ARN


class Principals:
    """Answers the API server. Takes no lock: a request that creates a cluster may hold the
    account's.
    """

    def __init__(self, context: RequestContext) -> None:
        self._context = context

    def identity(self, presigned_sts_url: str, *, cluster_name: str) -> CallerIdentity:
        """Return the caller. Raises UnknownPrincipalError with the reason."""
        url = urlsplit(presigned_sts_url)
        query = dict(parse_qsl(url.query))
        signed = query.get("X-Amz-SignedHeaders", "").split(";")
        if query.get("Action") != "GetCallerIdentity":
            raise UnknownPrincipalError("the token is not a GetCallerIdentity request")
        if _CLUSTER_HEADER not in signed:
            raise UnknownPrincipalError(
                f"the token is not signed for a cluster ({_CLUSTER_HEADER} is not in its signature)"
            )
        scope = query.get("X-Amz-Credential", "").split("/")
        if len(scope) != 5 or scope[3] != "sts":
            raise UnknownPrincipalError("the token's credential is not for STS")
        try:
            signed_at = datetime.datetime.strptime(
                query.get("X-Amz-Date", ""), "%Y%m%dT%H%M%SZ"
            ).replace(tzinfo=datetime.UTC)
        except ValueError as error:
            raise UnknownPrincipalError("the token's X-Amz-Date is not a date") from error
        age = datetime.datetime.now(datetime.UTC) - signed_at
        if age > _TOKEN_LIFETIME or age < -datetime.timedelta(minutes=5):
            raise UnknownPrincipalError("the token has expired")
        secret = self._secret(scope[0])
        if secret is not None and _signature(
            url.netloc, query, scope, secret, cluster_name
        ) != query.get("X-Amz-Signature"):
            raise UnknownPrincipalError(
                f"the token's signature is not valid for cluster {cluster_name}"
            )
        session = _session(self._context, scope[0])
        return CallerIdentity(
            principal=caller(self._context, scope[0]),
            session=str(session.session_name) if session is not None else "",
        )

    def _secret(self, access_key: str) -> str | None:
        """Return the secret of an issued key; the sandbox's own keys have none."""
        session = _session(self._context, access_key)
        if session is not None:
            return str(session.secret_access_key)
        user = _user_of(self._context, access_key)
        return str(user[1].secret_access_key) if user else None

    def grants(self, cluster_arn: str, principal_arn: str) -> list[Grant]:
        """Return what the principal's access entry grants."""
        region, name = cluster_arn.split(":")[3], cluster_arn.rpartition("/")[2]
        if principal_arn == f"arn:aws:iam::{ACCOUNT_ID}:root":
            principal_arn = moto_backends.CALLER_ARN
        entry = self._context.table("eks.access").get((region, name, principal_arn))
        if entry is None:
            return []
        user = entry["username"]
        policies = [
            Grant(
                username=user,
                policy_arn=arn,
                namespaces=None
                if associated["accessScope"]["type"] == "cluster"
                else tuple(associated["accessScope"]["namespaces"]),
            )
            for arn, associated in entry["_policies"].items()
        ]
        groups = tuple(entry["kubernetesGroups"])
        return (
            [*policies, Grant(username=user, groups=groups)] if groups or not policies else policies
        )


def _signature(
    host: str, query: dict[str, str], scope: list[str], secret: str, cluster_name: str
) -> str:
    """Return the SigV4 signature of a presigned GET.

    Source: docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    """
    unsigned = sorted((key, value) for key, value in query.items() if key != "X-Amz-Signature")
    canonical_query = "&".join(
        f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in unsigned
    )
    values = {"host": host, _CLUSTER_HEADER: cluster_name}
    names = query["X-Amz-SignedHeaders"].split(";")
    headers = "".join(f"{name}:{values.get(name, '')}\n" for name in names)
    empty = hashlib.sha256(b"").hexdigest()
    request = "\n".join(["GET", "/", canonical_query, headers, ";".join(names), empty])
    credential_scope = "/".join(scope[1:])
    to_sign = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            query["X-Amz-Date"],
            credential_scope,
            hashlib.sha256(request.encode()).hexdigest(),
        ]
    )
    key = f"AWS4{secret}".encode()
    for part in scope[1:]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
