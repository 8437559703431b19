"""An emulated AWS account: moto with validation, references, provisioning and a journal."""

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
