"""pulumi-eks as a remote component provider: the same children, names and outputs."""

from __future__ import annotations

from sandbox.providers.protocol import Connection, Properties, Provider

NAME = "eks"
VERSION = "4.4.0"
"""The emulated version of pulumi-eks."""


class Eks(Provider):
    """The provider `eks`, which has components only."""

    name = NAME
    version = VERSION

    @property
    def servicer(self) -> type:
        """Return the gRPC service of the components; imported late, because the AWS SDK is slow."""
        from sandbox.providers.eks.servicer import ComponentServicer  # noqa: PLC0415

        return ComponentServicer

    def connect(self, config: Properties) -> Connection:  # noqa: ARG002
        """Return a connection that refuses every resource and function."""
        return Connection()


def provider() -> Eks:
    """Return the provider for `python -m sandbox.providers eks`."""
    return Eks()
