"""Keeping what is on this machine away from proxies: engine, program and providers speak to each other on 127.0.0.1."""

from __future__ import annotations

from collections.abc import Mapping

# Both spellings are read: the lower one alone by gRPC, and first by most others; the upper one alone by few.
_EXEMPTIONS = ("no_proxy", "NO_PROXY")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def reaching_loopback(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that exempt this machine from the proxies that `environment` may name."""
    exempt = next((environment[name] for name in _EXEMPTIONS if environment.get(name)), "")
    if exempt.strip() != "*":  # that exempts everything, but only while nothing stands beside it
        names = [name.strip() for name in exempt.split(",") if name.strip()]
        exempt = ",".join([*names, *(name for name in _LOOPBACK if name not in names)])
    return dict.fromkeys(_EXEMPTIONS, exempt)
