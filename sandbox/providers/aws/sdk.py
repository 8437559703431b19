"""Reflection on the installed pulumi_aws SDK: properties and version."""

from __future__ import annotations

import importlib
import importlib.metadata
import keyword
import re
import sys
import threading
from functools import cache
from typing import Any

from pulumi._types import input_type_py_to_pulumi_names, resource_pulumi_to_py_names

PROVIDER = "pulumi:providers:aws"
_loading = threading.Lock()  # lazy loading of its modules is not thread-safe before Python 3.12


def version() -> str:
    """Return the version of the SDK and of its provider."""
    return importlib.metadata.version("pulumi_aws")


@cache
def resource_class(token: str) -> type | None:
    """Return the SDK's class of a resource type, or None."""
    package, path, name = token.split(":")
    if token == PROVIDER:
        package, path, name = "aws", "index", "Provider"
    elif path.partition("/")[2].lower() != name.lower():  # aws:ec2/vpc:Vpc
        return None
    cls = _member(path, name)
    return cls if package == "aws" and isinstance(cls, type) else None


def has_function(token: str) -> bool:
    """Whether the SDK has a function (`aws:route53/getZone:getZone`)."""
    _, path, name = token.split(":")
    python = re.sub("([A-Z])", lambda match: f"_{match[1].lower()}", name)
    return _member(path, python) is not None


def _member(path: str, name: str) -> Any:
    """Return a member of the SDK's module of a token's path, or None."""
    module_name = path.split("/", maxsplit=1)[0]
    if keyword.iskeyword(module_name):  # aws:lambda/… is pulumi_aws.lambda_
        module_name += "_"
    with _loading:
        module = importlib.import_module("pulumi_aws")
        if module_name != "index":
            try:
                module = importlib.import_module(f"pulumi_aws.{module_name}")
            except ImportError:
                return None
        return getattr(module, name, None)


@cache
def arguments_class(token: str) -> type | None:
    """Return the SDK's class of a resource type's arguments."""
    resource = resource_class(token)
    if resource is None:
        return None
    module = vars(sys.modules[resource.__module__])
    # InitArgs is the name if a structure already has the other.
    cls = module.get(f"{resource.__name__}InitArgs") or module.get(f"{resource.__name__}Args")
    return cls if isinstance(cls, type) else None


def arguments(token: str, path: tuple[str, ...] = ()) -> frozenset[str]:
    """Return the arguments of a resource type, or of a nested structure (`("ingress", "0")`)."""
    cls = _structure(token, path)
    return frozenset(_names(cls).values()) if cls else frozenset()


def _structure(token: str, path: tuple[str, ...]) -> type | None:
    """Return the class of a type's arguments or of a structure nested in them."""
    cls = arguments_class(token)
    for key in path:
        if cls is not None and not key.isdigit():
            cls = _nested(cls, key)
    return cls


_DEFAULT = re.compile(r"[Dd]efaults?(?: value)?(?: is| to|:)*\s*`([^`]+)`")


def is_default(token: str, path: tuple[str, ...], name: str, value: Any) -> bool:
    """Whether an argument's value is what the type has without it, by the SDK's documentation."""
    cls = _structure(token, path)
    python = next((key for key, pulumi in _names(cls).items() if pulumi == name), "") if cls else ""
    if not python:
        return False
    documented = _DEFAULT.search(getattr(cls, python).fget.__doc__ or "")
    if documented is None:
        return value in (None, False, "", [], {})
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return value is None or text == documented[1].strip('"')


@cache
def outputs(token: str) -> frozenset[str]:
    """Return the output names of a resource type, with its inputs."""
    cls = resource_class(token)
    return frozenset(resource_pulumi_to_py_names(cls)) if cls else frozenset()


def _names(arguments: type) -> dict[str, str]:
    return input_type_py_to_pulumi_names(arguments)


@cache
def _nested(arguments: type, key: str) -> type | None:
    python = next((name for name, pulumi in _names(arguments).items() if pulumi == key), None)
    if python is None:
        return None
    # The annotation is text and contains types that cannot be evaluated here.
    annotation = repr(getattr(arguments, python).fget.__annotations__["return"])
    name = re.search(r"'(\w+Args)'", annotation)
    cls = vars(sys.modules[arguments.__module__]).get(name[1]) if name else None
    return cls if isinstance(cls, type) else None
