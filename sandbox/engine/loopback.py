"""Proxy exemptions: engine, program and providers reach each other on 127.0.0.1 directly."""

from __future__ import annotations

from collections.abc import Mapping

# gRPC reads only the lower-case spelling, some programs only the upper-case one.
_EXEMPTIONS = ("no_proxy", "NO_PROXY")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def loopback_exemptions(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that exempt loopback from the proxies of `environment`."""
    exempt = next((environment[name] for name in _EXEMPTIONS if environment.get(name)), "")
    if exempt.strip() != "*":  # exempts everything, but only as the sole entry
        names = [name.strip() for name in exempt.split(",") if name.strip()]
        exempt = ",".join([*names, *(name for name in _LOOPBACK if name not in names)])
    return dict.fromkeys(_EXEMPTIONS, exempt)
