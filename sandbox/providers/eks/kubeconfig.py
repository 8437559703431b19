"""The kubeconfig of an EKS cluster, in pulumi-eks's form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def kubeconfig(
    name: str,
    endpoint: str,
    authority: str,
    arn: str,
    credentials: Mapping[str, str],
    *,
    with_profile: bool,
) -> dict[str, Any]:
    """Return a kubeconfig that gets its token from `aws eks get-token`.

    `credentials` may hold `roleArn` and `profileName`; the profile is used only with
    `with_profile`, by the cluster's own provider. Source: pulumi-eks,
    nodejs/eks/cluster/cluster.ts, generateKubeconfig.
    """
    arguments = [
        "--region",
        region_of(arn),
        "eks",
        "get-token",
        "--cluster-name",
        name,
        "--output",
        "json",
    ]
    if credentials.get("roleArn"):
        arguments += ["--role", credentials["roleArn"]]
    if with_profile and credentials.get("profileName"):
        arguments += ["--profile", credentials["profileName"]]
    version = "client.authentication.k8s.io/v1beta1"
    return {
        "apiVersion": "v1",
        "clusters": [
            {
                "cluster": {"server": endpoint, "certificate-authority-data": authority},
                "name": "kubernetes",
            }
        ],
        "contexts": [{"context": {"cluster": "kubernetes", "user": "aws"}, "name": "aws"}],
        "current-context": "aws",
        "kind": "Config",
        "users": [
            {
                "name": "aws",
                "user": {
                    "exec": {
                        "apiVersion": version,
                        "command": "aws",
                        "args": arguments,
                        "env": [
                            {
                                "name": "KUBERNETES_EXEC_INFO",
                                "value": json.dumps({"apiVersion": version}),
                            }
                        ],
                    }
                },
            }
        ],
    }


def compact(value: Any) -> str:
    """Return `value` as compact JSON in key order, as JavaScript does."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def region_of(arn: str) -> str:
    """Return the region of an ARN; ValueError if it is not one."""
    parts = arn.split(":")
    if len(parts) < 4 or parts[0] != "arn":
        msg = f"{arn!r} is not an ARN."
        raise ValueError(msg)
    return parts[3]
