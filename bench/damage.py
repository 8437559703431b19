"""Damages each file of a sandbox: the next run must be complete, or refuse with the remedy."""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from bench.progress import report
from bench.row import Row
from bench.small_stack import SmallStack

_REMEDY = re.compile(
    r"`(?:python -m )?(?:sandbox )?(import dev --file [^`]+|repair|reset|refresh dev)`"
)
_CHANCE = random.Random(14)  # noqa: S311 - reproducible, not secret
_ALL = ("truncated", "emptied", "a bit flipped", "deleted", "replaced by a directory")
# Relative to the home; a pattern stands for its first match.
KINDS: dict[str, tuple[str, ...]] = {
    "account/journal.jsonl": _ALL,
    "account/journal.end": ("emptied", "deleted"),
    "account/port": ("emptied",),
    "state/.pulumi/stacks/small/dev.json": _ALL,
    "state/.pulumi/stacks/small/dev.json.bak": ("truncated", "deleted"),
    "state/.pulumi/meta.yaml": ("deleted",),
    "created/small.dev.json": ("truncated", "deleted"),
    "config/*/Pulumi.dev.yaml": ("truncated",),
    "kubernetes/clusters/*/objects.sqlite": _ALL,
    "kubernetes/clusters/*/facts.json": ("truncated", "deleted"),
    "kubernetes/clusters/*/port": ("emptied", "deleted"),
    "kubernetes/tls/ca.pem": ("deleted",),
    "kubernetes/tls/server.pem": ("truncated",),
    "kubernetes/tls/server.key": ("emptied",),
    "passphrase": ("truncated", "deleted"),
    "daemon.json": ("truncated", "replaced by a directory"),
    "account": ("deleted",),
    "state": ("deleted",),
    "created": ("deleted",),
    "kubernetes": ("deleted",),
    "registry": ("deleted",),
}


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[_CHANCE.randrange(len(content))] ^= 1 << _CHANCE.randrange(7)
    path.write_bytes(content)


def _delete(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], None]] = {
    "truncated": _truncate,
    "emptied": _empty,
    "a bit flipped": _flip,
    "deleted": _delete,
    "replaced by a directory": _replace_by_directory,
}


class Damages:
    """A complete stack with a copy of its files, which each damage starts from."""

    def __init__(self, directory: Path, *, cluster: bool = True) -> None:
        """Create the stack, then change it, so that the state has a history."""
        self.stack = SmallStack.create(directory)
        options = ("-c", f"cluster={str(cluster).lower()}")
        self._up = ("up", "dev", "--yes", "--skip-preview", *options)
        self._preview = ("preview", "dev", "--expect-no-changes", *options)
        self._copy = directory / "copy"
        for text in ("first", ""):
            code, output = self.stack.run(*self._up, *(("-c", f"text={text}") if text else ()))
            if code != 0:
                raise RuntimeError(f"`up` failed: {output[-600:]}")
        self.complete = self.stack.objects()
        self._save()

    def kinds(self) -> list[tuple[str, str]]:
        """Return each file or directory with each of its damages."""
        return [(name, damage) for name, damages in KINDS.items() for damage in damages]

    def try_damage(self, name: str, damage: str) -> tuple[str, str]:
        """Damage a file and run `up`; return what it did, and what is wrong, or nothing."""
        self._restore()
        paths = sorted(self.stack.home.glob(name))
        if not paths:  # it exists while the background process runs
            self.stack.run(*self._preview)
            paths = sorted(self.stack.home.glob(name))
        if not paths:
            return "", f"{name} does not exist"
        DAMAGES[damage](paths[0])
        code, output = self.stack.run(*self._up)
        if code == 0:
            return "complete", self._incomplete(f"{name} {damage}")
        if "bug in the sandbox" in output or "Traceback" in output:
            return "", f"{name} {damage}: {output[-500:]}"
        return self._remedied(f"{name} {damage}", paths[0], output)

    def _remedied(self, context: str, path: Path, output: str) -> tuple[str, str]:
        """Apply the remedy that the output names, then run `up`."""
        if "Remove that directory" in output:
            remedy, code, applied = "removal", 0, ""
            shutil.rmtree(path)
        elif remedies := _REMEDY.findall(output):
            remedy = remedies[0]
            confirmed = ("--yes",) if remedy.startswith(("reset", "refresh")) else ()
            code, applied = self.stack.run(*remedy.split(), *confirmed)
        else:
            return "", f"{context}: no remedy in {output[-500:]}"
        if code == 0:
            code, applied = self.stack.run(*self._up)
        if code != 0:
            return "", f"{context}: `{remedy}` does not help: {output[-300:]} {applied[-400:]}"
        return f"refused: {remedy.split()[0]}", self._incomplete(f"{context}, `{remedy}`")

    def stop(self) -> None:
        """Stop the sandbox."""
        self.stack.run("stop", "--force")

    def _incomplete(self, context: str) -> str:
        objects = self.stack.objects()
        if objects != self.complete:
            missing, surplus = self.complete - objects, objects - self.complete
            return f"{context}: missing {dict(missing)}, surplus {dict(surplus)}"
        code, output = self.stack.run(*self._preview)
        return "" if code == 0 else f"{context}: the preview has changes: {output[-300:]}"

    def _save(self) -> None:
        self.stop()
        shutil.copytree(self.stack.home, self._copy, symlinks=True)

    def _restore(self) -> None:
        self.stop()
        shutil.rmtree(self.stack.home)
        shutil.copytree(self._copy, self.stack.home, symlinks=True)


def measure(directory: Path) -> list[Row]:
    """Try each kind of damage."""
    damages = Damages(directory)
    kinds, failures, refused = damages.kinds(), list[str](), 0
    try:
        for number, (name, damage) in enumerate(kinds, 1):
            result, failure = damages.try_damage(name, damage)
            refused += result.startswith("refused")
            if failure:
                failures.append(failure)
            report(f"{number} of {len(kinds)}: {name} {damage}: {failure or result}")
    finally:
        damages.stop()
    complete = len(kinds) - refused - len(failures)
    return [
        Row(
            f"{len(kinds)} kinds of damage of the sandbox's files",
            f"{complete} complete, {refused} refused with a remedy that works",
            "",
            "",
            f"{len(kinds)}",
            not failures,
        )
    ]
