"""Files of executions: one JSON document each, replaced atomically."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from sandbox.pipelines.records import Execution

_LOG = logging.getLogger(__name__)


class ExecutionStore:
    """Executions in `directory`: REGION/PIPELINE/ID.json."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def save(self, execution: Execution) -> None:
        """Write an execution; a reader sees the old or the new document."""
        path = self._folder(execution.pipeline_arn) / f"{execution.id}.json"
        partial = path.with_suffix(".partial")
        try:
            partial.write_text(execution.model_dump_json())
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial.write_text(execution.model_dump_json())
        os.replace(partial, path)  # noqa: PTH105 - the atomic system call, named

    def load(self, pipeline_arn: str) -> Iterator[Execution]:
        """Yield a pipeline's executions in order; skip and report an unreadable one."""
        executions = []
        for path in self._folder(pipeline_arn).glob("*.json"):
            try:
                executions.append(Execution.model_validate_json(path.read_text()))
            except ValidationError as error:
                _LOG.error("%s is not an execution and is ignored: %s", path, error)
        yield from sorted(executions, key=lambda execution: execution.number)

    def delete(self, pipeline_arn: str) -> None:
        """Delete a pipeline's executions."""
        shutil.rmtree(self._folder(pipeline_arn), ignore_errors=True)

    def keep(self, pipeline_arns: set[str]) -> None:
        """Delete the executions of all other pipelines."""
        folders = {self._folder(arn) for arn in pipeline_arns}
        for folder in self._directory.glob("*/*"):
            if folder not in folders:
                shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, pipeline_arn: str) -> Path:
        parts = pipeline_arn.split(":")
        return self._directory / parts[3] / parts[5]
