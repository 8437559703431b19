"""What a build would be sent: the files of a context that `.dockerignore` leaves in, and one digest over them.

Patterns are those of Docker's documentation ("dockerignore file"): Go's filepath.Match on whole paths, `**` for any
number of folders, `!` to take back in, the last match decides, and a match of a folder covers what is in it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from posixpath import normpath


def files(context: Path, dockerfile: Path) -> Iterator[str]:
    """Yield the paths of the context's files and links, relative and sorted, without what is ignored."""
    rules = list(_rules(_ignore_file(context, dockerfile)))
    for path in sorted(context.rglob("*"), key=lambda path: path.relative_to(context).as_posix()):
        name = path.relative_to(context).as_posix()
        if (path.is_symlink() or path.is_file()) and not _ignored(name, rules):
            yield name


def digest(context: Path, dockerfile: Path) -> str:
    """Return 64 hexadecimal digits over the Dockerfile and the files that a build is sent: names, modes and contents.

    Times and owners don't count, as they differ between two clones of one commit; of the mode, being executable does.
    """
    total = hashlib.sha256()
    _add(total, "Dockerfile", "file", dockerfile.read_bytes())
    for name in files(context, dockerfile):
        path = context / name
        if path.is_symlink():
            _add(total, name, "link", str(path.readlink()).encode())
        else:
            _add(total, name, "program" if path.stat().st_mode & 0o100 else "file", path.read_bytes())
    return total.hexdigest()


def _add(total: hashlib._Hash, name: str, kind: str, content: bytes) -> None:
    total.update(f"{len(name)} {name} {kind} {len(content)}\n".encode() + content)


def _ignore_file(context: Path, dockerfile: Path) -> list[str]:
    # A Dockerfile's own ignore file goes before the context's.
    for path in (dockerfile.with_name(f"{dockerfile.name}.dockerignore"), context / ".dockerignore"):
        if path.is_file():
            return path.read_text(encoding="utf-8-sig").splitlines()
    return []


def _rules(lines: list[str]) -> Iterator[tuple[re.Pattern[str], bool]]:
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        ignore = not text.startswith("!")
        pattern = normpath(text.removeprefix("!").strip()).lstrip("/")
        if pattern != ".":
            yield re.compile(_expression(pattern) + "(?:/.*)?"), ignore


def _expression(pattern: str) -> str:
    result, rest = "", pattern
    while rest:
        if rest.startswith("**/"):
            result, rest = result + "(?:.*/)?", rest[3:]
        elif rest.startswith("**"):
            result, rest = result + ".*", rest[2:]
        elif rest[0] == "*":
            result, rest = result + "[^/]*", rest[1:]
        elif rest[0] == "?":
            result, rest = result + "[^/]", rest[1:]
        elif rest[0] == "[" and "]" in rest:
            group, _, rest = rest.partition("]")
            result += f"{group}]"
        else:
            literal = rest[1] if rest[0] == "\\" and len(rest) > 1 else rest[0]
            result, rest = result + re.escape(literal), rest[2 if rest[0] == "\\" and len(rest) > 1 else 1 :]
    return result


def _ignored(name: str, rules: list[tuple[re.Pattern[str], bool]]) -> bool:
    ignored = False
    for pattern, ignore in rules:
        if pattern.fullmatch(name):
            ignored = ignore
    return ignored
