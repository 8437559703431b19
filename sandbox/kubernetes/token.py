"""Prints an EKS token for kubeconfigs, as `aws eks get-token` does:

python -m sandbox.kubernetes.token CLUSTER

Credentials, region and endpoint come from boto3's environment variables. A token is `k8s-aws-v1.`
and the base64url of a presigned STS GetCallerIdentity URL with the cluster's name in a signed
header; EKS accepts it for 15 minutes.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

_HEADER = "x-k8s-aws-id"
LIFETIME = timedelta(minutes=14)


def sign(
    cluster: str, region: str | None = None, role_arn: str | None = None, session: Any = None
) -> str:
    """Return a cluster's token, for `role_arn` if set. Raises botocore's errors."""
    import boto3  # noqa: PLC0415 - most commands of the sandbox need no token, and start sooner

    session = session or boto3.Session(region_name=region)
    if role_arn:
        response = session.client("sts", region_name=region).assume_role(
            RoleArn=role_arn, RoleSessionName="EKSGetTokenAuth"
        )
        credentials = response["Credentials"]
        session = boto3.Session(
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials["SessionToken"],
            region_name=region or session.region_name,
        )
    client = session.client("sts", region_name=region)

    def name_cluster(request: Any, **_: Any) -> None:
        request.headers[_HEADER] = cluster

    client.meta.events.register("before-sign.sts.GetCallerIdentity", name_cluster)
    url: str = client.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def credential(token: str) -> dict[str, Any]:
    """Return the ExecCredential that a kubeconfig's exec plugin prints."""
    expiry = (datetime.now(UTC) + LIFETIME).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "kind": "ExecCredential",
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "spec": {},
        "status": {"expirationTimestamp": expiry, "token": token},
    }


def main() -> int:
    """Print the credential; an error is one line on stderr and exit code 1."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as in `sign`

    parser = argparse.ArgumentParser(
        prog="python -m sandbox.kubernetes.token", description="Print an EKS token."
    )
    parser.add_argument("cluster", metavar="CLUSTER")
    parser.add_argument("--region")
    parser.add_argument("--role-arn")
    arguments = parser.parse_args()
    try:
        token = sign(arguments.cluster, arguments.region, arguments.role_arn)
    except (BotoCoreError, ClientError) as error:
        sys.stderr.write(
            f"no token for cluster {arguments.cluster}: {error}. Is the sandbox's environment "
            "set (`python -m sandbox env STACK`)?\n"
        )
        return 1
    sys.stdout.write(json.dumps(credential(token)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
