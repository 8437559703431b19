"""Typed configuration of a stack; the only reader of `pulumi.Config`."""

from settings.errors import Problem, SettingsError
from settings.load import SECRET, load, parse, secrets, service_secrets
from settings.sections import Settings

__all__ = [
    "SECRET",
    "Problem",
    "Settings",
    "SettingsError",
    "load",
    "parse",
    "secrets",
    "service_secrets",
]
