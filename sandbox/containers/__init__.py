"""Runs pods in a container engine or as processes; serves Services and pod identity on loopback."""

from sandbox.containers.engine_images import RegistryAccess
from sandbox.containers.engine_runtime import EngineRuntime
from sandbox.containers.pod_identity import PodIdentityAgent
from sandbox.containers.process_runtime import ProcessRuntime
from sandbox.containers.service_proxy import LocalServiceProxy, load_balancer_ports

__all__ = [
    "EngineRuntime",
    "LocalServiceProxy",
    "PodIdentityAgent",
    "ProcessRuntime",
    "RegistryAccess",
    "load_balancer_ports",
]
