"""Evaluates ECR lifecycle policies.

Source: Amazon ECR user guide, "Lifecycle policy evaluation rules": each rule considers all images;
an image that a rule selects cannot be expired by rules of lower priority, which still count it; an
image with a subject (an SBOM, a signature) and an image of a list expire with what they belong to.
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
    """An image under evaluation: `pushed_at` is seconds since the epoch; `bound` images expire with
    another one.
    """

    digest: str
    tags: tuple[str, ...]
    pushed_at: float
    bound: bool = False


def expired(policy: str, images: Sequence[Candidate], now: float) -> dict[str, int]:
    """Return the digests that the policy expires at `now`, with the priority of their rule.

    `images` are in push order, `now` is seconds since the epoch.
    """
    expired_digests: dict[str, int] = {}
    decided: set[str] = set()
    # ECR's times have whole seconds; push order decides between equal ones.
    newest_first = sorted(
        (image for image in reversed(images) if not image.bound), key=lambda image: -image.pushed_at
    )
    for rule in sorted(json.loads(policy)["rules"], key=lambda rule: int(rule["rulePriority"])):
        selection = rule["selection"]
        matching = [image for image in newest_first if _selects(selection, image.tags)]
        count = int(selection["countNumber"])
        if selection["countType"] == "imageCountMoreThan":
            due = matching[count:]
        else:  # sinceImagePushed; its only unit is days.
            due = [image for image in matching if image.pushed_at < now - count * DAY]
        expired_digests.update(
            {
                image.digest: int(rule["rulePriority"])
                for image in due
                if image.digest not in decided
            }
        )
        decided.update(image.digest for image in matching)
    return expired_digests


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
