"""Images of an engine: which it can run, and pulls from the sandbox's registry."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from docker.errors import APIError, ImageNotFound
from requests.exceptions import RequestException

from sandbox.containers.engine_client import reason
from sandbox.contracts.container_runtime import ContainerError

_ABSENT_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class RegistryAccess:
    """The sandbox's registry; `credentials` returns user and password."""

    host: str
    credentials: Callable[[], tuple[str, str]]


class EngineImages:
    """The images of an engine, which pulls from `registry`."""

    def __init__(self, api: Any, registry: RegistryAccess | None) -> None:
        self._api, self._registry = api, registry
        self._absent: dict[str, float] = {}
        self._present: set[str] = set()

    def can_run(self, reference: str) -> bool:
        """Return whether the image is one of the sandbox's registry, or the engine has it."""
        return self._is_own(reference) or self._has(reference)

    def ensure(self, reference: str) -> dict[str, Any]:
        """Return an image's details, pulled if the engine lacks it. Raises ContainerError."""
        try:
            with contextlib.suppress(ImageNotFound):
                return dict(self._api.inspect_image(reference))
            self._present.discard(reference)
            self._pull(reference)
            return dict(self._api.inspect_image(reference))
        except (APIError, RequestException) as error:
            raise ContainerError(
                "ErrImagePull", f'failed to pull image "{reference}": {reason(error)}'
            ) from None

    def _pull(self, reference: str) -> None:
        options = {}
        if self._registry is not None and self._is_own(reference):
            username, password = self._registry.credentials()
            options = {"auth_config": {"username": username, "password": password}}
        for line in self._api.pull(reference, stream=True, decode=True, **options):
            if "error" in line:
                raise ContainerError(
                    "ErrImagePull", f'failed to pull image "{reference}": {line["error"]}'
                )

    def _is_own(self, reference: str) -> bool:
        return self._registry is not None and reference.startswith(f"{self._registry.host}/")

    def _has(self, reference: str) -> bool:
        if reference in self._present:
            return True
        if time.monotonic() - self._absent.get(reference, -math.inf) < _ABSENT_SECONDS:
            return False
        try:
            self._api.inspect_image(reference)
        except (APIError, RequestException):
            self._absent[reference] = time.monotonic()
            return False
        self._present.add(reference)
        return True
