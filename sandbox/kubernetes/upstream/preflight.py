"""Checks of an API server before a stack uses it."""

from __future__ import annotations

from sandbox.kubernetes.upstream.kubeconfig import StatusError, Upstream, UpstreamError


def check(upstream: Upstream) -> str:
    """Return the server's version. Raises UpstreamError unless its user may administer it.

    The creator of an EKS cluster is its administrator, and the endpoint acts for other callers.
    """
    where = upstream.description
    try:
        version = upstream.request("GET", "/version")
        review = upstream.request(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            {"spec": {"resourceAttributes": {"verb": "*", "group": "*", "resource": "*"}}},
        )
    except StatusError as error:
        reason = "its credentials are not accepted" if error.code == 401 else str(error)
        raise UpstreamError(
            f"{where} refuses the sandbox: {reason}. Name a context whose user is an "
            "administrator of the cluster."
        ) from None
    if not (review.get("status") or {}).get("allowed"):
        raise UpstreamError(
            f"the user of {where} may not administer the cluster. Bind it to the ClusterRole "
            "cluster-admin (`kubectl create clusterrolebinding`), or name another context."
        )
    return str(version.get("gitVersion", ""))
