"""Connections to pods: logs, exec (and cp), attach and port-forward."""

from __future__ import annotations

from sandbox.contracts.container_runtime import ContainerError
from sandbox.kubernetes.apimachinery import errors
from sandbox.kubernetes.apiserver import port_forward
from sandbox.kubernetes.apiserver.messages import (
    ApiRequest,
    ApiResponse,
    ExecSession,
    PortForwardSession,
    RemoteProcess,
    Target,
    TextStream,
)
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.storage.object_store import Json

SUBRESOURCES = ("log", "exec", "attach", "portforward", "proxy")


def connect(
    cluster: Cluster, request: ApiRequest, target: Target
) -> ApiResponse | TextStream | ExecSession | PortForwardSession:
    """Handle a connection to a pod. Raises ApiError."""
    pod = cluster.api.get(target.kind, target.namespace, target.name)
    kubelet = cluster.controllers.kubelet
    uid = str(pod["metadata"]["uid"])
    if not kubelet.runs(uid):
        raise _not_running(pod)
    if target.subresource == "portforward":
        return PortForwardSession(connect=port_forward.connect_to(kubelet.address(uid)))
    if target.subresource == "proxy":
        raise errors.ApiError(
            501,
            "NotImplemented",
            "the sandbox does not emulate proxy; `kubectl port-forward` reaches the pod's ports",
        )
    container = _container(pod, request.query.get("container", ""))
    try:
        if target.subresource == "log":
            return TextStream(kubelet.log(uid, container, request.query))
        if target.subresource == "attach":
            return _session(request, kubelet.attach(uid, container))
    except LookupError as error:
        raise errors.bad_request(str(error)) from None
    return _exec(cluster, request, uid, container)


def _session(request: ApiRequest, process: RemoteProcess) -> ExecSession:
    streams = {name for name in ("stdin", "stdout", "stderr") if request.flag(name)}
    if request.flag("tty"):
        streams = (streams - {"stderr"}) | {"resize"}
    return ExecSession(process=process, stdin=request.flag("stdin"), streams=frozenset(streams))


def _exec(cluster: Cluster, request: ApiRequest, uid: str, container: str) -> ExecSession:
    command = request.query_values.get("command", ())
    if not command:
        raise errors.bad_request("you must specify at least one command for the container")
    try:
        process = cluster.controllers.kubelet.exec(uid, container, command, tty=request.flag("tty"))
    except (ContainerError, LookupError) as error:
        raise errors.ApiError(500, "InternalError", str(error)) from None
    return _session(request, process)


def _container(pod: Json, name: str) -> str:
    names = [
        item["name"]
        for part in ("containers", "initContainers")
        for item in pod["spec"].get(part) or ()
    ]
    if name and name not in names:
        raise errors.bad_request(f"container {name} is not valid for pod {pod['metadata']['name']}")
    if not name and len(pod["spec"]["containers"]) > 1:
        raise errors.bad_request(
            f"a container name must be specified for pod {pod['metadata']['name']}, choose one "
            f"of: [{' '.join(names)}]"
        )
    return name or names[0]


def _not_running(pod: Json) -> errors.ApiError:
    name = pod["metadata"]["name"]
    images = ", ".join(sorted({item["image"] for item in pod["spec"]["containers"]}))
    return errors.ApiError(
        404,
        "NotFound",
        f'pod "{name}" does not run: the sandbox runs images that it built, and this pod has '
        f"{images}",
        {"name": name, "kind": "pods"},
    )
