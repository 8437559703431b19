"""The build of the Pulumi CLI into the user's cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.runtime import go_build, pulumi_build, pulumi_cli


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return tmp_path


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_missing_go_is_named_with_its_version(cache: Path) -> None:
    with pytest.raises(go_build.BuildError, match=r"needs Go 1\.\d+\.\d+ or newer.*Install Go"):
        pulumi_build.build()
    assert pulumi_build.built() is None


def test_go_that_is_too_old_is_refused_with_its_reason(cache: Path) -> None:
    script(cache / "bin" / "go", "echo 'go: go.mod requires go >= 1.26' >&2; exit 1")
    with pytest.raises(go_build.BuildError, match=r"go\.mod requires go >= 1\.26.*newer Go"):
        pulumi_build.build()


def test_cli_is_built_once_with_the_language_host_next_to_it(cache: Path) -> None:
    # This `go` writes a `pulumi` that prints its version to the path after -o.
    script(
        cache / "bin" / "go",
        'echo built >> "$XDG_CACHE_HOME/../builds"\n'
        'while [ "$1" != -o ] && [ $# -gt 0 ]; do shift; done\n'
        '[ -z "$2" ] || { printf "#!/bin/sh\\necho v3.274.1\\n" > "$2"; /bin/chmod +x "$2"; }',
    )
    path = pulumi_build.build()
    builds = (cache / "builds").read_text()
    assert pulumi_build.build() == path
    assert (cache / "builds").read_text() == builds
    result = pulumi_cli.find()
    assert result == pulumi_cli.PulumiCli(str(path), "v3.274.1")
    assert result.covered
    assert os.access(path.with_name("pulumi-language-python"), os.X_OK)


def test_cli_on_path_takes_precedence(cache: Path) -> None:
    directory = pulumi_build.directory()
    directory.mkdir(parents=True)
    for folder, version in ((directory, "v3.274.1"), (cache / "bin", "v3.270.0")):
        script(folder / "pulumi", f"echo {version}")
        script(folder / "pulumi-language-python", "exit 0")
    result = pulumi_cli.find()
    assert result is not None
    assert result.version == "v3.270.0"


def test_language_host_of_a_removed_clone_names_the_remedy(cache: Path) -> None:
    host = pulumi_build.directory() / "pulumi-language-python"
    host.parent.mkdir(parents=True)
    pulumi_build._install_language_host(host)
    environment = {"SANDBOX_PYTHON": str(cache / "gone")}
    ran = subprocess.run([host], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "run `make pulumi` again" in ran.stderr
    assert sys.executable in host.read_text()
