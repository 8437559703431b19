"""The configuration of the bootstrap stack, validated as a whole."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pulumi

REPOSITORY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}")
ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]{0,19}")
PREFIX = re.compile(r"[a-z][a-z0-9-]{1,19}")
REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


class ConfigurationError(Exception):
    """The stack file has invalid values; the message lists each with its command."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """Values of `Pulumi.main.yaml`; Pulumi.yaml describes them."""

    repository: str
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

    def problems(self) -> list[str]:
        """Return what is invalid, with the command that corrects it."""
        problems = []
        for key, pattern, example in (
            ("repository", REPOSITORY, "example/platform"),
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
