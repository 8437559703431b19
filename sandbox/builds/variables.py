"""Environment variables of a build.

Source: CodeBuild User Guide, "Environment variables in build environments".
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from sandbox.builds.aws_session import AwsSession
from sandbox.builds.buildspec import Buildspec
from sandbox.builds.errors import PhaseError
from sandbox.builds.sources import Sources
from sandbox.contracts.build_record import log_location
from sandbox.contracts.build_runner import BuildOrder
from sandbox.engine.loopback import loopback_exemptions

# The machine's variables that its network and package indexes need; everything else is private.
_NETWORK = (
    *(f"{name}_proxy" for name in ("http", "https", "no", "all")),
    *(f"{name}_PROXY" for name in ("HTTP", "HTTPS", "NO", "ALL")),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "TZ"),
)
_NETWORK_PREFIXES = ("PIP_", "UV_", "NPM_CONFIG_", "npm_config_")
_NOT_PASSED = (
    "PIP_CACHE_DIR",
    "UV_CACHE_DIR",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_USER",
    "UV_PROJECT_ENVIRONMENT",
)
# Load balancers and databases of the emulated account.
_ACCOUNT_NAMES = ".amazonaws.com"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def machine_variables() -> dict[str, str]:
    """Return the variables of this machine's network; proxies are not used for the account."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if (name in _NETWORK or name.startswith(_NETWORK_PREFIXES)) and name not in _NOT_PASSED
    }
    exempt = {
        name: value if value.strip() == "*" else f"{value},{_ACCOUNT_NAMES}"
        for name, value in loopback_exemptions(variables).items()
    }
    return variables | exempt


def package_caches(directory: Path) -> dict[str, str]:
    """Return the variables of shared downloads; AWS's builds have a fast mirror instead."""
    return {"PIP_CACHE_DIR": str(directory / "pip"), "UV_CACHE_DIR": str(directory / "uv")}


def account_variables(session: AwsSession) -> dict[str, str]:
    """Return the variables that direct AWS clients to the sandbox, with the build's credentials."""
    return {
        "AWS_ENDPOINT_URL": session.url,
        "AWS_REGION": session.region,
        "AWS_DEFAULT_REGION": session.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        **session.credentials,
    }


def build_variables(order: BuildOrder, sources: Sources, started: float) -> dict[str, str]:
    """Return CodeBuild's own variables."""
    source = order.project["source"]
    variables = {
        "CI": "true",
        "CODEBUILD_CI": "true",
        "CODEBUILD_BUILD_ARN": order.arn,
        "CODEBUILD_BUILD_ID": order.id,
        "CODEBUILD_BUILD_IMAGE": order.project["environment"]["image"],
        "CODEBUILD_BUILD_NUMBER": str(order.number),
        "CODEBUILD_BUILD_SUCCEEDING": "1",
        "CODEBUILD_INITIATOR": order.initiator,
        "CODEBUILD_KMS_KEY_ID": order.project.get("encryptionKey") or "",
        "CODEBUILD_LOG_PATH": log_location(order).get("streamName") or "",
        "CODEBUILD_PROJECT_NAME": order.project["name"],
        "CODEBUILD_RESOLVED_SOURCE_VERSION": sources.resolved_version,
        "CODEBUILD_SOURCE_REPO_URL": source.get("location") or "",
        "CODEBUILD_SOURCE_VERSION": sources.version,
        "CODEBUILD_SRC_DIR": str(sources.primary),
        "CODEBUILD_START_TIME": str(int(started * 1000)),
        **order.variables,
    }
    for identifier, directory in sources.secondary.items():
        variables[f"CODEBUILD_SRC_DIR_{identifier}"] = str(directory)
    return variables


class UserVariables:
    """Variables of buildspec and project, the project's first; `mask` gets secret values."""

    def __init__(self, session: AwsSession, mask: Callable[[list[str]], None]) -> None:
        self._session, self._mask = session, mask

    def resolve(self, buildspec: Buildspec, environment: Mapping[str, Any]) -> dict[str, str]:
        """Return all variables. Raises PhaseError for a parameter or secret without a value."""
        variables = dict(buildspec.env.variables)
        stores = {
            **dict.fromkeys(buildspec.env.parameter_store, "PARAMETER_STORE"),
            **dict.fromkeys(buildspec.env.secrets_manager, "SECRETS_MANAGER"),
        }
        references = {**buildspec.env.parameter_store, **buildspec.env.secrets_manager}
        for item in environment.get("environmentVariables") or ():
            name, kind = item["name"], item.get("type", "PLAINTEXT")
            stores.pop(name, None)
            if kind == "PLAINTEXT":
                variables[name] = item["value"]
            else:
                stores[name], references[name] = kind, item["value"]
        for name, store in stores.items():
            read = self._parameter if store == "PARAMETER_STORE" else self._secret
            variables[name] = read(references[name])
            self._mask([variables[name]])
        return variables

    def _parameter(self, name: str) -> str:
        try:
            response = self._session.client("ssm").get_parameter(Name=name, WithDecryption=True)
        except ClientError as error:
            raise PhaseError("Decrypted Variables Error", _text(error, name)) from None
        return str(response["Parameter"]["Value"])

    def _secret(self, reference: str) -> str:
        """Return a secret, or one key of it: SECRET:JSON-KEY:VERSION-STAGE:VERSION-ID."""
        id, key, stage, version = split_secret_reference(reference)
        arguments = {"SecretId": id}
        if stage:
            arguments["VersionStage"] = stage
        if version:
            arguments["VersionId"] = version
        try:
            response = self._session.client("secretsmanager").get_secret_value(**arguments)
        except ClientError as error:
            raise PhaseError("Secrets Manager Error", _text(error, id)) from None
        text = str(response.get("SecretString", ""))
        if not key:
            return text
        try:
            content = json.loads(text)
            value = content[key]
        except (ValueError, KeyError, TypeError):
            raise PhaseError(
                "Secrets Manager Error", f"{key} is no key of the JSON in secret {id}"
            ) from None
        return value if isinstance(value, str) else json.dumps(value)


def split_secret_reference(reference: str) -> tuple[str, str, str, str]:
    """Return secret (name or ARN), JSON key, version stage and version ID."""
    parts = reference.split(":")
    count = 7 if reference.startswith("arn:") else 1
    key, stage, version = [*parts[count:], "", "", ""][:3]
    return ":".join(parts[:count]), key, stage, version


def _text(error: ClientError, name: str) -> str:
    return f"{error.response['Error']['Code']}: {error.response['Error']['Message']} ({name})"


def private_directories(directory: Path, *, own_tmp: bool) -> dict[str, str]:
    """Create the build's HOME, and its TMPDIR where /tmp is shared; return the variables."""
    home = directory / "home"
    home.mkdir(parents=True)
    variables = {"HOME": str(home), "LANG": "C.UTF-8", "USER": "root"}
    if not own_tmp:
        variables["TMPDIR"] = str(directory / "tmp")
    return variables
