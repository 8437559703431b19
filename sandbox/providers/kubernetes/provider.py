"""The Kubernetes provider: any API object, with server-side apply, awaits and offline validation.

It emulates pulumi-kubernetes 4 in its default mode. Charts, YAML bundles, patch resources and
client-side apply are refused by name; sandbox/kubernetes/README.md lists the differences.
"""

# ruff: noqa: ARG002 -- the base class names the arguments
from __future__ import annotations

from typing import NoReturn

from sandbox.providers.kubernetes.client import Client
from sandbox.providers.kubernetes.connection import KubernetesConnection
from sandbox.providers.kubernetes.objects import parse_token
from sandbox.providers.property_values import UNKNOWN
from sandbox.providers.protocol import (
    Change,
    Checked,
    Connection,
    Difference,
    Failure,
    Properties,
    Provider,
    plain_difference,
)

_SETTINGS = frozenset(
    [
        "kubeconfig",
        "context",
        "cluster",
        "namespace",
        "clusterIdentifier",
        "enableServerSideApply",
        "deleteUnreachable",
        "skipUpdateUnreachable",
        "suppressDeprecationWarnings",
        "suppressHelmHookWarnings",
        "enableConfigMapMutable",
        "enableSecretMutable",
        "enablePatchForce",
        "upsertExistingObjects",
    ]
)
_UNSUPPORTED = (
    "renderYamlToDirectory",
    "alwaysRender",
    "helmReleaseSettings",
    "kubeClientSettings",
)


class KubernetesProvider(Provider):
    """Creates connections; detects a configuration change that means another cluster."""

    name = "kubernetes"
    version = "4.34.2"
    checks_offline = True

    def connect(self, config: Properties) -> Connection:
        """Return a connection."""
        return KubernetesConnection(config)

    def refuse_component(self, token: str) -> NoReturn:
        """Refuse charts and bundles of helm v4, yaml v2 and kustomize v2, which are components."""
        parse_token(token)
        super().refuse_component(token)

    def check_configuration(self, old: Properties, new: Properties) -> Checked:
        """Refuse settings that are not emulated."""
        failures = [
            (name, f"{name} is not emulated by the sandbox's Kubernetes provider")
            for name in _UNSUPPORTED
            if name in new
        ]
        failures += [
            (name, f"the Kubernetes provider has no setting {name}")
            for name in new
            if name not in _SETTINGS and name not in (*_UNSUPPORTED, "version")
        ]
        if new.get("enableServerSideApply") in (False, "false"):
            failures.append(
                (
                    "enableServerSideApply",
                    "client-side apply is not emulated by the sandbox's Kubernetes provider",
                )
            )
        return Checked(new, failures)

    def diff_configuration(self, old: Properties, new: Properties) -> Difference:
        """Replace on a changed clusterIdentifier or, without one, on a changed server."""
        plain = plain_difference(old, new)
        if "clusterIdentifier" in old or "clusterIdentifier" in new:
            changes = {
                name: Change.UPDATE_REPLACE
                if name == "clusterIdentifier" and _both(old, new, name)
                else change
                for name, change in plain.changes.items()
            }
            return Difference(changes)
        moved = _server(old) != _server(new) and UNKNOWN not in (
            old.get("kubeconfig"),
            new.get("kubeconfig"),
        )
        replacing = {"kubeconfig", "context", "cluster"} if moved else set()
        marks = {
            Change.ADD: Change.ADD_REPLACE,
            Change.DELETE: Change.DELETE_REPLACE,
            Change.UPDATE: Change.UPDATE_REPLACE,
        }
        return Difference(
            {k: marks.get(c, c) if k in replacing else c for k, c in plain.changes.items()}
        )


def _both(old: Properties, new: Properties, name: str) -> bool:
    """Return whether a setting has two values; adopting an identifier replaces nothing."""
    return bool(old.get(name)) and bool(new.get(name)) and UNKNOWN not in (old[name], new[name])


def _server(config: Properties) -> str:
    kubeconfig = config.get("kubeconfig")
    if not kubeconfig or kubeconfig is UNKNOWN:
        return ""
    try:
        return Client(
            kubeconfig, str(config.get("context") or ""), str(config.get("cluster") or "")
        ).server
    except Failure:
        return ""


def provider() -> Provider:
    """Return the provider."""
    return KubernetesProvider()


__all__ = ["KubernetesConnection", "KubernetesProvider", "provider"]
