"""The variables of the sandbox's processes: the caller's, without anything that leads out of the sandbox.

A variable or a file of a real account must never reach what talks to AWS here: one of them
(`AWS_IGNORE_CONFIGURED_ENDPOINT_URLS`) is enough for boto3 to leave the emulated account for the real one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from sandbox.engine.loopback import reaching_loopback

# Whose variables belong to a real account, another backend or another cluster; the sandbox sets its own.
_FOREIGN_PREFIXES = ("AWS_", "PULUMI_")
_FOREIGN = ("KUBECONFIG", "PYTHONPATH", "PYTHONHOME")

# No file of a real account either: a profile's settings count where no variable is set.
NO_REAL_ACCOUNT = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}

# What `env` takes out of a shell, whether or not it is set there when it is asked.
FOREIGN_SETTINGS = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_CA_BUNDLE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "PULUMI_ACCESS_TOKEN",
    "PULUMI_CONFIG_PASSPHRASE",
)


def clean_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's variables without those that lead out of the sandbox; proxies stay, for what isn't on this machine."""
    source = os.environ if environment is None else environment
    kept = {
        key: value for key, value in source.items() if key not in _FOREIGN and not key.startswith(_FOREIGN_PREFIXES)
    }
    return kept | NO_REAL_ACCOUNT | reaching_loopback(kept)


def foreign_settings() -> list[str]:
    """What `env` has to take out of the shell that it is called in."""
    set_here = {key for key in os.environ if key.startswith("AWS_")}
    return sorted({*FOREIGN_SETTINGS, *set_here})
