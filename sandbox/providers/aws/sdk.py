"""What the installed pulumi_aws SDK knows: which properties a resource type or function has, and its version."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import sys
import threading
from functools import cache

from pulumi._types import input_type_py_to_pulumi_names, resource_pulumi_to_py_names

PROVIDER = "pulumi:providers:aws"
_loading = threading.Lock()  # the SDK loads its modules lazily, in a way that isn't safe in threads before Python 3.12


def version() -> str:
    """The version of the SDK, which is also that of the provider it was generated from."""
    return importlib.metadata.version("pulumi_aws")


@cache
def resource_class(token: str) -> type | None:
    """The SDK's class of a resource type (`aws:ec2/vpc:Vpc`), or None when it has none."""
    package, path, name = token.split(":")
    if token == PROVIDER:
        package, path, name = "aws", "index", "Provider"
    with _loading:
        module = importlib.import_module("pulumi_aws")
        if path.split("/")[0] != "index":
            try:
                module = importlib.import_module(f"pulumi_aws.{path.split('/')[0]}")
            except ImportError:
                return None
        found = getattr(module, name, None)
    return found if package == "aws" and isinstance(found, type) else None


@cache
def arguments_class(token: str) -> type | None:
    """The SDK's class of arguments of a resource type."""
    resource = resource_class(token)
    if resource is None:
        return None
    module = vars(sys.modules[resource.__module__])
    # Where a structure already bears the name, the resource's own arguments are called InitArgs.
    found = module.get(f"{resource.__name__}InitArgs") or module.get(f"{resource.__name__}Args")
    return found if isinstance(found, type) else None


def arguments(token: str, path: tuple[str, ...] = ()) -> frozenset[str]:
    """The names of a resource type's arguments, or of the structure at a path inside them (`("ingress", "0")`)."""
    found = arguments_class(token)
    for key in path:
        if found is not None and not key.isdigit():
            found = _nested(found, key)
    return frozenset(_names(found).values()) if found else frozenset()


@cache
def outputs(token: str) -> frozenset[str]:
    """The names of a resource type's outputs, its inputs among them."""
    found = resource_class(token)
    return frozenset(resource_pulumi_to_py_names(found)) if found else frozenset()


def _names(arguments: type) -> dict[str, str]:
    return input_type_py_to_pulumi_names(arguments)


@cache
def _nested(arguments: type, key: str) -> type | None:
    python = next((name for name, pulumi in _names(arguments).items() if pulumi == key), None)
    if python is None:
        return None
    # The annotation names the structure's class as text, inside types that can't be evaluated from outside.
    annotation = repr(getattr(arguments, python).fget.__annotations__["return"])
    name = re.search(r"'(\w+Args)'", annotation)
    found = vars(sys.modules[arguments.__module__]).get(name[1]) if name else None
    return found if isinstance(found, type) else None
