"""Mutates stack files as people and broken tools do, and says how one is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from sandbox.runtime.home import Home
from sandbox.runtime.stack_files import StackFileError, prepare
from settings import SettingsError
from settings.load import validate

ROOT = Path(__file__).resolve().parents[1]
STACKS = ("dev", "prod")

# Values that are not what they look like, or that AWS, Git, PostgreSQL or Linux refuse.
TOKENS = (
    *("", "null", "~", "[]", "{}", "true", "no", "1:30", "010", "1_000", "0b1", "0x1f", "1e400"),
    *(".nan", "-1", "0", "99999", "2020-01-01", "'", '"', "*", "&a", "*a", "!!python/none", "|"),
    *(
        "- x",
        "{a: *b}",
        "<<: *a",
        "%",
        "@",
        "`",
        "1" * 5000,
        "[" * 100,
        "{a: " * 100,
        "..",
        ".lock",
    ),
    *("rdsadmin", "template1", "0.0.0.0/0", "127.0.0.0/16", "169.254.0.0/16", "10.0.0.0/33"),
    *("::/0", "14.0", "PATH", "kube-system", "default", "a..b", "\\0", "x" * 70_000, "é", "\u202e"),
    *('"\\u0000"', "v1.2.3", "[1, 2]", "{x: y}", "? a", ": b", "# c", "\t", "---", "...", "!x y"),
)


VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 65536, 1.5, "", " ", "x", [], {}, [None], [[]], {"": 1}),
    *({"secure": "v1:x:y"}, {"a": {"b": []}}, "\0", "x" * 40_000, 10**30, "\ud800", ["a", "a"]),
    *("..", "a..b", "x.lock", "rdsadmin", "14.0", "db.m7g.large", "http://proxy:99999", "PATH"),
    *("0.0.0.0/0", "10.0.0.0/8", "127.0.0.0/16", "169.254.0.0/16", "10.1.2.3/16", "fe80::/10"),
    *(
        {f"tag{number}": "x" for number in range(60)},
        [f"{number}.0.0.0/8" for number in range(256)],
    ),
    *({"PATH": "/"}, {"LD_PRELOAD": "x"}, {"team": ""}, ["v*", "v*"], "1.20", "protected", "auto"),
)


def mutate(text: str, chance: random.Random) -> str:
    """Return the stack file with one to three mutations, of its lines or of its values."""
    return (_mutate_values if chance.random() < 0.6 else _mutate_lines)(text, chance)


def _mutate_values(text: str, chance: random.Random) -> str:
    content = yaml.safe_load(text)
    for _ in range(chance.randint(1, 3)):
        node = content["config"]
        while isinstance(node, dict | list) and node:
            keys = list(node) if isinstance(node, dict) else range(len(node))
            key: Any = chance.choice(list(keys))
            if not isinstance(node[key], dict | list) or not node[key] or chance.random() < 0.3:
                match chance.randrange(4):
                    case 0:
                        del node[key]
                    case 1 if isinstance(node, dict):
                        node[chance.choice(("unknown", "", "a.b", key + "s"))] = node.pop(key)
                    case _:
                        node[key] = chance.choice(VALUES)
                break
            node = node[key]
    return yaml.dump(content, sort_keys=False)


def _mutate_lines(text: str, chance: random.Random) -> str:
    lines = text.splitlines()
    for _ in range(chance.randint(1, 3)):
        index = chance.randrange(len(lines)) if lines else 0
        line = lines[index] if lines else ""
        indent = line[: len(line) - len(line.lstrip())]
        key, separator, value = line.partition(": ")
        match chance.randrange(10):
            case 0 if separator:
                lines[index] = f"{key}: {chance.choice(TOKENS)}"
            case 1 if separator:
                lines[index] = f"{indent}{chance.choice(TOKENS)}: {value}"
            case 2:
                lines[index : index + 1] = []
            case 3:
                lines.insert(index, line)
            case 4:
                lines[index] = line[chance.randint(1, 3) :]
            case 5:
                lines[index] = f"{' ' * chance.randint(1, 4)}{line}"
            case 6:
                lines.insert(index, f"{indent}{chance.choice(TOKENS)}")
            case 7:
                lines[index] = f"{line}{chance.choice(TOKENS)}"
            case 8:
                position = chance.randint(0, len(line))
                lines[index] = line[:position] + chance.choice(TOKENS) + line[position + 1 :]
            case _:
                tags = "\n".join(f"      t{number}: x" for number in range(60))
                lines.insert(
                    index, chance.choice((tags, _alias_bomb(indent), f"{indent}a: &a [*a]"))
                )
    return "\n".join(lines) + "\n"


def _alias_bomb(indent: str) -> str:
    names = "abcdefgh"
    lines = [f"{indent}a: &a [{','.join('x' * 9)}]"]
    lines += [
        f"{indent}{name}: &{name} [{','.join([f'*{former}'] * 9)}]"
        for former, name in pairwise(names)
    ]
    return "\n".join(lines)


def refusal(text: str, directory: Path, stack: str) -> str | None:
    """Return why the stack file is refused; None if it is accepted.

    Any other exception than a refusal is a bug; so is a refusal without file, key or remedy.
    """
    (directory / "Pulumi.yaml").write_text("name: platform\nruntime: python\n")
    (directory / f"Pulumi.{stack}.yaml").write_bytes(text.encode(errors="surrogatepass"))
    try:
        config = prepare(Home(directory / "home"), directory, stack).config
    except StackFileError as error:
        if f"Pulumi.{stack}.yaml" not in str(error):
            raise AssertionError(f"without the file: {error}") from error
        return str(error)
    try:
        validate(_texts(config), _secret_keys(config), "platform", stack)
    except SettingsError as error:
        problems = [problem for problem in error.problems if not problem.fixes]
        if problems:
            raise AssertionError(f"without a remedy: {problems}") from error
        return str(error)
    return None


def _texts(config: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: value if isinstance(value, str) else json.dumps(value, default=str)
        for key, value in config.items()
    }


def _secret_keys(config: Mapping[str, Any]) -> list[str]:
    return [key for key, value in config.items() if "secure" in json.dumps(value, default=str)]
