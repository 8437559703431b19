"""The content of a build context as one short name: the same files give the same tag, on any machine, at any time."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import pulumi

IGNORE_FILE = ".dockerignore"


class ContextError(pulumi.RunError):
    """A build context that can't be built: what is missing, and where."""


def content_hash(context: Path, dockerfile: str, inputs: Mapping[str, str]) -> str:
    """32 hexadecimal digits over the files that Docker would send, and over `inputs` (platform, build arguments).

    Names, contents and the executable bit count; times and owners don't, as they differ between two clones of one commit.
    Raises ContextError if the context or its Dockerfile isn't there.
    """
    if not context.is_dir():
        raise ContextError(f"the build context {context} is not a folder")
    if not (context / dockerfile).is_file():
        raise ContextError(f"{context / dockerfile} is missing: an image needs a Dockerfile")
    digest = hashlib.sha256()
    for key, value in sorted(inputs.items()):
        _add(digest, "input", key.encode(), value.encode())
    for relative in context_files(context, dockerfile):
        path = context / relative
        if path.is_symlink():
            _add(digest, "link", str(relative).encode(), str(path.readlink()).encode())
        else:
            kind = "program" if path.stat().st_mode & 0o100 else "file"
            _add(digest, kind, str(relative).encode(), path.read_bytes())
    return digest.hexdigest()[:32]


def context_files(context: Path, dockerfile: str) -> list[PurePosixPath]:
    """The files of the context that `.dockerignore` leaves in, sorted; the Dockerfile is always one of them."""
    ignore = context / IGNORE_FILE
    rules = list(_rules(ignore.read_text(encoding="utf-8").splitlines())) if ignore.is_file() else []
    files = (
        PurePosixPath(path.relative_to(context).as_posix())
        for path in context.rglob("*")
        if path.is_symlink() or path.is_file()
    )
    kept = {file for file in files if not _ignored(file, rules)}
    return sorted(kept | {PurePosixPath(dockerfile)})


def _add(digest: "hashlib._Hash", kind: str, name: bytes, content: bytes) -> None:
    # Lengths keep neighbouring fields apart: ("ab", "c") and ("a", "bc") must differ.
    for part in (kind.encode(), name, content):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)


def _rules(lines: Iterable[str]) -> Iterator[tuple[bool, re.Pattern[str]]]:
    for line in lines:
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        keeps = pattern.startswith("!")
        pattern = str(PurePosixPath(pattern.removeprefix("!").strip().strip("/")))
        yield keeps, re.compile(_expression(pattern))


def _ignored(file: PurePosixPath, rules: Iterable[tuple[bool, re.Pattern[str]]]) -> bool:
    """The last rule that matches the file, or a folder above it, decides
    (https://docs.docker.com/build/concepts/context/#dockerignore-files).
    """
    ignored = False
    names = [str(file), *(str(parent) for parent in file.parents if str(parent) != ".")]
    for keeps, expression in rules:
        if any(expression.fullmatch(name) for name in names):
            ignored = not keeps
    return ignored


def _expression(pattern: str) -> str:
    """A `.dockerignore` pattern as a regular expression: `**` crosses folders, `*` and `?` stay within one."""
    expression, position = "", 0
    while position < len(pattern):
        rest = pattern[position:]
        if rest.startswith("**/"):
            expression, position = expression + "(?:.*/)?", position + 3
        elif rest.startswith("**"):
            expression, position = expression + ".*", position + 2
        elif rest[0] == "*":
            expression, position = expression + "[^/]*", position + 1
        elif rest[0] == "?":
            expression, position = expression + "[^/]", position + 1
        elif rest[0] == "[" and "]" in rest:
            end = rest.index("]") + 1
            expression, position = expression + rest[:end].replace("[!", "[^"), position + end
        else:
            expression, position = expression + re.escape(rest[0]), position + 1
    return expression
