"""Credentials from a kubeconfig's exec plugin, cached until they expire.

https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

_PLUGIN_SECONDS = 60
# Of credentials without an expiry.
_LIFETIME = timedelta(minutes=5)
# Requests must end before the credentials expire.
_MARGIN = timedelta(seconds=10)


class CredentialPluginError(Exception):
    """The plugin fails; the message says how."""


@dataclass(frozen=True)
class Credentials:
    """A token, or a client certificate with its key in PEM."""

    token: str = ""
    certificate: str = ""
    key: str = ""


class CredentialPlugin:
    """The plugin of a user entry; `cluster` is passed to it, with `provideClusterInfo`.

    A relative command starts at `directory`, that of the kubeconfig.
    """

    def __init__(
        self, entry: Mapping[str, Any], directory: Path, cluster: Mapping[str, Any]
    ) -> None:
        self._entry, self._directory, self._cluster = entry, directory, cluster
        self._lock = threading.Lock()
        self._credentials = Credentials()
        self._renew_at = datetime.min.replace(tzinfo=UTC)

    def credentials(self) -> Credentials:
        """Return valid credentials. Raises CredentialPluginError."""
        with self._lock:
            if datetime.now(UTC) >= self._renew_at:
                self._credentials, self._renew_at = self._run()
            return self._credentials

    def forget(self) -> None:
        """Run the plugin for the next request: the server refuses the credentials."""
        with self._lock:
            self._renew_at = datetime.min.replace(tzinfo=UTC)

    def _run(self) -> tuple[Credentials, datetime]:
        command = str(self._entry.get("command") or "")
        if "/" in command:
            command = str(self._directory / command)
        variables = {item["name"]: str(item["value"]) for item in self._entry.get("env") or ()}
        request = {
            "apiVersion": self._entry.get("apiVersion", "client.authentication.k8s.io/v1"),
            "kind": "ExecCredential",
            "spec": {"interactive": False, **self._cluster_information()},
        }
        try:
            ran = subprocess.run(
                [command, *map(str, self._entry.get("args") or ())],
                env={**os.environ, **variables, "KUBERNETES_EXEC_INFO": json.dumps(request)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=True,
                timeout=_PLUGIN_SECONDS,
            )
            status = json.loads(ran.stdout)["status"]
            credentials = Credentials(
                token=str(status.get("token") or ""),
                certificate=str(status.get("clientCertificateData") or ""),
                key=str(status.get("clientKeyData") or ""),
            )
            expiry = status.get("expirationTimestamp")
            end = datetime.fromisoformat(expiry) - _MARGIN if expiry else None
        except FileNotFoundError:
            hint = str(self._entry.get("installHint") or "").strip()
            raise CredentialPluginError(f"there is no such command. {hint}".strip()) from None
        except subprocess.CalledProcessError as error:
            raise CredentialPluginError(f"it ended with code {error.returncode}") from None
        except subprocess.TimeoutExpired:
            raise CredentialPluginError(f"it did not end within {_PLUGIN_SECONDS} s") from None
        except OSError as error:
            raise CredentialPluginError(str(error.strerror)) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CredentialPluginError("it printed no ExecCredential with a status") from None
        if not credentials.token and not credentials.certificate:
            raise CredentialPluginError("it printed neither a token nor a client certificate")
        return credentials, end or datetime.now(UTC) + _LIFETIME

    def _cluster_information(self) -> dict[str, Any]:
        if not self._entry.get("provideClusterInfo"):
            return {}
        keys = ("server", "tls-server-name", "insecure-skip-tls-verify")
        authority = "certificate-authority-data"
        return {
            "cluster": {
                name: self._cluster[name] for name in (*keys, authority) if name in self._cluster
            }
        }
