"""Content hash of a build context, which is the image's tag."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import normpath

import pulumi
from docker.utils.fnmatch import fnmatchcase

HASH_LENGTH = 32


class ContextError(pulumi.RunError):
    """The build context is missing or its ignore file is invalid."""


def content_hash(context: Path, dockerfile: str, inputs: Mapping[str, str]) -> str:
    """Return 32 hexadecimal digits over the files sent to the builder and over `inputs`.

    Covers names, contents and the executable bit; times and owners differ between two clones of
    one commit. Raises ContextError if the context or its Dockerfile is missing.
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
    return digest.hexdigest()[:HASH_LENGTH]


def _add(digest: "hashlib._Hash", kind: str, name: bytes, content: bytes) -> None:
    # Lengths separate adjacent fields: ("ab", "c") and ("a", "bc") must differ.
    for part in (kind.encode(), name, content):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)


def context_files(context: Path, dockerfile: str) -> list[PurePosixPath]:
    """Return the sorted files that the builder is sent; the Dockerfile is always sent."""
    patterns = ignore_patterns(context, dockerfile)
    files = (
        PurePosixPath(path.relative_to(context).as_posix())
        for path in context.rglob("*")
        if path.is_symlink() or path.is_file()
    )
    sent = {file for file in files if not is_ignored(file, patterns)}
    return sorted(sent | {PurePosixPath(dockerfile)})


@dataclass(frozen=True)
class IgnorePattern:
    """One line of an ignore file."""

    glob: str
    """Pattern in the syntax of `docker.utils.fnmatch`."""
    exception: bool
    """Whether the line starts with `!` and includes matching files again."""

    def matches(self, file: PurePosixPath) -> bool:
        """Whether the pattern matches the file or a folder above it."""
        folders = file.parents[:-1]  # without the context itself
        return any(fnmatchcase(str(path), self.glob) for path in (file, *folders))


def is_ignored(file: PurePosixPath, patterns: Iterable[IgnorePattern]) -> bool:
    """Whether the builder is not sent `file`: the last matching pattern decides.

    `docker.utils.build.PatternMatcher` differs from BuildKit here: it ignores case, tries one
    folder above a file per pattern, and always sends `.dockerignore`.
    """
    ignored = False
    for pattern in patterns:
        if pattern.exception == ignored and pattern.matches(file):
            ignored = not pattern.exception
    return ignored


def ignore_patterns(context: Path, dockerfile: str) -> list[IgnorePattern]:
    """Read the Dockerfile's own ignore file, otherwise the context's `.dockerignore`.

    Follows BuildKit (github.com/moby/patternmatcher): a byte order mark is dropped, only `#` in
    the first column starts a comment, paths are cleaned, and a leading `/` is dropped.
    Raises ContextError for a pattern that BuildKit refuses.
    """
    paths = (context / f"{dockerfile}.dockerignore", context / ".dockerignore")
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return []
    patterns = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        pattern = "" if line.startswith("#") else _cleaned(line.strip())
        if pattern:
            try:
                glob = _glob(pattern.removeprefix("!"))
            except ValueError as error:
                raise ContextError(f"{path}, line {number}: {error}") from None
            patterns.append(IgnorePattern(glob, exception=pattern.startswith("!")))
    return patterns


def _cleaned(pattern: str) -> str:
    """Clean the path of a pattern, behind the `!` of an exception."""
    exception = "!" if pattern.startswith("!") else ""
    path = pattern.removeprefix("!").strip()
    if not path:
        return exception
    path = normpath(path)
    return exception + path.lstrip("/")


# A literal behind a leading `**`, without a slash between them: a plain suffix for BuildKit.
_SUFFIX = re.compile(r"\*\*([^/*?\[\]\\][^*?\[\]\\]*)")


def _glob(pattern: str) -> str:
    r"""Translate from Go's syntax, in which `\` escapes and `[^a]` negates, to docker's."""
    if not pattern:
        raise ValueError("`!` needs a pattern")
    if suffix := _SUFFIX.fullmatch(pattern):
        return f"**/*{suffix[1]}"
    glob, position = "", 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "\\":
            if position == len(pattern):
                raise ValueError("`\\` at the end of a pattern escapes nothing")
            glob += _literal(pattern[position])
            position += 1
        elif character == "[":
            group = re.compile(r"(\^?)((?:\\.|[^\]\\])+)\]").match(pattern, position)
            if group is None:
                raise ValueError("`[` is not closed by `]`")
            glob += _character_class(group[1], re.sub(r"\\(.)", r"\1", group[2]))
            position = group.end()
        else:
            glob += character
    return glob


def _literal(character: str) -> str:
    return f"[{character}]" if character in "*?[" else character


def _character_class(negation: str, members: str) -> str:
    if negation:
        return f"[!{members}]"
    if members.startswith("!-") and len(members) > 2:  # a range that begins with `!`
        return f'["{members[1:]}!]'
    if members.startswith("!"):
        return f"[{members[1:]}!]" if len(members) > 1 else "!"
    return f"[{members}]"
