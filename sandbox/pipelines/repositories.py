"""Bare git repositories that stand in for those on GitHub, one for each owner/name."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

PUSHES = "pushes"
_FORMAT = "%H%x00%aI%x00%an%x00%ae%x00%s%x00%B"
_SECONDS = 120.0


class RepositoryError(Exception):
    """A repository, branch or commit does not exist; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit."""

    id: str
    author_date: str
    author_name: str
    author_email: str
    subject: str
    message: str


class Repositories:
    """Repositories in `directory`: OWNER/NAME.git."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, name: str) -> Path:
        """Return the path of a repository. Raises RepositoryError for an invalid name."""
        owner, _, repository = name.partition("/")
        if not owner or not repository or any(part in {".", ".."} for part in name.split("/")):
            raise RepositoryError(f"{name!r} is not a repository's OWNER/NAME")
        return self.directory / f"{name}.git"

    def create(self, name: str, branch: str = "main") -> Path:
        """Create a repository whose pushes start pipelines, unless it exists; return its path."""
        path = self.path(name)
        if not (path / "HEAD").exists():
            path.mkdir(parents=True, exist_ok=True)
            _git("init", "--bare", "--quiet", f"--initial-branch={branch}", str(path))
            _git("-C", str(path), "config", "receive.shallowUpdate", "true")
        (path / PUSHES).mkdir(exist_ok=True)
        hook = path / "hooks" / "post-receive"
        hook.parent.mkdir(exist_ok=True)
        script = resources.files("sandbox.pipelines").joinpath("post-receive.sh").read_text()
        if not hook.exists() or hook.read_text() != script:
            hook.write_text(script)
            hook.chmod(0o755)
        return path

    def names(self) -> list[str]:
        """Return the repositories that exist."""
        paths = sorted(self.directory.glob("*/*.git"))
        return [f"{path.parent.name}/{path.name.removesuffix('.git')}" for path in paths]

    def commit(self, name: str, revision: str) -> Commit:
        """Return a commit by ID, branch or tag. Raises RepositoryError."""
        path = self.path(name)
        if not path.exists():
            raise RepositoryError(
                f"The repository {name} does not exist in the sandbox; `sandbox connection accept` "
                "creates it, and `git push` fills it"
            )
        try:
            text = _git("-C", str(path), "log", "-1", f"--format={_FORMAT}", revision, "--")
        except RepositoryError:
            shown = revision.removeprefix("refs/heads/")
            what = "branch" if shown != revision else "commit"
            raise RepositoryError(
                f"The {what} {shown} does not exist in the repository {name}"
            ) from None
        id, date, author, email, subject, message = text.decode(errors="replace").split("\0", 5)
        return Commit(
            id=id,
            author_date=date,
            author_name=author,
            author_email=email,
            subject=subject,
            message=message.strip(),
        )

    def archive(self, name: str, commit: str) -> bytes:
        """Return a zip archive of a commit."""
        return _git("-C", str(self.path(name)), "archive", "--format=zip", commit)

    def changed_files(self, name: str, old: str, new: str) -> list[str]:
        """Return the paths that differ between two commits; all of `new` without an old one."""
        path = str(self.path(name))
        if set(old) == {"0"}:
            listing = _git("-C", path, "ls-tree", "-r", "-z", "--name-only", new)
        else:
            listing = _git("-C", path, "diff", "-z", "--name-only", old, new)
        return [item for item in listing.decode(errors="replace").split("\0") if item]


def _git(*arguments: str) -> bytes:
    try:
        # Within a hook, GIT_DIR and others would select another repository.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        ran = subprocess.run(
            ["git", *arguments],
            env=environment,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
        )
    except FileNotFoundError:
        raise RepositoryError("git is not on PATH; install git") from None
    except subprocess.TimeoutExpired:
        raise RepositoryError(f"git {arguments[0]} took longer than {_SECONDS:.0f} s") from None
    if ran.returncode != 0:
        lines = ran.stderr.decode(errors="replace").strip().splitlines()
        raise RepositoryError(lines[-1] if lines else f"git {arguments[0]} failed")
    return ran.stdout
