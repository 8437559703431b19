"""The configuration of the bootstrap stack, validated as a whole."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pulumi

REPOSITORY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}")
REPOSITORY_IDS = re.compile(r"(?:\d+/\d+)?")
ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]{0,19}")
PREFIX = re.compile(r"[a-z][a-z0-9-]{1,19}")
# The commercial partition, as settings.types.REGIONS: other partitions have other service names.
REGION = re.compile(r"(?!cn-|us-gov-|us-iso|eu-iso|eusc-)[a-z]{2}(-[a-z]+)+-\d")


class ConfigurationError(Exception):
    """The stack file has invalid values; the message lists each with its command."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """Values of `Pulumi.main.yaml`; Pulumi.yaml describes them."""

    repository: str
    repository_ids: str
    environments: tuple[str, ...]
    region: str
    prefix: str
    oidc_provider_arn: str

    @classmethod
    def load(cls) -> Configuration:
        """Read the stack's configuration. Raises ConfigurationError."""
        config = pulumi.Config()
        configuration = cls(
            repository=config.require("repository"),
            repository_ids=config.get("repository_ids") or "",
            environments=tuple(map(str, config.require_object("environments"))),
            region=config.require("region"),
            prefix=config.require("prefix"),
            oidc_provider_arn=config.get("oidc_provider_arn") or "",
        )
        if problems := configuration.problems():
            raise ConfigurationError(
                f"Pulumi.{pulumi.get_stack()}.yaml has {len(problems)} problems; nothing was "
                "changed:\n  " + "\n  ".join(problems)
            )
        return configuration

    @property
    def subject(self) -> str:
        """First part of the OIDC subject of the repository's workflows.

        https://docs.github.com/en/actions/reference/security/oidc#immutable-subject-claims
        """
        if not self.repository_ids:
            return f"repo:{self.repository}"
        (owner, name), (owner_id, name_id) = (
            text.split("/") for text in (self.repository, self.repository_ids)
        )
        return f"repo:{owner}@{owner_id}/{name}@{name_id}"

    def problems(self) -> list[str]:
        """Return what is invalid, with the command that corrects it."""
        problems = []
        for key, pattern, example in (
            ("repository", REPOSITORY, "example/platform"),
            ("repository_ids", REPOSITORY_IDS, "123456/456789"),
            ("region", REGION, "us-east-1"),
            ("prefix", PREFIX, "platform"),
        ):
            value = getattr(self, key)
            if not pattern.fullmatch(value):
                problems.append(
                    f"{key} is {value!r}; expected is such as {example}: "
                    f"pulumi config set {key} {example}"
                )
        if not self.environments or len(set(self.environments)) != len(self.environments):
            problems.append(
                "environments must list each environment once: "
                "pulumi config set --path 'environments[0]' dev"
            )
        problems += [
            f"environments has {name!r}; expected are lower case letters, digits and hyphens, "
            "such as dev: pulumi config set --path 'environments[0]' dev"
            for name in self.environments
            if not ENVIRONMENT.fullmatch(name)
        ]
        return problems
