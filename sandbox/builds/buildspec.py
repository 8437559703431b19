"""Buildspecs, version 0.2 and 0.1.

Source: CodeBuild User Guide, "Build specification reference".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sandbox.builds.errors import PhaseError

PHASES = ("install", "pre_build", "build", "post_build")
# The C library has the messages that AWS's parser has.
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_SHELLS = {"bash": "bash", "/bin/sh": "/bin/sh", "sh": "/bin/sh"}
_ON_FAILURE = re.compile(r"(ABORT|CONTINUE|RETRY)|RETRY-(\d+)(?:-(.+))?|RETRY-(.+)")


def _error(message: str) -> PhaseError:
    return PhaseError("YAML_FILE_ERROR", message)


def _flag(value: Any) -> bool:
    if value in ("yes", "true", "on"):
        return True
    if value in ("no", "false", "off", ""):
        return False
    raise ValueError("must be yes or no")


def _shell(value: str) -> str:
    if value not in _SHELLS:
        raise ValueError(f"unknown shell {value}; the supported shells are bash and /bin/sh")
    return _SHELLS[value]


def _on_failure(value: str) -> str:
    if not _ON_FAILURE.fullmatch(value):
        raise ValueError(f"invalid value {value}; use ABORT, CONTINUE, RETRY or RETRY-count")
    return value


_Model = TypeVar("_Model", bound=BaseModel)
Flag = Annotated[bool, BeforeValidator(_flag)]
# AWS's examples also have a single file, such as `files: imagedefinitions.json`.
Files = Annotated[
    list[str], BeforeValidator(lambda value: [value] if type(value) is str else value)
]
Mode = Annotated[str, AfterValidator(_on_failure)]


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=lambda name: name.replace("_", "-"),
        validate_by_alias=True,
        validate_by_name=False,
    )


class Environment(_Section):
    """Variables of the build."""

    shell: Annotated[str, AfterValidator(_shell)] = "/bin/sh"
    variables: dict[str, str] = {}
    parameter_store: dict[str, str] = {}
    secrets_manager: dict[str, str] = {}
    exported_variables: list[str] = []
    git_credential_helper: Flag = False


class Phase(_Section):
    """Commands of a phase."""

    run_as: str = ""
    on_failure: Mode = ""
    runtime_versions: dict[str, str] = {}
    commands: list[str] = []
    finally_: list[str] = Field(default=[], alias="finally")


class ArtifactSet(_Section):
    """Files of an artifact."""

    files: Files
    name: str = ""
    base_directory: str = ""
    discard_paths: Flag = False
    exclude_paths: list[str] = []
    enable_symlinks: Flag = False
    s3_prefix: str = ""


class Artifacts(ArtifactSet):
    """Files of the primary artifact, and the secondary ones by identifier."""

    files: Files = []
    secondary_artifacts: dict[str, ArtifactSet] = {}


class Report(_Section):
    """Test results."""

    files: list[str]
    base_directory: str = ""
    discard_paths: Flag = False
    file_format: Literal[
        "JUNITXML", "CUCUMBERJSON", "TESTNGXML", "NUNITXML", "NUNIT3XML", "VISUALSTUDIOTRX",
        "CLOVERXML", "COBERTURAXML", "JACOCOXML", "LCOV", "SIMPLECOV",
    ] = "JUNITXML"  # fmt: skip


class Cache(_Section):
    """Paths that are kept for the next build."""

    paths: list[str] = []
    key: str = ""
    fallback_keys: list[str] = []
    action: Literal["default", "save", "restore"] = "default"


class TaskEnvironment(_Section):
    """What a task of a batch overrides."""

    type: str = ""
    image: str = ""
    compute_type: str = ""
    privileged_mode: Flag = False
    variables: dict[str, str] = {}


class Task(_Section):
    """A build of a batch."""

    identifier: str = ""
    buildspec: str = ""
    debug_session: Flag = False
    depend_on: list[str] = []
    env: TaskEnvironment = TaskEnvironment()
    ignore_failure: Flag = False


class MatrixEnvironment(_Section):
    """Values that a matrix combines."""

    image: list[str] = []
    compute_type: list[str] = []
    variables: dict[str, list[str]] = {}


class MatrixStatic(_Section):
    """Values of all builds of a matrix."""

    env: TaskEnvironment = TaskEnvironment()
    ignore_failure: Flag = False


class MatrixDynamic(_Section):
    """Dimensions of a matrix."""

    buildspec: list[str] = []
    env: MatrixEnvironment = MatrixEnvironment()


class Matrix(_Section):
    """A build for each combination of values."""

    static: MatrixStatic = MatrixStatic()
    dynamic: MatrixDynamic


class Batch(_Section):
    """The builds of a batch: exactly one kind."""

    fast_fail: Flag = False
    build_graph: list[Task] = []
    build_list: list[Task] = []
    build_matrix: Matrix | None = None
    build_fanout: dict[str, Any] = {}

    def model_post_init(self, _context: Any) -> None:
        """Refuse what the sandbox does not emulate, and other than one kind."""
        if self.build_fanout:
            raise ValueError("build-fanout is not emulated by the sandbox; use build-list")
        kinds = [self.build_graph, self.build_list, self.build_matrix]
        if sum(bool(kind) for kind in kinds) != 1:
            raise ValueError("batch must have one of build-graph, build-list and build-matrix")


class Buildspec(_Section):
    """A buildspec."""

    version: Literal["0.1", "0.2"]
    run_as: str = ""
    env: Environment = Environment()
    proxy: dict[str, Any] = {}
    batch: dict[str, Any] = {}
    """Used by StartBuildBatch only, as on AWS."""
    phases: dict[Literal["install", "pre_build", "build", "post_build"], Phase]
    reports: dict[str, Report] = {}
    artifacts: Artifacts | None = None
    cache: Cache = Cache()

    def model_post_init(self, _context: Any) -> None:
        """Refuse what the sandbox does not emulate."""
        if self.proxy:
            raise ValueError("proxy is not emulated by the sandbox; remove it")

    def phase(self, name: str) -> Phase:
        """Return a phase, which has no commands if the buildspec lacks it."""
        return self.phases.get(name, Phase())  # type: ignore[call-overload,no-any-return]


def text_of(project: Mapping[str, Any], source: Path) -> tuple[str, Path | None]:
    """Return a project's buildspec, and its file if it is one of the source. Raises PhaseError."""
    text = str(project["source"].get("buildspec") or "buildspec.yml")
    if "\n" in text.strip():
        return text, None
    path = source / text.strip()
    if not path.is_file():
        raise PhaseError("YAML_FILE_ERROR", f"stat {path}: no such file or directory")
    return path.read_text(errors="replace"), path


def parse(text: str) -> Buildspec:
    """Parse a buildspec. Raises PhaseError with the code YAML_FILE_ERROR."""
    return _validate(Buildspec, _load(text))


def parse_batch(text: str) -> Batch:
    """Parse the `batch` of a buildspec. Raises PhaseError with the code YAML_FILE_ERROR."""
    content = _load(text).get("batch")
    if not content:
        raise _error("the buildspec has no batch")
    return _validate(Batch, content)


def _validate(model: type[_Model], content: Any) -> _Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise _error("; ".join(_describe(item) for item in error.errors())) from None


def _load(text: str) -> dict[str, Any]:
    try:
        # Every scalar is text, so that the version 3.10 is not 3.1.
        content = yaml.load(text, _LOADER)  # noqa: S506 - a safe loader
        _refuse_subkeys(yaml.compose(text, _LOADER))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise _error(f"{error.problem} at line {line}") from None
    except yaml.YAMLError as error:
        raise _error(str(error)) from None
    if not isinstance(content, Mapping):
        raise _error("the buildspec must be a mapping with the keys version and phases")
    content = dict(_without_empty(dict(content)))
    if content.get("version") == "0.1":
        _translate_0_1(content)
    return content


def _refuse_subkeys(node: Any, key: str = "") -> None:
    """Refuse a command that YAML reads as a mapping, with AWS's message."""
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            _refuse_subkeys(value, name.value)
    elif isinstance(node, yaml.SequenceNode) and key in {"commands", "finally"}:
        for number, item in enumerate(node.value):
            if not isinstance(item, yaml.ScalarNode):
                line = item.start_mark.line + 1
                raise _error(
                    f"Expected Commands[{number}] to be of string type: found subkeys instead at "
                    f"line {line}, value of the key tag on line {line - 1} might be empty"
                )


def _translate_0_1(content: dict[str, Any]) -> None:
    """Rename the keys of version 0.1. Source: buildspec reference, "Buildspec versions"."""
    variables = content.pop("environment_variables", None)
    if isinstance(variables, dict):
        content["env"] = {"variables": variables.get("plaintext") or {}}
    if isinstance(content.get("artifacts"), dict):
        content["artifacts"].pop("type", None)


def _without_empty(content: Any) -> Any:
    """Drop keys without a value, which AWS treats as absent; keep empty variables."""
    if not isinstance(content, dict):
        return content
    return {
        key: value if key in {"variables"} else _without_empty(value)
        for key, value in content.items()
        if value != "" or key == "version"
    }


def _describe(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"] if part != "[key]")
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key {place}"
        case "missing":
            return f"missing key {place}"
        case "literal_error":
            return f"invalid value {error['input']} at {place}: {error['msg']}"
        case "value_error":
            text = str(error["ctx"]["error"])
            return f"{text} at {place}" if place else text
    return f"{place}: {error['msg']}"


def retries(on_failure: str) -> tuple[int, re.Pattern[str] | None]:
    """Return how often `on-failure` retries a phase, and what its output must match.

    Source: buildspec reference: RETRY retries three times, RETRY-count at most 100 times.
    """
    if not on_failure.startswith("RETRY"):
        return 0, None
    count, pattern = 3, on_failure.removeprefix("RETRY").removeprefix("-")
    if numbered := re.match(r"(\d+)(?:-|$)", pattern):
        count, pattern = min(int(numbered[1]), 100), pattern[numbered.end() :]
    return count, re.compile(pattern) if pattern else None
