"""The stack file of one run in the sandbox: the project's own, with the run's overrides and without AWS's secrets keys.

The project's `Pulumi.<stack>.yaml` is never written. A value that was encrypted for a real environment (`secure:`) can't
be read here, and mustn't be; the sandbox puts a stand-in of its own in its place, as secret as it was, and says so.
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

# What `pulumi stack init --secrets-provider` writes for a real environment; the sandbox has its own passphrase.
SECRETS_KEYS = ("secretsprovider", "encryptedkey", "encryptionsalt")


class StackFileError(Exception):
    """A stack or its file can't be used; the text says which, why and what to do."""


class OverrideError(StackFileError):
    """A `-c KEY=VALUE` that can't be understood."""


class UnknownStackError(StackFileError):
    """There is no such stack file."""


@dataclass(frozen=True)
class StackFile:
    """The file that a run uses, the AWS region it is for, and what the user should know about it."""

    path: Path
    region: str
    notes: tuple[str, ...] = ()


def known_stacks(project: Path) -> list[str]:
    """The stacks that the project has files for."""
    return sorted(file.name.removeprefix("Pulumi.").removesuffix(".yaml") for file in project.glob("Pulumi.?*.yaml"))


def project_name(project: Path) -> str:
    """The `name` in `Pulumi.yaml`."""
    return str(_mapping(project / "Pulumi.yaml").get("name", ""))


def prepare(
    home: Home, project: Path, stack: str, overrides: Sequence[str] = (), *, salt: str | None = None
) -> StackFile:
    """Write the run's stack file under the sandbox's home, with the `salt` that the stack's state is encrypted with, if it has one.

    `overrides` are `KEY=VALUE`; a key may have dots and indices (`platform:network.zones=3`), and one without a
    namespace belongs to the project. What is given for a name that a section's `secrets` lists is a secret; so is any
    `KEY={secure: VALUE}`. Raises UnknownStackError, or StackFileError (OverrideError) for what can't be read.
    """
    source = project / f"Pulumi.{stack}.yaml"
    if not source.is_file() or stack not in known_stacks(project):
        known = ", ".join(known_stacks(project)) or "none"
        raise UnknownStackError(
            f"there is no stack {stack!r}: Pulumi.{stack}.yaml doesn't exist. Stacks of this project: {known}."
        )
    content = _mapping(source)
    config = content.get("config") or {}
    if not isinstance(config, dict):
        raise StackFileError(
            f"{source.name}: `config` has to be a mapping of keys to values, not {type(config).__name__}."
        )
    namespace = project_name(project)
    notes: list[str] = []
    for key in SECRETS_KEYS:
        content.pop(key, None)
    config = _stand_ins(config, home.passphrase(), source.name, notes)
    given = dict(config)
    for override in overrides:
        _override(config, override, namespace)
    changed = {key for key, value in config.items() if given.get(key) is not value}
    for key in changed & _named_secrets(config, namespace):
        if isinstance(config[key], str | int | float):
            config[key] = {"secure": str(config[key])}
    kept, target = home.stack_file(stack), home.stack_file(stack, overrides)
    # The salt is the sandbox's and belongs to its passphrase: it stays from run to run.
    salt = salt or (_mapping(kept).get("encryptionsalt") if kept.is_file() else None)
    if _has_secure(config):
        sealing = PassphraseSecrets(home.passphrase(), salt)
        config, salt = _sealed(config, sealing), sealing.state
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
    """Refuses a key that stands twice, as the Pulumi CLI does: one of the two values would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} stands here a second time", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _mapping(file: Path) -> dict[str, Any]:
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a safe loader
    except FileNotFoundError:
        raise StackFileError(f"{file.name} doesn't exist in {file.parent}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise StackFileError(f"{file.name}{line}: not YAML: {getattr(error, 'problem', None) or error}.") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise StackFileError(f"{file.name}: a mapping is expected at the top, not {type(content).__name__}.")
    return content


def _has_secure(value: Any) -> bool:
    if isinstance(value, dict):
        return set(value) == {"secure"} or any(_has_secure(item) for item in value.values())
    return isinstance(value, list) and any(_has_secure(item) for item in value)


def _stand_ins(config: dict[str, Any], passphrase: str, source: str, notes: list[str]) -> dict[str, Any]:
    """Replace each encrypted value by one derived from its key, so that it is the same at the next run."""

    def replace(value: Any, path: str) -> Any:
        if isinstance(value, dict):
            if set(value) == {"secure"}:
                notes.append(f"{path} is encrypted for a real environment in {source}; the sandbox uses a stand-in.")
                digest = hashlib.blake2b(path.encode(), key=passphrase.encode()[:64], digest_size=12)
                return {"secure": f"sandbox-{digest.hexdigest()}"}
            return {key: replace(item, f"{path}.{key}" if path else str(key)) for key, item in value.items()}
        if isinstance(value, list):
            return [replace(item, f"{path}[{index}]") for index, item in enumerate(value)]
        return value

    return {key: replace(value, str(key)) for key, value in config.items()}


def _named_secrets(config: dict[str, Any], namespace: str) -> set[str]:
    """The keys that a list called `secrets` in one of the project's sections names."""
    sections = [value for key, value in config.items() if key.startswith(f"{namespace}:") and isinstance(value, dict)]
    lists = [section["secrets"] for section in sections if isinstance(section.get("secrets"), list)]
    return {f"{namespace}:{name}" for names in lists for name in names}


def _sealed(value: Any, secrets: PassphraseSecrets) -> Any:
    """Encrypt what stands under `secure:` with the sandbox's own passphrase."""
    if isinstance(value, dict):
        if set(value) == {"secure"}:
            return {"secure": secrets.encrypt(str(value["secure"]))}
        return {key: _sealed(item, secrets) for key, item in value.items()}
    return [_sealed(item, secrets) for item in value] if isinstance(value, list) else value


def _override(config: dict[str, Any], override: str, namespace: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise OverrideError(f"-c {override}: KEY=VALUE is expected, for example -c {namespace}:network.zones=3.")
    value = _value(text, override)
    head, *rest = _steps(key.strip(), override)
    name = str(head) if ":" in str(head) else f"{namespace}:{head}"
    place: Any = config
    step: str | int = name
    for following in rest:
        if isinstance(place, dict):
            if not isinstance(place.get(str(step)), (dict, list)):
                place[str(step)] = [] if isinstance(following, int) else {}
            place = place[str(step)]
        else:
            place = _element(place, step, override)
        step = following
    if isinstance(place, dict):
        place[str(step)] = value
    elif isinstance(place, list) and isinstance(step, int) and step <= len(place):
        place[step : step + 1] = [value]
    else:
        raise OverrideError(f"-c {override}: {step!r} isn't a place in a list of {len(place)}.")


def _value(text: str, override: str) -> Any:
    """Whole numbers, truth values, lists and mappings as YAML reads them; anything else is text, so that 1.35 stays a version."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise OverrideError(f"-c {override}: the value isn't YAML: {error}") from None
    return value if isinstance(value, (bool, int, list, dict)) else text


def _element(place: Any, step: str | int, override: str) -> Any:
    if isinstance(place, list) and isinstance(step, int) and step < len(place):
        return place[step]
    raise OverrideError(f"-c {override}: {step!r} isn't a place in {type(place).__name__}.")


def _steps(key: str, override: str) -> list[str | int]:
    steps: list[str | int] = []
    for part in key.split("."):
        name, *indices = part.split("[")
        if not name and not (steps and indices):
            raise OverrideError(f"-c {override}: an empty step in the key.")
        if name:
            steps.append(name)
        for index in indices:
            number = index.removesuffix("]")
            if not index.endswith("]") or not number.isdigit():
                raise OverrideError(f"-c {override}: [{index} isn't an index.")
            steps.append(int(number))
    return steps
