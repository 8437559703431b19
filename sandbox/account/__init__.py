"""An emulated AWS account: moto behind a layer that validates, remembers, refuses and survives."""

from sandbox.account.core.journal import JournalError
from sandbox.account.server import Account
from sandbox.contracts.cluster_host import (
    ClusterEndpoint,
    ClusterFacts,
    ClusterHost,
    Grant,
    NodeFacts,
    PrincipalLookup,
    Taint,
    UnknownPrincipalError,
)

__all__ = [
    "Account",
    "ClusterEndpoint",
    "ClusterFacts",
    "ClusterHost",
    "Grant",
    "JournalError",
    "NodeFacts",
    "PrincipalLookup",
    "Taint",
    "UnknownPrincipalError",
]
