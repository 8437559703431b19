"""The files of a build context without those that `.dockerignore` excludes, and their digest.

Patterns are matched by the docker package and read as BuildKit does (moby/patternmatcher): the last
matching pattern decides, and a pattern that matches a directory covers its content. PatternMatcher
itself skips an excluded directory although a negation with a wildcard may include its files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from posixpath import normpath

from docker.utils.build import Pattern
from docker.utils.fnmatch import fnmatchcase

_SUFFIX = re.compile(r"\*\*[^/*?\[\\][^*?\[\\]*")
_ESCAPE_OR_CLASS = re.compile(r"\\(.)|\[(\^?)((?:\\.|[^\]\\])+)\]")


def context_files(context: Path, dockerfile: Path) -> list[str]:
    """Return the sorted relative paths of the files and links that a build is sent."""
    path = ignore_file(context, dockerfile)
    lines = path.read_text(encoding="utf-8-sig").splitlines() if path else []
    patterns = list(_patterns(lines))
    return sorted(_walk(context, context, patterns, [False] * len(patterns)))


def context_digest(context: Path, dockerfile: Path) -> str:
    """Return 64 hexadecimal digits over the Dockerfile and the names, modes and contents of files.

    Times, owners and all mode bits but the executable one are left out: they differ between clones.
    """
    total = hashlib.sha256()
    _add(total, "Dockerfile", "file", dockerfile.read_bytes())
    for name in context_files(context, dockerfile):
        path = context / name
        if path.is_symlink():
            _add(total, name, "link", str(path.readlink()).encode())
        else:
            kind = "program" if path.stat().st_mode & 0o100 else "file"
            _add(total, name, kind, path.read_bytes())
    return total.hexdigest()


def ignore_file(context: Path, dockerfile: Path) -> Path | None:
    """Return the ignore file: the Dockerfile's own precedes the context's."""
    own = dockerfile.with_name(f"{dockerfile.name}.dockerignore")
    return next((path for path in (own, context / ".dockerignore") if path.is_file()), None)


def _add(total: hashlib._Hash, name: str, kind: str, content: bytes) -> None:
    total.update(f"{len(name)} {name} {kind} {len(content)}\n".encode() + content)


def _patterns(lines: Sequence[str]) -> Iterator[Pattern]:
    """Read an ignore file; a comment starts in the first column."""
    for line in lines:
        text = "" if line.startswith("#") else line.strip()
        negation, text = ("!", text[1:].strip()) if text.startswith("!") else ("", text)
        path = normpath(text).lstrip("/") if text else ""
        # Neither the context itself nor a path outside of it can be excluded.
        if path and path != "." and not path.startswith("../"):
            # BuildKit matches a literal directly after a leading "**" as a suffix.
            path = f"**/*{path[2:]}" if _SUFFIX.fullmatch(path) else path
            yield Pattern(negation + _ESCAPE_OR_CLASS.sub(_translate, path))


def _translate(token: re.Match[str]) -> str:
    r"""Translate Go's `\x` and `[^x]` to the docker package's syntax, in which `[!x]` negates."""
    escaped, negation, members = token.groups()
    if escaped == "]":
        return "]"
    members = escaped or re.sub(r"\\(.)", r"\1", members)
    # No file name contains NUL, which keeps the first member from having a special meaning.
    return f"[!{members}]" if negation else f"[\0{members}]"


def _walk(
    context: Path, directory: Path, patterns: Sequence[Pattern], parent_matches: Sequence[bool]
) -> Iterator[str]:
    """Yield the included files; `parent_matches` says which patterns match the directory."""
    for path in directory.iterdir():
        name = path.relative_to(context).as_posix()
        pairs = zip(patterns, parent_matches, strict=True)
        # Pattern.match ignores case, BuildKit does not.
        matches = [
            parent_match or fnmatchcase(name, pattern.cleaned_pattern)
            for pattern, parent_match in pairs
        ]
        decisive = [pattern for pattern, match in zip(patterns, matches, strict=True) if match]
        if path.is_dir() and not path.is_symlink():
            yield from _walk(context, path, patterns, matches)
        elif (path.is_symlink() or path.is_file()) and (not decisive or decisive[-1].exclusion):
            yield name
