"""What CodeBuild's builds get of the other parts: account, registry and PostgreSQL."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.builds import Surroundings, Toolbox
from sandbox.builds.aws_session import OWN_KEY, AwsSession
from sandbox.containers.service_proxy import LocalServiceProxy, local_listeners
from sandbox.databases import programs
from sandbox.databases.errors import ServerError
from sandbox.images import image_cache
from sandbox.runtime.certificate_authority import CertificateAuthority
from sandbox.runtime.home import SOURCE_DIRECTORY, Home, user_cache
from sandbox.runtime.in_build import IN_BUILD

if TYPE_CHECKING:
    from sandbox.account import Account

_POSTGRES_MAJOR = "17"
_LOG = logging.getLogger(__name__)


def build_surroundings(home: Home, account: Account, registry_host: str) -> Surroundings:
    """Return them; the account's URL is read when a build starts."""
    surroundings = surroundings_of(home, lambda: account.url, registry_host)
    return replace(
        surroundings,
        emit=account.emit,
        permits=account.authorize,
        repository=lambda location: _repository(home, location),
    )


def surroundings_of(home: Home, url: Callable[[], str], registry_host: str) -> Surroundings:
    """Return what builds get of an account by its URL."""
    return Surroundings(
        session=lambda region: AwsSession(url(), region, OWN_KEY),
        tools=_toolbox(home, registry_host),
        cache=home.builds / "cache",
        package_cache=user_cache() / "packages",
        host_names=lambda: {**_database_addresses(home), **_load_balancer_addresses(home)},
        load_balancers=lambda: _load_balancer_ports(home),
        authority=lambda: CertificateAuthority(home.certificate_authority).pem,
        # A clone may be below /tmp, with its virtual environment.
        visible=(home.path, user_cache(), SOURCE_DIRECTORY, Path(sys.prefix)),
    )


def _repository(home: Home, location: str) -> Path | None:
    """Return the repository that stands in for https://github.com/OWNER/NAME.git, if it exists."""
    name = "/".join(location.removesuffix(".git").split("/")[-2:])
    path = home.repositories / f"{name}.git"
    return path if path.exists() else None


def _database_addresses(home: Home) -> dict[str, str]:
    try:
        addresses: dict[str, str] = json.loads((home.databases / "addresses.json").read_text())
    except FileNotFoundError:
        return {}
    return addresses


def _load_balancer_ports(home: Home) -> dict[str, int]:
    listeners = local_listeners(home.service_proxy, ready=False)
    return {listener: local.port for listener, local in listeners.items()}


def _load_balancer_addresses(home: Home) -> dict[str, str]:
    """Return the addresses of the Services behind load balancers, as pods have them."""
    hosts = {listener.rpartition(":")[0] for listener in _load_balancer_ports(home)}
    names = LocalServiceProxy(home.service_proxy).host_names()
    return {name: address for name, address in names.items() if name in hosts}


def _toolbox(home: Home, registry_host: str) -> Toolbox:
    return Toolbox(
        directory=home.builds / "tools",
        cache=user_cache() / "environments",
        postgres=_postgres,
        sandbox=_sandbox_variables(home),
        docker=lambda: {
            "SANDBOX_HOME": str(home.path),
            "SANDBOX_IMAGE_CACHE": str(image_cache()),
            "SANDBOX_REGISTRY": registry_host,
        },
    )


def _sandbox_variables(home: Home) -> dict[str, str]:
    """Return the variables of `sandbox` in builds, whose HOME has no Pulumi CLI."""
    engine = {name: os.environ[name] for name in ("SANDBOX_ENGINE",) if name in os.environ}
    cache = {"XDG_CACHE_HOME": str(user_cache().parent)}
    return {"SANDBOX_HOME": str(home.path), IN_BUILD: "1", **cache, **engine}


def _postgres() -> Path | None:
    """Return the directory of PostgreSQL's programs, or None if they cannot be downloaded."""
    try:
        return programs.select(_POSTGRES_MAJOR).directory
    except ServerError as error:
        _LOG.warning("builds have no PostgreSQL: %s", error.reason)
        return None
