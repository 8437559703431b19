"""The stack file of one run: the project's, with the run's overrides and the sandbox's secrets.

The project's `Pulumi.<stack>.yaml` is never written. A value encrypted for a real environment
(`secure:`) cannot be read here; a secret stand-in replaces it, and a note names it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sandbox.engine.state.passphrase import PassphraseSecrets
from sandbox.runtime.home import Home

# Written by `pulumi stack init --secrets-provider` for a real environment.
SECRETS_KEYS = ("secretsprovider", "encryptedkey", "encryptionsalt")

# Far above any real file; below what exhausts memory or the interpreter's stack.
MAX_NESTING = 60
MAX_NODES = 50_000


class StackFileError(Exception):
    """A stack or its file is unusable; the message names file, reason and remedy."""


class OverrideError(StackFileError):
    """An invalid `-c KEY=VALUE`."""


class UnknownStackError(StackFileError):
    """The project has no such stack file."""


@dataclass(frozen=True)
class StackFile:
    """The stack file of a run, its AWS region, and notes for the user."""

    path: Path
    region: str
    notes: tuple[str, ...] = ()


def stack_names(project: Path) -> list[str]:
    """Return the stacks that the project has files for."""
    files = project.glob("Pulumi.?*.yaml")
    return sorted(file.name.removeprefix("Pulumi.").removesuffix(".yaml") for file in files)


def project_name(project: Path) -> str:
    """Return `name` of `Pulumi.yaml`."""
    return str(_load_mapping(project / "Pulumi.yaml").get("name", ""))


def prepare(
    home: Home, project: Path, stack: str, overrides: Sequence[str] = (), *, salt: str | None = None
) -> StackFile:
    """Write the run's stack file under the sandbox's home.

    `overrides` are `KEY=VALUE`. A key may have dots and indices (`platform:network.zones=3`); one
    without a namespace belongs to the project. A value is secret when a section's `secrets` lists
    its key, or when it is `{secure: VALUE}`. `salt` is the one that the stack's state uses.
    Raises UnknownStackError, OverrideError or StackFileError.
    """
    source = project / f"Pulumi.{stack}.yaml"
    stacks = stack_names(project)
    if not source.is_file() or stack not in stacks:
        raise UnknownStackError(
            f"there is no stack {stack!r}: Pulumi.{stack}.yaml does not exist. "
            f"Stacks of this project: {', '.join(stacks) or 'none'}."
        )
    content = _load_mapping(source)
    config = content.get("config") or {}
    if not isinstance(config, dict):
        raise StackFileError(
            f"{source.name}: `config` must be a mapping of keys to values, not "
            f"{type(config).__name__}."
        )
    namespace = project_name(project)
    notes: list[str] = []
    for key in SECRETS_KEYS:
        content.pop(key, None)
    config = _replace_secure_values(config, home.passphrase(), source.name, notes)
    original = dict(config)
    for override in overrides:
        _override(config, override, namespace)
    changed = {key for key, value in config.items() if original.get(key) is not value}
    for key in changed & _secret_keys(config, namespace):
        if isinstance(config[key], str | int | float):
            config[key] = {"secure": str(config[key])}
    previous, target = home.stack_file(stack), home.stack_file(stack, overrides)
    # The salt belongs to the sandbox's passphrase and stays from run to run.
    if salt is None and previous.is_file():
        salt = _load_mapping(previous).get("encryptionsalt")
    if _has_secure(config):
        secrets = PassphraseSecrets(home.passphrase(), salt)
        config, salt = _encrypt(config, secrets), secrets.state
    content["config"] = config
    if salt:
        content["encryptionsalt"] = salt
    home.prepare()
    target.parent.mkdir(mode=0o700, exist_ok=True)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.new")
    temporary.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    temporary.chmod(0o600)
    temporary.replace(target)
    return StackFile(path=target, region=_region(config, namespace), notes=tuple(notes))


def _region(config: dict[str, Any], namespace: str) -> str:
    section = config.get(f"{namespace}:aws")
    if isinstance(section, dict) and isinstance(section.get("region"), str):
        return str(section["region"])
    region = config.get("aws:region")
    return region if isinstance(region, str) else "us-east-1"


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses what the Pulumi CLI or the interpreter cannot handle.

    Duplicate keys (one value would be lost), keys that are not text, recursive anchors, and sizes
    beyond MAX_NESTING and MAX_NODES after aliases are expanded.
    """

    def get_single_data(self) -> Any:
        node = self.get_single_node()
        if node is None:
            return None
        self._check(node, ())
        return self.construct_document(node)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth = getattr(self, "_depth", 0) + 1
        if self._depth > MAX_NESTING:
            raise _not_loadable(f"nested more than {MAX_NESTING} levels deep", self.peek_event())  # type: ignore[no-untyped-call]
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def _check(self, node: yaml.Node, ancestors: tuple[yaml.Node, ...]) -> None:
        self._nodes = getattr(self, "_nodes", 0) + 1
        if any(node is ancestor for ancestor in ancestors):
            raise _not_loadable("an anchor contains itself", node)
        if self._nodes > MAX_NODES or len(ancestors) > MAX_NESTING:
            raise _not_loadable(f"more than {MAX_NODES} values after aliases are expanded", node)
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self._check(item, (*ancestors, node))
        elif isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                if key.tag == "tag:yaml.org,2002:merge":
                    pass
                elif key.tag != "tag:yaml.org,2002:str":
                    text = key.value if isinstance(key, yaml.ScalarNode) else key.id
                    raise _not_loadable(f"the key {text or 'null'!r} is not text; quote it", key)
                elif key.value in keys:
                    raise _not_loadable(f"the key {key.value!r} occurs twice", key)
                keys.add(str(key.value))
                self._check(value, (*ancestors, node))


def _not_loadable(problem: str, place: yaml.Node | yaml.Event) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)  # type: ignore[arg-type]


def _load_mapping(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except FileNotFoundError:
        raise StackFileError(f"{file.name} does not exist in {file.parent}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise StackFileError(f"{file.name}{line}: not valid YAML: {problem}.") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise StackFileError(
            f"{file.name}: the top level must be a mapping, not {type(content).__name__}."
        )
    return content


def _has_secure(value: Any) -> bool:
    if isinstance(value, dict):
        return set(value) == {"secure"} or any(_has_secure(item) for item in value.values())
    return isinstance(value, list) and any(_has_secure(item) for item in value)


def _replace_secure_values(
    config: dict[str, Any], passphrase: str, source: str, notes: list[str]
) -> dict[str, Any]:
    """Replace each encrypted value by one derived from its key, the same in every run."""

    def replace(value: Any, path: str) -> Any:
        if isinstance(value, dict):
            if set(value) == {"secure"}:
                notes.append(
                    f"{path} is encrypted for a real environment in {source}; "
                    "the sandbox uses a stand-in."
                )
                key = passphrase.encode()[:64]
                digest = hashlib.blake2b(path.encode(), key=key, digest_size=12)
                return {"secure": f"sandbox-{digest.hexdigest()}"}
            return {
                key: replace(item, f"{path}.{key}" if path else str(key))
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [replace(item, f"{path}[{index}]") for index, item in enumerate(value)]
        return value

    return {key: replace(value, str(key)) for key, value in config.items()}


def _secret_keys(config: dict[str, Any], namespace: str) -> set[str]:
    """Return the keys that a `secrets` list of the project's sections names."""
    sections = [
        value
        for key, value in config.items()
        if key.startswith(f"{namespace}:") and isinstance(value, dict)
    ]
    lists = [section["secrets"] for section in sections if isinstance(section.get("secrets"), list)]
    return {f"{namespace}:{name}" for names in lists for name in names}


def _encrypt(value: Any, secrets: PassphraseSecrets) -> Any:
    """Encrypt every `secure:` value with the sandbox's passphrase."""
    if isinstance(value, dict):
        if set(value) == {"secure"}:
            return {"secure": secrets.encrypt(str(value["secure"]))}
        return {key: _encrypt(item, secrets) for key, item in value.items()}
    return [_encrypt(item, secrets) for item in value] if isinstance(value, list) else value


def _override(config: dict[str, Any], override: str, namespace: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise OverrideError(
            f"-c {override}: KEY=VALUE is expected, for example -c {namespace}:network.zones=3."
        )
    value = _parse_value(text, override)
    head, *rest = _parse_path(key.strip(), override)
    parent: Any = config
    step: str | int = str(head) if ":" in str(head) else f"{namespace}:{head}"
    for following in rest:
        if isinstance(parent, dict):
            if not isinstance(parent.get(str(step)), (dict, list)):
                parent[str(step)] = [] if isinstance(following, int) else {}
            parent = parent[str(step)]
        elif isinstance(parent, list) and isinstance(step, int) and step < len(parent):
            parent = parent[step]
        else:
            raise OverrideError(
                f"-c {override}: {step!r} is no element of {type(parent).__name__}."
            )
        step = following
    if isinstance(parent, dict):
        parent[str(step)] = value
    elif isinstance(parent, list) and isinstance(step, int) and step <= len(parent):
        parent[step : step + 1] = [value]
    else:
        raise OverrideError(f"-c {override}: {step!r} is no element of {type(parent).__name__}.")


def _parse_value(text: str, override: str) -> Any:
    """Parse integers, booleans, lists and mappings as YAML; 1.35 and others are text."""
    try:
        value = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = getattr(error, "problem", None) or error
        raise OverrideError(f"-c {override}: the value is not valid YAML: {problem}.") from None
    return value if isinstance(value, (bool, int, list, dict)) else text


def _parse_path(key: str, override: str) -> list[str | int]:
    steps: list[str | int] = []
    for part in key.split("."):
        name, *indices = part.split("[")
        if not name and not (steps and indices):
            raise OverrideError(f"-c {override}: the key has an empty step.")
        if name:
            steps.append(name)
        for index in indices:
            number = index.removesuffix("]")
            if not index.endswith("]") or not number.isdigit():
                raise OverrideError(f"-c {override}: [{index} is no index.")
            steps.append(int(number))
    return steps
