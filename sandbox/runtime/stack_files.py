"""The stack file of one run: the project's, with the run's overrides and the sandbox's secrets.

The project's `Pulumi.<stack>.yaml` is never written. A value encrypted for a real environment
(`secure:`) cannot be read here; a secret stand-in replaces it, and a note names it.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sandbox.engine.errors import EngineError
from sandbox.engine.state.passphrase import PassphraseSecrets
from sandbox.runtime.home import Home

# Written by `pulumi stack init --secrets-provider` for a real environment.
SECRETS_KEYS = ("secretsprovider", "encryptedkey", "encryptionsalt")

# Far above any real file; below what exhausts memory or the interpreter's stack.
MAX_NESTING = 60
MAX_NODES = 50_000
# The program gets its configuration in one environment variable, which Linux limits to 128 KiB.
MAX_BYTES = 120 * 1024

# Plain values that YAML 1.1 and YAML 1.2 read alike; PyYAML reads 1:30 as 90, and `on` as true.
_UNAMBIGUOUS = {
    "tag:yaml.org,2002:int": re.compile(r"[-+]?(0|[1-9][0-9]{0,17})"),
    "tag:yaml.org,2002:float": re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?"),
    "tag:yaml.org,2002:bool": re.compile(r"true|false|True|False"),
    "tag:yaml.org,2002:timestamp": re.compile(r"(?!)"),
}


class StackFileError(Exception):
    """A stack or its file is unusable; the message names file, reason and remedy."""


class OverrideError(StackFileError):
    """An invalid `-c KEY=VALUE`."""


class UnknownStackError(StackFileError):
    """The project has no such stack file."""


@dataclass(frozen=True)
class StackFile:
    """The stack file of a run, its AWS region, and notes for the user.

    `config` is the run's configuration before encryption, `original` the one without overrides.
    """

    path: Path
    region: str
    notes: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    original: Mapping[str, Any] = field(default_factory=dict, repr=False)


def stack_names(project: Path) -> list[str]:
    """Return the stacks that the project has files for."""
    files = project.glob("Pulumi.?*.yaml")
    return sorted(file.name.removeprefix("Pulumi.").removesuffix(".yaml") for file in files)


def project_name(project: Path) -> str:
    """Return `name` of `Pulumi.yaml`."""
    return str(load_mapping(project / "Pulumi.yaml").get("name", ""))


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
    content = load_mapping(source)
    config = content.get("config") or {}
    if not isinstance(config, dict):
        raise StackFileError(
            f"{source.name}: `config` must be a mapping of keys to values, not "
            f"{type(config).__name__}. Indent the settings below it."
        )
    namespace = project_name(project)
    notes: list[str] = []
    config = _decrypted(config, content, home)
    for key in SECRETS_KEYS:
        content.pop(key, None)
    config = _replace_secure_values(config, home.passphrase(), source.name, notes)
    original = copy.deepcopy(config)
    for override in overrides:
        _override(config, override, namespace)
    changed = {key for key, value in config.items() if original.get(key) != value}
    for key in changed & _secret_keys(config, namespace):
        if isinstance(config[key], str | int | float):
            config[key] = {"secure": str(config[key])}
    _refuse_oversize(config, source.name)
    previous, target = home.stack_file(stack), home.stack_file(stack, overrides)
    # The salt belongs to the sandbox's passphrase and stays from run to run.
    if salt is None and previous.is_file():
        salt = load_mapping(previous).get("encryptionsalt")
    plain = config
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
    region = _region(config, namespace)
    return StackFile(target, region, tuple(notes), config=plain, original=original)


def _refuse_oversize(config: Mapping[str, Any], file: str) -> None:
    sizes = {
        key: len(json.dumps(value, default=str, ensure_ascii=False).encode(errors="replace"))
        for key, value in config.items()
    }
    if sum(sizes.values()) > MAX_BYTES:
        largest = max(sizes, key=lambda key: sizes[key])
        raise StackFileError(
            f"{file}: {largest} has {sizes[largest]} bytes; all settings together may have "
            f"{MAX_BYTES}. Shorten it."
        )


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
        if is_ambiguous(node):
            value = f"{node.value[:40]}…" if len(node.value) > 40 else node.value
            problem = f"{value!r} is ambiguous; quote it, or write true, false or a number"
            raise _not_loadable(problem, node)
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


def is_ambiguous(node: yaml.Node) -> bool:
    """Whether readers of YAML disagree on the value of a plain scalar."""
    rule = _UNAMBIGUOUS.get(node.tag)
    is_plain = isinstance(node, yaml.ScalarNode) and node.style is None
    return is_plain and rule is not None and not rule.fullmatch(node.value)


def _not_loadable(problem: str, place: yaml.Node | yaml.Event) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)  # type: ignore[arg-type]


def load_mapping(file: Path) -> dict[str, Any]:
    """Return the file's mapping; StackFileError with file, line and reason if it has none."""
    try:
        text = file.read_text(encoding="utf-8")
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except FileNotFoundError:
        raise StackFileError(f"{file.name} does not exist in {file.parent}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise StackFileError(
            f"{file.name}{line}: not valid YAML: {problem}. Correct it there."
        ) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise StackFileError(
            f"{file.name}: the top level must be a mapping, not {type(content).__name__}. "
            "Put the settings under `config:`."
        )
    return content


def _has_secure(value: Any) -> bool:
    if isinstance(value, dict):
        return set(value) == {"secure"} or any(_has_secure(item) for item in value.values())
    return isinstance(value, list) and any(_has_secure(item) for item in value)


class _Plain(str):
    """A decrypted secret."""

    __slots__ = ()


def config_passphrase(home: Home) -> str:
    """Return the passphrase of secrets in the project's stack files: Pulumi's, or the sandbox's."""
    if (text := os.environ.get("PULUMI_CONFIG_PASSPHRASE")) is not None:
        return text
    if file := os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        return Path(file).read_text(encoding="utf-8").strip()
    return home.passphrase()


def _decrypted(config: dict[str, Any], content: dict[str, Any], home: Home) -> dict[str, Any]:
    """Decrypt `secure` values if they belong to a passphrase that is known here."""
    salt, provider = content.get("encryptionsalt"), content.get("secretsprovider", "passphrase")
    if not isinstance(salt, str) or provider != "passphrase" or not _has_secure(config):
        return config
    try:
        secrets = PassphraseSecrets(config_passphrase(home), salt)
    except (EngineError, ValueError):
        return config

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            if set(value) == {"secure"}:
                return {"secure": _Plain(secrets.decrypt(str(value["secure"])))}
            return {key: walk(item) for key, item in value.items()}
        return [walk(item) for item in value] if isinstance(value, list) else value

    try:
        return {key: walk(value) for key, value in config.items()}
    except EngineError:  # a value of another passphrase
        return config


def _replace_secure_values(
    config: dict[str, Any], passphrase: str, source: str, notes: list[str]
) -> dict[str, Any]:
    """Replace each encrypted value by one derived from its key, the same in every run."""

    def replace(value: Any, path: str) -> Any:
        if isinstance(value, dict):
            if set(value) == {"secure"}:
                if isinstance(value["secure"], _Plain):
                    return value
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


def override_key(override: str, namespace: str) -> str:
    """Return the full key of a `KEY=VALUE`, without its value."""
    key = override.partition("=")[0].strip()
    return key if ":" in key.split(".")[0] else f"{namespace}:{key}"


def _parse_value(text: str, override: str) -> Any:
    """Parse integers, booleans, lists and mappings as YAML; 1.35 and others are text."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None and is_ambiguous(node):
            return text
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
