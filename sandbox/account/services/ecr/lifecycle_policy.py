"""Which images an ECR lifecycle policy expires. Pure arithmetic on a policy document and a list of images.

Source: Amazon ECR user guide, "Lifecycle policy evaluation rules": every rule looks at all images; an image that matches
a rule's tag selection is out of reach of the rules with lower priority, though they still count it; an image with a
subject (an SBOM, a signature) and an image that a list refers to go with what they belong to.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

DAY = 86400.0


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An image as a policy sees it; `pushed_at` is seconds since the epoch, `bound` that it goes with another image."""

    digest: str
    tags: tuple[str, ...]
    pushed_at: float
    bound: bool = False


def expired(policy: str, images: Sequence[Candidate], now: float) -> dict[str, int]:
    """Return the digests that the policy expires at `now`, each with the priority of the rule that does it.

    `images` are in the order of their pushes, `now` is in seconds since the epoch.
    """
    gone: dict[str, int] = {}
    decided: set[str] = set()
    # ECR's times have whole seconds, so the order of the pushes decides between equals.
    newest_first = sorted(
        (image for image in reversed(images) if not image.bound), key=lambda image: -image.pushed_at
    )
    for rule in sorted(json.loads(policy)["rules"], key=lambda rule: int(rule["rulePriority"])):
        selection = rule["selection"]
        matching = [image for image in newest_first if _selects(selection, image.tags)]
        count = int(selection["countNumber"])
        if selection["countType"] == "imageCountMoreThan":
            due = matching[count:]
        else:  # sinceImagePushed, whose only unit is days
            due = [image for image in matching if image.pushed_at < now - count * DAY]
        gone.update(
            {
                image.digest: int(rule["rulePriority"])
                for image in due
                if image.digest not in decided
            }
        )
        decided.update(image.digest for image in matching)
    return gone


def _selects(selection: dict[str, Any], tags: Sequence[str]) -> bool:
    status = selection["tagStatus"]
    if status == "any":
        return True
    if status == "untagged":
        return not tags
    prefixes, patterns = selection.get("tagPrefixList", []), selection.get("tagPatternList", [])
    return (
        bool(tags)
        and all(any(tag.startswith(prefix) for tag in tags) for prefix in prefixes)
        and all(any(fnmatchcase(tag, pattern) for tag in tags) for pattern in patterns)
    )
