"""Reads one secret from AWS Secrets Manager with the standard library alone.

botocore would do it too, and is larger than everything else in the image together: docs/decisions/ has the weighing.
The tests compare every signature with botocore's own and read a secret from an emulated account.
Signature: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
Pod Identity: https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

import hashlib
import hmac
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 3.0
# Where a credentials server may be without TLS: loopback, ECS and EKS Pod Identity (IPv4, IPv6), as in AWS's own SDKs.
_PLAIN_HOSTS = frozenset({"localhost", "127.0.0.1", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"})


class SecretUnavailableError(Exception):
    """The secret could not be read; the message says why and holds no part of it."""


@dataclass(frozen=True)
class Credentials:
    """AWS credentials, short-lived where `token` is set."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


def read_secret(arn: str, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The secret's JSON object. Raises SecretUnavailableError. Blocks for at most two times TIMEOUT_SECONDS."""
    environ = os.environ if environ is None else environ
    partition, region = arn.split(":")[1], arn.split(":")[3]
    suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
    endpoint = (
        environ.get("AWS_ENDPOINT_URL_SECRETS_MANAGER")
        or environ.get("AWS_ENDPOINT_URL")
        or f"https://secretsmanager.{region}.{suffix}"
    )
    body = json.dumps({"SecretId": arn}).encode()
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "secretsmanager.GetSecretValue",
    }
    signed = sign(credentials(environ), region, endpoint, headers, body, datetime.now(UTC))
    answer = _fetch(urllib.request.Request(endpoint, data=body, headers=signed), "Secrets Manager")  # noqa: S310 -- the scheme is checked in _fetch
    try:
        secret = json.loads(answer["SecretString"])
    except (KeyError, ValueError):
        secret = None
    if not isinstance(secret, dict):
        raise SecretUnavailableError(f"the secret {arn} is not a JSON object")
    return secret


def credentials(environ: Mapping[str, str]) -> Credentials:
    """From the environment, else from the container credentials endpoint that Pod Identity gives. Raises SecretUnavailableError."""
    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        return Credentials(key, secret, environ.get("AWS_SESSION_TOKEN"))
    uri = environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if not uri:
        raise SecretUnavailableError(
            "no AWS credentials: neither AWS_ACCESS_KEY_ID nor AWS_CONTAINER_CREDENTIALS_FULL_URI (Pod Identity) is set"
        )
    parts = urlsplit(uri)
    if parts.scheme != "https" and parts.hostname not in _PLAIN_HOSTS:
        raise SecretUnavailableError(f"AWS_CONTAINER_CREDENTIALS_FULL_URI names {parts.hostname} without TLS")
    headers = {}
    token_file = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    try:
        # The kubelet renews this file: read it each time.
        token = Path(token_file).read_text().strip() if token_file else environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    except OSError as error:
        raise SecretUnavailableError(
            f"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE can't be read: {error.strerror}"
        ) from None
    if token:
        headers["Authorization"] = token
    answer = _fetch(urllib.request.Request(uri, headers=headers), "the container credentials endpoint")  # noqa: S310 -- as above
    try:
        return Credentials(answer["AccessKeyId"], answer["SecretAccessKey"], answer.get("Token"))
    except KeyError:
        raise SecretUnavailableError("the container credentials endpoint answered without credentials") from None


def sign(
    keys: Credentials, region: str, endpoint: str, headers: Mapping[str, str], body: bytes, now: datetime
) -> dict[str, str]:
    """The headers of a POST to the endpoint's root, with a Signature Version 4 for the secretsmanager service."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{region}/secretsmanager/aws4_request"
    result = {**headers, "Host": urlsplit(endpoint).netloc, "X-Amz-Date": stamp}
    if keys.token:
        result["X-Amz-Security-Token"] = keys.token
    lowered = sorted((name.lower(), value.strip()) for name, value in result.items())
    names = ";".join(name for name, _ in lowered)
    canonical = "\n".join(
        [
            "POST",
            urlsplit(endpoint).path or "/",
            "",
            *(f"{name}:{value}" for name, value in lowered),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{keys.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    result["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return result


def _fetch(request: urllib.request.Request, what: str) -> dict[str, Any]:
    if urlsplit(request.full_url).scheme not in ("http", "https"):
        raise SecretUnavailableError(f"{what}: its address must begin with http:// or https://")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 -- checked above
            answer = json.loads(response.read(1 << 20))
    except urllib.error.HTTPError as error:
        raise SecretUnavailableError(f"{what} answered {error.code} ({_error_code(error)})") from None
    except (OSError, ValueError) as error:
        raise SecretUnavailableError(f"{what} can't be reached: {type(error).__name__}") from None
    if not isinstance(answer, dict):
        raise SecretUnavailableError(f"{what} answered something that is not a JSON object")
    return answer


def _error_code(error: urllib.error.HTTPError) -> str:
    """AWS's name for the failure, such as AccessDeniedException; never the message, which may quote what was sent."""
    try:
        return str(json.loads(error.read(1 << 16)).get("__type", "no reason given")).rsplit("#", 1)[-1][:80]
    except (OSError, ValueError, AttributeError):
        return "no reason given"
