"""The image of a container."""

from __future__ import annotations

import pytest

from sandbox.console.images import repository_and_digest

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("reference", "image"),
    [
        (f"localhost:21975/platform-dev/image@{DIGEST}", f"platform-dev/image@{DIGEST}"),
        (f"localhost:21975/platform-dev/image:v1@{DIGEST}", f"platform-dev/image@{DIGEST}"),
        (f"123.dkr.ecr.us-east-1.amazonaws.com/a@{DIGEST}", f"a@{DIGEST}"),
        (f"docker-pullable://localhost:1/a@{DIGEST}", f"a@{DIGEST}"),
        ("localhost:21975/platform-dev/image:v1", ""),
        (DIGEST, ""),
        ("", ""),
    ],
)
def test_image_has_repository_and_digest(reference: str, image: str) -> None:
    assert repository_and_digest(reference) == image
