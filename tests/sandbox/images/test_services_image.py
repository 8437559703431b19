"""The service's image in the registry: reproducible digest, SBOM."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import requests

from sandbox.images import BuildRequest, engines
from tests.sandbox.images import machine
from tests.sandbox.images.conftest import APP, BuiltApp, FixedBuilder

COMMIT_ARGUMENTS = {
    "REVISION": "0123abc",
    "VERSION": "1.2.3",
    "CREATED": "2023-11-14T22:13:20Z",
    "SOURCE_DATE_EPOCH": "1700000000",
}


@pytest.mark.parametrize("name", ["docker", "buildah"])
def test_two_builds_of_a_commit_have_the_same_digest(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    engine: engines.Engine = request.getfixturevalue(name)
    machine.base_makers_or_skip()
    digests = []
    for number in range(2):
        clone = tmp_path / f"clone{number}" / "app"
        # As in a clone, every file is new; caches are not part of the commit.
        shutil.copytree(
            APP, clone, ignore=shutil.ignore_patterns("__pycache__"), copy_function=shutil.copy
        )
        (clone / "__pycache__").mkdir()
        (clone / "__pycache__" / "left.pyc").write_text(str(number))
        home = tmp_path / f"home{number}"
        home.mkdir()
        build_request = BuildRequest(
            context=clone,
            dockerfile=clone / "Dockerfile",
            platform="linux/amd64",
            network="host",
            args=COMMIT_ARGUMENTS,
            epoch=1_700_000_000,
        )
        digests.append(
            FixedBuilder(home, without_cache(engine, home)).build(build_request, None, None).digest
        )
    assert digests[0] == digests[1]


def without_cache(engine: engines.Engine, home: Path) -> engines.Engine:
    """Return the builder without its cache."""
    if isinstance(engine, engines.BuildahEngine):
        return engines.BuildahEngine(engine.program, home / "store")
    assert isinstance(engine, engines.DockerEngine)
    program = home / "docker"
    program.write_text(
        f'#!/bin/sh\nif [ "$1" = build ]; then shift; exec {engine.program} build --no-cache '
        f'"$@"; fi\nexec {engine.program} "$@"\n'
    )
    program.chmod(0o755)
    return engines.DockerEngine(str(program), engine.environment)


def test_sbom_lists_the_packages_of_the_image(app: BuiltApp) -> None:
    host, _, name = app.reference.partition("@")[0].partition("/")
    url = f"http://{host}/v2/{name}"
    [about] = requests.get(
        f"{url}/referrers/{app.outcome.digest}", auth=app.auth, timeout=60
    ).json()["manifests"]
    assert about["artifactType"] == "application/spdx+json"
    manifest = requests.get(f"{url}/manifests/{about['digest']}", auth=app.auth, timeout=60).json()
    assert manifest["subject"]["digest"] == app.outcome.digest
    bill = requests.get(
        f"{url}/blobs/{manifest['layers'][0]['digest']}", auth=app.auth, timeout=60
    ).json()
    assert bill["spdxVersion"] == "SPDX-2.3"
    listed = {
        reference["referenceLocator"]
        for it in bill["packages"]
        for reference in it.get("externalRefs", [])
    }

    locked = dict(
        re.findall(
            r"^([a-z0-9._-]+)==([^\s;]+)", (APP / "requirements.txt").read_text(), re.MULTILINE
        )
    )
    python = {it.removeprefix("pkg:pypi/") for it in listed if it.startswith("pkg:pypi/")}
    assert {
        f"{package}@{locked[package]}" for package in ("flask", "granian", "sqlalchemy", "psycopg")
    } <= python
    assert python <= {f"{package}@{version}" for package, version in locked.items()}
    debian = {it.rpartition("@")[0] for it in listed if it.startswith("pkg:deb/")}
    assert {"pkg:deb/debian/libc6", "pkg:deb/debian/python3.11-minimal"} <= debian
