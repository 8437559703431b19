"""EKS: functions about clusters and add-ons."""

from __future__ import annotations

import base64

from botocore.signers import RequestSigner

from sandbox.providers.aws.eks.clusters import described
from sandbox.providers.aws.function import Function
from sandbox.providers.aws.operation import Call
from sandbox.providers.aws.properties import boolean, text
from sandbox.providers.protocol import Failure, Invoked, Properties


def _addon_version(call: Call, args: Properties) -> Properties:
    name, kubernetes, newest = (
        args["addonName"],
        args["kubernetesVersion"],
        args.get("mostRecent", False),
    )
    pages = call.client("eks").get_paginator("describe_addon_versions")
    for page in pages.paginate(addonName=name, kubernetesVersion=kubernetes):
        for addon in page["addons"]:
            for version in addon["addonVersions"]:  # newest first
                if newest or any(
                    compatible.get("defaultVersion") for compatible in version["compatibilities"]
                ):
                    result = {
                        "addonName": name,
                        "kubernetesVersion": kubernetes,
                        "mostRecent": newest,
                    }
                    return {
                        **result,
                        "id": name,
                        "region": call.region,
                        "version": version["addonVersion"],
                    }
    raise Failure(f"no version of the add-on {name} exists for Kubernetes {kubernetes}")


def _cluster(call: Call, args: Properties) -> Properties:
    cluster = described(call.client("eks").describe_cluster(name=args["name"])["cluster"])
    tags = cluster.pop("tagsAll")
    # Every structure is a list, as in the AWS provider's data source.
    lists = {
        plural: [cluster.pop(single)] if cluster.get(single) else (cluster.pop(single, None), [])[1]
        for single, plural in (
            ("accessConfig", "accessConfigs"),
            ("certificateAuthority", "certificateAuthorities"),
            ("computeConfig", "computeConfigs"),
            ("encryptionConfig", "encryptionConfigs"),
            ("kubernetesNetworkConfig", "kubernetesNetworkConfigs"),
            ("storageConfig", "storageConfigs"),
            ("upgradePolicy", "upgradePolicies"),
            ("zonalShiftConfig", "zonalShiftConfigs"),
        )
    }
    return {**cluster, **lists, "id": args["name"], "region": call.region, "tags": tags}


def _cluster_auth(call: Call, args: Properties) -> Invoked:
    """Return a token for the API server: a presigned GetCallerIdentity, as `aws eks get-token`
    does.
    """
    sts, name = call.client("sts"), args["name"]
    signer: RequestSigner = sts._request_signer
    url = signer.generate_presigned_url(
        {
            "method": "GET",
            "url": f"{sts.meta.endpoint_url.rstrip('/')}/"
            "?Action=GetCallerIdentity&Version=2011-06-15",
            "body": {},
            "headers": {"x-k8s-aws-id": name},
            "context": {},
        },
        region_name=call.region,
        expires_in=60,
        operation_name="",
    )
    token = "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
    return Invoked(
        {"id": name, "name": name, "region": call.region, "token": token}, secrets=[("token",)]
    )


FUNCTIONS = (
    Function(
        "aws:eks/getAddonVersion:getAddonVersion",
        {
            "addonName": text(required=True),
            "kubernetesVersion": text(required=True),
            "mostRecent": boolean(),
            "region": text(),
        },
        _addon_version,
    ),
    Function(
        "aws:eks/getCluster:getCluster", {"name": text(required=True), "region": text()}, _cluster
    ),
    Function(
        "aws:eks/getClusterAuth:getClusterAuth",
        {"name": text(required=True), "region": text()},
        _cluster_auth,
    ),
)
