"""One issue for the drift of all environments: opened, updated and closed by the nightly run."""

from __future__ import annotations

from collections.abc import Sequence

from github_actions import comment
from github_actions.api import GitHub
from github_actions.results import Preview

LABEL = "drift"
MARKER = "<!-- drift of the environments -->"
TITLE = "The environments differ from the program"
_ADVICE = (
    "These resources were changed outside of the program. Either change the program to match, or "
    "run the deploy workflow, which reverts the changes."
)


def report(github: GitHub, previews: Sequence[Preview]) -> str:
    """Open, update or close the issue, and say which.

    An environment whose preview failed says nothing about drift: the issue is not closed.
    """
    drifted = [preview for preview in previews if preview.succeeded and preview.changed]
    failed = [preview.stack for preview in previews if not preview.succeeded]
    issue = github.open_issue(LABEL, MARKER)
    if drifted:
        text = comment.body(drifted).replace(comment.marker(), MARKER, 1)
        text = text.replace("## Preview", TITLE, 1)
        text = f"{text}\n{_ADVICE}\n"
        if issue is None:
            created = github.create_issue(TITLE, text, LABEL)
            return f"opened issue {created['number']}"
        github.update_issue(issue["number"], body=text)
        return f"updated issue {issue['number']}"
    if issue is None:
        return "no drift"
    if failed:
        return f"issue {issue['number']} stays open: the preview of {', '.join(failed)} failed"
    github.comment(issue["number"], "The environments match the program again.")
    github.update_issue(issue["number"], state="closed", state_reason="completed")
    return f"closed issue {issue['number']}"
