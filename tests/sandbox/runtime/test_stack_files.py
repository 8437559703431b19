"""The stack file of a run: overrides, stand-ins for encrypted values, invalid files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.engine.state.passphrase import PassphraseSecrets
from sandbox.runtime.home import Home
from sandbox.runtime.stack_files import StackFileError, UnknownStackError, prepare


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text(
        "config:\n  aws:region: eu-west-1\n  shop:network:\n    zones: 2\n    cidrs: [a, b]\n"
    )
    return tmp_path


def prepared(project: Path, *overrides: str, stack: str = "dev") -> dict[str, Any]:
    file = prepare(Home(project / "home"), project, stack, overrides)
    content = yaml.safe_load(file.path.read_text())
    assert isinstance(content, dict)
    return content


def test_project_stack_file_is_never_written(project: Path) -> None:
    before = (project / "Pulumi.dev.yaml").read_bytes()
    prepared(project, "network.zones=3")
    assert (project / "Pulumi.dev.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("network.zones=3", {"shop:network": {"zones": 3, "cidrs": ["a", "b"]}}),
        ("shop:network.zones=3", {"shop:network": {"zones": 3, "cidrs": ["a", "b"]}}),
        ("network.cidrs[1]=c", {"shop:network": {"zones": 2, "cidrs": ["a", "c"]}}),
        ("network.cidrs[2]=c", {"shop:network": {"zones": 2, "cidrs": ["a", "b", "c"]}}),
        (
            "network.nat.mode=single",
            {"shop:network": {"zones": 2, "cidrs": ["a", "b"], "nat": {"mode": "single"}}},
        ),
        (
            "lifecycle=ephemeral",
            {"shop:network": {"zones": 2, "cidrs": ["a", "b"]}, "shop:lifecycle": "ephemeral"},
        ),
        (
            "tags={a: b}",
            {"shop:network": {"zones": 2, "cidrs": ["a", "b"]}, "shop:tags": {"a": "b"}},
        ),
        (
            "version=1.35",
            {"shop:network": {"zones": 2, "cidrs": ["a", "b"]}, "shop:version": "1.35"},
        ),
        (
            "window=1:30",
            {"shop:network": {"zones": 2, "cidrs": ["a", "b"]}, "shop:window": "1:30"},
        ),
        ("on=true", {"shop:network": {"zones": 2, "cidrs": ["a", "b"]}, "shop:on": True}),
        ("note=", {"shop:network": {"zones": 2, "cidrs": ["a", "b"]}, "shop:note": ""}),
    ],
)
def test_override_sets_the_addressed_value(
    project: Path, override: str, expected: dict[str, Any]
) -> None:
    assert prepared(project, override)["config"] == {"aws:region": "eu-west-1", **expected}


def opened(project: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration's decrypted secrets."""
    secrets = PassphraseSecrets(Home(project / "home").passphrase(), content["encryptionsalt"])
    result = {
        key: value if isinstance(value, list) else [value]
        for key, value in content["config"].items()
    }
    secret = {
        key: items
        for key, items in result.items()
        if all(isinstance(i, dict) and "secure" in i for i in items)
    }
    clear = {
        key: [secrets.decrypt(item["secure"]) for item in items] for key, items in secret.items()
    }
    return {
        key: clear[key] if isinstance(content["config"][key], list) else clear[key][0]
        for key in clear
    }


def test_override_of_a_secret_key_is_encrypted(project: Path) -> None:
    content = prepared(
        project, "workload.secrets=[TOKEN]", "TOKEN=plain", "PLAIN={secure: 5}", "network.zones=3"
    )
    assert opened(project, content) == {"shop:TOKEN": "plain", "shop:PLAIN": "5"}
    assert "plain" not in str(content)


@pytest.mark.parametrize(
    "override",
    ["network.zones", "=3", "network..zones=3", "network.cidrs[x]=3", "network.cidrs[9]=c", "a={"],
)
def test_invalid_override_is_refused_with_its_text(project: Path, override: str) -> None:
    with pytest.raises(StackFileError, match=r"^-c "):
        prepared(project, override)


def test_unknown_stack_is_refused_with_the_existing_names(project: Path) -> None:
    with pytest.raises(UnknownStackError, match=r"no stack 'prod'.*Stacks of this project: dev\."):
        prepared(project, stack="prod")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("config: [", "not valid YAML"),
        ("- a\n", "top level must be a mapping"),
        ("config: text\n", "`config` must be a mapping"),
        ("\ta: b", "line 1"),
        ("config: {null: 1}\n", "'null' is not text; quote it"),
        ("config: {p:a: {1: x}}\n", "'1' is not text; quote it"),
        ("config: {true: 1}\n", "'true' is not text; quote it"),
        ("config: &a {p:a: *a}\n", "line 1: not valid YAML: an anchor contains itself"),
        ("config: {p:a: " + "[" * 2000 + "]" * 2000 + "}\n", "nested more than 60 levels deep"),
        (
            "config: {p:a: " + "1" * 5000 + "}\n",
            r"line 1: not valid YAML: '1{40}…' is ambiguous; quote it",
        ),
        ("config: {p:keep: 1:30}\n", "'1:30' is ambiguous; quote it, or write true, false"),
        ("config:\n  p:on: yes\n", "line 2: not valid YAML: 'yes' is ambiguous"),
        ("config:\n  p:day: 2020-01-01\n", "'2020-01-01' is ambiguous"),
        ("config:\n  p:mode: 010\n", "'010' is ambiguous"),
        ("config: {p:a: " + "x" * 130_000 + "}\n", "p:a has 130002 bytes; all settings together"),
        (
            "config:\n  a: &a [x,x,x,x,x,x,x,x,x,x]\n"
            + "".join(
                f"  {b}: &{b} [{','.join(['*' + a] * 10)}]\n"
                for a, b in zip("abcde", "bcdef", strict=True)
            ),
            "more than 50000 values after aliases are expanded",
        ),
    ],
)
def test_an_invalid_stack_file_is_refused_with_its_name(
    project: Path, text: str, reason: str
) -> None:
    (project / "Pulumi.bad.yaml").write_text(text)
    with pytest.raises(StackFileError, match=reason) as refused:
        prepared(project, stack="bad")
    assert "Pulumi.bad.yaml" in str(refused.value)


def test_encrypted_value_is_replaced_by_a_stable_stand_in(project: Path) -> None:
    (project / "Pulumi.real.yaml").write_text(
        "secretsprovider: awskms://alias/x\nencryptedkey: AAAA\nconfig:\n  shop:token:\n    "
        "secure: v1:abc\n  shop:list: [{secure: v1:def}]\n"
    )
    first = opened(project, prepared(project, stack="real"))
    assert first == opened(project, prepared(project, stack="real"))
    assert first["shop:token"].startswith("sandbox-")
    assert first["shop:token"] != first["shop:list"][0]
    assert not {"secretsprovider", "encryptedkey"} & set(prepared(project, stack="real"))
    file = prepare(Home(project / "home"), project, "real")
    assert [note.split(" ", 1)[0] for note in file.notes] == ["shop:token", "shop:list[0]"]
    assert file.path.stat().st_mode & 0o077 == 0


def test_salt_of_the_sandbox_is_kept_by_the_next_run(project: Path) -> None:
    home = Home(project / "home")
    file = prepare(home, project, "dev")
    file.path.write_text(file.path.read_text() + "encryptionsalt: v1:salt\n")
    assert prepared(project, "network.zones=3")["encryptionsalt"] == "v1:salt"


def test_duplicate_key_is_refused_with_its_line(project: Path) -> None:
    (project / "Pulumi.dev.yaml").write_text(
        "config:\n  shop:a: 1\n  shop:b: {x: 1}\n  shop:a: 2\n"
    )
    with pytest.raises(StackFileError, match=r"Pulumi.dev.yaml, line 4: .*'shop:a' occurs twice"):
        prepared(project)


def test_preview_with_overrides_does_not_change_the_stack_file_of_a_run(project: Path) -> None:
    home = Home(project / "home")
    run = prepare(home, project, "dev")
    before = run.path.read_bytes()
    assert prepare(home, project, "dev", ["network.zones=3"]).path != run.path
    assert run.path.read_bytes() == before
