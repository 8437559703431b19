"""An event of a repository, as webhooks report it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SourceEvent:
    """A push, or a change of a pull request.

    `kind` is the name of the event in CodeBuild's webhooks. `pull_request` is 0 for a push.
    """

    repository: str
    kind: str
    head_ref: str
    commit: str
    base_ref: str = ""
    pull_request: int = 0

    @property
    def source_version(self) -> str:
        """The version that a build checks out."""
        return f"pr/{self.pull_request}" if self.pull_request else self.commit

    @property
    def trigger(self) -> str:
        """Value of CODEBUILD_WEBHOOK_TRIGGER."""
        if self.pull_request:
            return f"pr/{self.pull_request}"
        kind, _, name = self.head_ref.removeprefix("refs/").partition("/")
        return f"{'tag' if kind == 'tags' else 'branch'}/{name}"
