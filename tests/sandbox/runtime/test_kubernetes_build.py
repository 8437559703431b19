"""The build of the Kubernetes control plane into the user's cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.runtime import go_build, kubernetes_build
from settings.types import KUBERNETES_SUPPORT
from tests.sandbox.runtime.test_pulumi_build import script

# This `go` reports the directory of a module, or writes programs to the directory after -o.
GO = """
if [ "$1" = list ]; then echo "$STAGES_MODULE"; exit 0; fi
while [ "$1" != -o ] && [ $# -gt 0 ]; do shift; done
[ -n "$2" ] || exit 0
echo built >> "$XDG_CACHE_HOME/../builds"
if [ ! -d "$2" ]; then echo program > "$2"; /bin/chmod +x "$2"; exit 0; fi
for name in kube-apiserver kube-controller-manager kube-scheduler server; do
  echo program > "$2/$name"; /bin/chmod +x "$2/$name"
done
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("STAGES_MODULE", str(tmp_path / "kwok"))
    (tmp_path / "bin").mkdir()
    return tmp_path


def test_pinned_version_is_the_newest_that_the_settings_support() -> None:
    newest = max(KUBERNETES_SUPPORT, key=lambda version: [int(n) for n in version.split(".")])
    assert kubernetes_build.version().startswith(f"v{newest}.")


def test_missing_go_is_named_with_its_version(cache: Path) -> None:
    with pytest.raises(go_build.BuildError, match=r"needs Go 1\.\d+\.\d+ or newer.*Go\.$"):
        kubernetes_build.build()
    assert kubernetes_build.built() is None


def test_programs_are_built_once_with_the_rules_of_kwok(cache: Path) -> None:
    script(cache / "bin" / "go", GO)
    for folder in ("node/fast", "node/heartbeat-with-lease", "pod/fast"):
        rules = cache / "kwok" / "kustomize" / "stage" / folder
        rules.mkdir(parents=True)
        (rules / "rule.yaml").write_text(f"rule: {folder}\n")
        (rules / "kustomization.yaml").write_text("resources: []\n")
    path = kubernetes_build.build()
    assert kubernetes_build.built() == path == kubernetes_build.build()
    assert (cache / "builds").read_text() == "built\n" * 2
    assert (path / "etcd").is_file()
    stages = (path / kubernetes_build.STAGES).read_text()
    assert stages.count("rule: ") == 3
    assert "resources" not in stages


def test_module_without_rules_leaves_no_programs(cache: Path) -> None:
    script(cache / "bin" / "go", GO)
    with pytest.raises(go_build.BuildError, match="has no rules"):
        kubernetes_build.build()
    assert kubernetes_build.built() is None
