"""Edits a project's stack file as `pulumi config` does; comments and formatting stay."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

from sandbox.engine.state.passphrase import PassphraseSecrets
from sandbox.runtime.stack_files import SECRETS_KEYS, OverrideError, StackFileError, load_mapping

Step = str | int
ValueType = Literal["string", "bool", "int", "float"]

# Text that Pulumi's YAML writer quotes although PyYAML reads it as text.
_AMBIGUOUS = re.compile(
    r"[yYnN]|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?|[-+.]?[0-9][0-9_.]*e\d+"
)
_PART = re.compile(r"""(?:^|\.)([^.\["]+)|\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]""")


class StackConfig:
    """The configuration of one stack file; `save` writes it back."""

    def __init__(self, file: Path, namespace: str, passphrase: str) -> None:
        load_mapping(file)  # refuses what the sandbox or the CLI cannot read
        self.file, self._namespace, self._passphrase = file, namespace, passphrase
        self._secrets: PassphraseSecrets | None = None
        self._load(file.read_text(encoding="utf-8"))

    def _load(self, text: str) -> None:
        self._yaml = YAML()
        self._yaml.preserve_quotes = True
        self._yaml.width = 1_000_000
        indented = not re.search(r"^( *)[^\s#-][^\n]*:[ \t]*(#[^\n]*)?\n\1- ", text, re.MULTILINE)
        self._yaml.indent(mapping=2, sequence=4 if indented else 2, offset=2 if indented else 0)
        self._document = self._yaml.load(text) or CommentedMap()
        if not isinstance(self._document.get("config"), CommentedMap):
            self._document["config"] = CommentedMap()

    def full_keys(self) -> list[str]:
        """Return the full keys, sorted."""
        return sorted(map(str, self._config))

    @property
    def _config(self) -> CommentedMap:
        config: CommentedMap = self._document["config"]
        return config

    def steps(self, key: str, *, path: bool) -> list[Step]:
        """Return full key and the steps below it; OverrideError if the path is malformed."""
        namespace, separator, rest = key.partition(":")
        if not separator or not re.fullmatch(r"[\w-]+", namespace):
            namespace, rest = self._namespace, key
        steps = parse_path(rest) if path else [rest]
        if not steps or not isinstance(steps[0], str) or not steps[0]:
            raise OverrideError(f"{key}: a key such as {self._namespace}:network is expected.")
        return [f"{namespace}:{steps[0]}", *steps[1:]]

    def get(self, steps: Sequence[Step], *, show_secrets: bool = True) -> tuple[Any, bool]:
        """Return a plain value and whether it is or contains a secret; KeyError if it is not set.

        Without `show_secrets`, each secret is "[secret]".
        """
        value: Any = self._config
        for step in steps:
            is_element = isinstance(value, CommentedSeq) and isinstance(step, int)
            if not (is_element and int(step) < len(value)) and not (
                isinstance(value, CommentedMap) and step in value
            ):
                raise KeyError(step)
            value = value[step]
        return self._plain(value, show_secrets=show_secrets), _contains_secret(value)

    def _plain(self, value: Any, *, show_secrets: bool) -> Any:
        if isinstance(value, dict):
            if set(value) == {"secure"}:
                if not show_secrets:
                    return "[secret]"
                return self._open().decrypt(str(value["secure"]))
            return {
                str(key): self._plain(item, show_secrets=show_secrets)
                for key, item in sorted(value.items())
            }
        if isinstance(value, list):
            return [self._plain(item, show_secrets=show_secrets) for item in value]
        return json.loads(json.dumps(value, default=str))  # plain types

    def set(
        self, steps: Sequence[Step], text: str, *, secret: bool = False, kind: ValueType | None
    ) -> None:
        """Set a value; a top-level one is always text. Raises OverrideError."""
        nested = len(steps) > 1 or kind is not None
        value = _typed(text, kind) if nested and not secret else text
        new: Any = CommentedMap(secure=self._open().encrypt(text)) if secret else _scalar(value)
        parent: Any = self._config
        for depth, (step, following) in enumerate(pairwise(steps)):
            child = _child(parent, step)
            container = CommentedSeq if isinstance(following, int) else CommentedMap
            if not isinstance(child, container):
                if child is not None and depth > 0:
                    place = _formatted(steps[: depth + 1])
                    kinds = "list" if container is CommentedSeq else "map"
                    raise OverrideError(f"{place} is not a {kinds}; remove it first.")
                child = container()
                comment = _take_comment(parent, step)
                _assign(parent, step, child, steps)
                if comment and isinstance(child, CommentedMap):
                    child.ca.items[following] = comment  # stays below the new value
            parent = child
        _assign(parent, steps[-1], new, steps)

    def remove(self, steps: Sequence[Step]) -> bool:
        """Remove a value and return whether it was set."""
        parent: Any = self._config
        for step in steps[:-1]:
            parent = _child(parent, step)
        if _child(parent, steps[-1]) is None:
            return False
        without = _without_lines(self._text(), ["config", *steps])
        if without is None:
            del parent[steps[-1]]
        else:
            self._load(without)
        return True

    def _text(self) -> str:
        text = io.StringIO()
        self._yaml.dump(self._document, text)
        return text.getvalue()

    def save(self) -> None:
        """Write the file in one step."""
        temporary = self.file.with_name(f".{self.file.name}.{os.getpid()}.new")
        temporary.write_text(self._text(), encoding="utf-8")
        temporary.chmod(self.file.stat().st_mode & 0o777)
        temporary.replace(self.file)

    def _open(self) -> PassphraseSecrets:
        """Return the file's secrets, which the first one creates."""
        if self._secrets is None:
            for key in SECRETS_KEYS[:2]:
                if self._document.get(key) not in (None, "passphrase"):
                    raise StackFileError(
                        f"{self.file.name} encrypts secrets with {key}, which the sandbox cannot "
                        "reach. Use `pulumi config` with credentials for it."
                    )
            self._secrets = PassphraseSecrets(
                self._passphrase, self._document.get("encryptionsalt")
            )
            self._document["encryptionsalt"] = self._secrets.state
        return self._secrets


def parse_path(text: str) -> list[Step]:
    """Return the steps of a path such as `network.neighbours[0]` or `tags["a.b"]`."""
    steps: list[Step] = []
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            raise OverrideError(f"{text}: the path is malformed at {text[position:]!r}.")
        name, index, quoted = match.groups()
        if index is not None:
            steps.append(int(index))
        else:
            steps.append(name if name is not None else re.sub(r"\\(.)", r"\1", quoted))
        position = match.end()
    return steps


def _without_lines(text: str, steps: Sequence[Step]) -> str | None:
    """Remove a value's lines, so that comments around them stay; None if it shares a line."""
    parent_key, key, node = None, None, yaml.compose(text, Loader=yaml.SafeLoader)
    parent = node
    for step in steps:
        parent, parent_key = node, key
        if isinstance(parent, yaml.MappingNode):
            key, node = next(pair for pair in parent.value if pair[0].value == step)
        elif isinstance(parent, yaml.SequenceNode) and isinstance(step, int):
            key = node = parent.value[step]
    if (
        key is None
        or node is None
        or not isinstance(parent, yaml.CollectionNode)
        or parent.flow_style
    ):
        return None
    lines = text.splitlines(keepends=True)
    first, last = key.start_mark.line, _last_line(node)
    if lines[first][: key.start_mark.column].strip(" -") or _shares_line(parent, key, lines[first]):
        return None
    if len(parent.value) == 1:
        if parent_key is None:
            return None
        empty = "{}" if isinstance(parent, yaml.MappingNode) else "[]"
        mark = parent_key.end_mark
        line = lines[mark.line]
        lines[mark.line] = f"{line[: mark.column + 1]} {empty}{line[mark.column + 1 :]}"
    del lines[first : last + 1]
    return "".join(lines)


def _shares_line(parent: yaml.Node, key: yaml.Node, line: str) -> bool:
    """Whether a mapping's key follows the dash of a list."""
    is_mapping = isinstance(parent, yaml.MappingNode)
    return is_mapping and "-" in line[: key.start_mark.column]


def _last_line(node: yaml.Node) -> int:
    while isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        node = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
    mark = node.end_mark
    return mark.line - (1 if mark.column == 0 and mark.line > node.start_mark.line else 0)


def _formatted(steps: Sequence[Step]) -> str:
    text = str(steps[0])
    for step in steps[1:]:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text


def _child(parent: Any, step: Step) -> Any:
    if isinstance(parent, CommentedSeq) and isinstance(step, int) and step < len(parent):
        return parent[step]
    return parent.get(step) if isinstance(parent, CommentedMap) else None


def _take_comment(parent: Any, step: Step) -> Any:
    return parent.ca.items.pop(step, None) if isinstance(parent, CommentedMap) else None


def _assign(parent: Any, step: Step, value: Any, steps: Sequence[Step]) -> None:
    if isinstance(parent, CommentedSeq):
        if not isinstance(step, int) or step > len(parent):
            raise OverrideError(f"{_formatted(steps)}: the list has {len(parent)} elements.")
        if step == len(parent):
            parent.append(value)
            return
    parent[step] = value


def _typed(text: str, kind: ValueType | None) -> Any:
    """Convert as `pulumi config set --path` does: true, false and integers, or the named type."""
    try:
        if kind == "int" or (kind is None and str(int(text)) == text):
            return int(text)
        if kind == "float":
            return float(text)
    except ValueError:
        if kind is not None:
            raise OverrideError(f"the value is not of type {kind}.") from None
    if kind == "bool" and text not in ("true", "false"):
        raise OverrideError("the value is not of type bool: true or false.")
    return text == "true" if kind != "string" and text in ("true", "false") else text


def _scalar(value: Any) -> Any:
    """Quote text as Pulumi's YAML writer does."""
    if not isinstance(value, str):
        return value
    if "\n" in value:
        return LiteralScalarString(value)
    loader: Any = yaml.SafeLoader("")
    tag = loader.resolve(yaml.ScalarNode, value, (True, False))
    if tag != "tag:yaml.org,2002:str" or _AMBIGUOUS.fullmatch(value):
        return DoubleQuotedScalarString(value)
    return value


def _contains_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return set(value) == {"secure"} or any(map(_contains_secret, value.values()))
    return isinstance(value, list) and any(map(_contains_secret, value))
