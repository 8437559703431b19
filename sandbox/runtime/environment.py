"""The environment of the sandbox's processes: the caller's, without access to a real account.

`AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` alone, as a variable or in a file, sends boto3 to real AWS.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from sandbox.engine.loopback import loopback_exemptions

# Variables of a real account, backend or cluster; the sandbox sets its own.
_FOREIGN_PREFIXES = ("AWS_", "PULUMI_")
_FOREIGN = ("KUBECONFIG", "PYTHONPATH", "PYTHONHOME")

# Files of a real account are excluded too: a profile applies where no variable is set.
NO_REAL_ACCOUNT = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}

# Variables that `sandbox env` always unsets.
_ALWAYS_UNSET = (
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
    """Return the caller's variables without foreign ones; proxies stay, loopback is exempt."""
    source = os.environ if environment is None else environment
    variables = {
        key: value
        for key, value in source.items()
        if key not in _FOREIGN and not key.startswith(_FOREIGN_PREFIXES)
    }
    return variables | NO_REAL_ACCOUNT | loopback_exemptions(variables)


def foreign_variables() -> list[str]:
    """Return the variables that `sandbox env` unsets in the calling shell."""
    return sorted({*_ALWAYS_UNSET, *(key for key in os.environ if key.startswith("AWS_"))})
