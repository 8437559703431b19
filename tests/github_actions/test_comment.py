"""The comment of a pull request and the issue about drift."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from github_actions import comment
from github_actions.__main__ import commands
from github_actions.api import MAX_BODY, GitHub, GitHubError
from github_actions.results import Change, Preview, Step, of_pulumi, of_sandbox, read
from tests.github_actions.fake_github import FakeGitHub

COMMIT = "a" * 40


def urn(kind: str, name: str) -> str:
    return f"urn:pulumi:dev::platform::platform:index:X${kind}::{name}"


def preview(stack: str = "dev", *steps: Step, **fields: Any) -> Preview:
    counts = dict.fromkeys(("create", "update", "replace", "delete", "same"), 0)
    for step in steps:
        counts[step.op] += 1
    return Preview(stack, **{"succeeded": True, "counts": counts, "steps": steps, **fields})


NAT = Step("create", urn("aws:ec2/natGateway:NatGateway", "nat"))
DATABASE = Step("delete", urn("aws:rds/instance:Instance", "database"))
VPC = Step(
    "replace",
    urn("aws:ec2/vpc:Vpc", "network"),
    (Change("cidrBlock", "update", "10.0.0.0/16", "10.1.0.0/16", replaces=True),),
)
POLICY = Step(
    "update",
    urn("aws:iam/rolePolicy:RolePolicy", "pipeline"),
    (Change("policy", "update", '{"a": [1, 2]}', '{"a": [1, 3]}'),),
)


def invoke(*arguments: str) -> tuple[int, str]:
    ran = CliRunner().invoke(commands, list(arguments))
    return ran.exit_code, ran.output


def write(directory: Path, *previews: Preview) -> list[str]:
    for item in previews:
        item.write(directory / f"{item.stack}.json")
    return [str(directory / f"{item.stack}.json") for item in previews]


def test_comment_has_counts_warnings_and_the_property_diff_of_each_environment() -> None:
    text = comment.body([preview("dev", NAT, VPC, DATABASE, POLICY), preview("prod")], "abc")
    assert "| **dev** | 1 | 1 | 1 | 1 | 0 |" in text
    assert "**data loss**: delete of `aws:rds:Instance` `database` deletes the database" in text
    assert "replacement of `aws:ec2:Vpc` `network` because of `cidrBlock`" in text
    assert "**cost**: +32.85 USD per month of fixed charges (+1 aws:ec2:NatGateway;" in text
    assert '!    cidrBlock: "10.0.0.0/16" => "10.1.0.0/16"  (replaces)' in text
    assert "!    policy: (json)\n!        a[1]: 2 => 3" in text
    assert "### prod: no changes" in text


def test_long_diff_is_cut_at_lines_within_the_limit_of_github() -> None:
    steps = [Step("create", urn("aws:ec2/vpc:Vpc", f"network-{n}" * 10)) for n in range(2000)]
    text = comment.body([preview("dev", *steps), preview("prod", *steps)], "abc")
    assert len(text) <= MAX_BODY
    assert text.count("more lines are in the workflow's log.") == 2
    assert text.count("```") == 4


def test_many_warnings_of_a_fork_leave_room_for_all_environments() -> None:
    loss = Step("delete", urn("aws:rds/instance:Instance", "d" * 300))
    previews = [
        preview(stack, *[loss] * 400, warnings=("w" * 5_000,) * 400) for stack in ("dev", "prod")
    ]
    text = comment.body(previews, COMMIT)
    assert len(text) <= MAX_BODY
    for stack in ("dev", "prod"):
        assert f"### :warning: {stack}\n\n- **data loss**" in text
        assert f"<summary>{stack}: 400 resources to change</summary>" in text
    assert text.count("more lines are in the workflow's log") == 4


def test_issue_about_much_drift_fits(github: FakeGitHub, tmp_path: Path) -> None:
    long = Step("update", NAT.urn, (Change("p", "update", "a" * 9, "b" * 9),) * 5_000)
    assert invoke("drift", *write(tmp_path, preview("dev", long))) == (0, "opened issue 1\n")
    assert MAX_BODY - 2_000 < len(github.issues[1]["body"]) <= MAX_BODY


def test_warning_contains_no_link() -> None:
    text = comment.body([preview(warnings=("[a](https://b.test) ![c](https://d.test) [e][f]",))])
    assert "](" not in text
    assert "][" not in text


def test_text_of_a_change_can_neither_end_the_fence_nor_notify_people() -> None:
    change = Change("note", "update", "a", "```\n@everyone <script>")
    hostile = preview(
        "dev",
        Step("update", urn("x:y:Z", "a"), (change,)),
        warnings=("@everyone <b>see</b>",),
    )
    text = comment.body([hostile])
    assert text.count("```") == 2
    assert "@everyone" not in text.split("<details>")[0]
    assert "&lt;b>" in text


def test_failed_preview_shows_its_errors() -> None:
    failed = preview("dev", succeeded=False, counts={}, errors=("network.zones: is missing",))
    text = comment.body([failed])
    assert "| **dev** | failed |" in text
    assert "network.zones: is missing" in text


def test_next_push_updates_the_same_comment(github: FakeGitHub, tmp_path: Path) -> None:
    for number in range(250):
        github.add_comment(7, f"discussion {number}", login="person")
    files = write(tmp_path, preview("dev", NAT), preview("prod"))
    assert invoke("comment", "--pull-request", "7", "--commit", COMMIT, *files)[0] == 0
    files = write(tmp_path, preview("dev"), preview("prod"))
    code, output = invoke("comment", "--pull-request", "7", "--commit", COMMIT, *files)
    assert (code, github.writes) == (0, ["POST issues/7/comments", "PATCH issues/comments/1250"])
    assert output.strip() == github.comments[1250]["html_url"]
    assert "### dev: no changes" in github.comments[1250]["body"]


def test_request_of_a_fork_is_found_by_its_commit(github: FakeGitHub, tmp_path: Path) -> None:
    github.pull_requests = [
        {"number": 3, "state": "open", "head": {"sha": COMMIT}},
        {"number": 4, "state": "closed", "head": {"sha": COMMIT}},
        {"number": 5, "state": "open", "head": {"sha": "b" * 40}},
    ]
    files = write(tmp_path, preview("dev"))
    assert invoke("comment", "--commit", COMMIT, *files)[0] == 0
    assert github.writes == ["POST issues/3/comments"]


def test_refused_request_names_method_path_and_reason(github: FakeGitHub) -> None:
    with pytest.raises(GitHubError, match=r"GET issues/7/comments.*: 401 .*Bad credentials"):
        GitHub("example/platform", "wrong", github.url).write_comment(7, "<!-- x -->", "body")
    with pytest.raises(GitHubError, match=r"POST issues/7/comments: 422 .*Validation Failed"):
        GitHub("example/platform", "ghs_test", github.url).write_comment(7, "<!-- x -->", "")


def test_drift_opens_updates_and_closes_one_issue(github: FakeGitHub, tmp_path: Path) -> None:
    drifted = write(tmp_path / "1", preview("dev", POLICY), preview("prod"))
    assert invoke("drift", *drifted) == (0, "opened issue 1\n")
    assert invoke("drift", *drifted) == (0, "updated issue 1\n")
    assert "a[1]: 2 => 3" in github.issues[1]["body"]
    assert github.issues[1]["body"].count("prod") == 0
    clean = write(tmp_path / "2", preview("dev"), preview("prod"))
    assert invoke("drift", *clean) == (0, "closed issue 1\n")
    assert github.issues[1]["state"] == "closed"
    assert invoke("drift", *clean) == (0, "no drift\n")


def test_failed_preview_neither_closes_the_issue_nor_counts_as_drift(
    github: FakeGitHub, tmp_path: Path
) -> None:
    invoke("drift", *write(tmp_path / "1", preview("dev", POLICY)))
    failed = preview("prod", succeeded=False, counts={}, errors=("no credentials",))
    code, output = invoke("drift", *write(tmp_path / "2", preview("dev"), failed))
    assert code == 1
    assert "issue 1 stays open: the preview of prod failed" in output
    assert "not checked for drift: prod: no credentials" in output
    assert github.issues[1]["state"] == "open"


@pytest.mark.parametrize(("typed", "code"), [("prod", 0), ("dev", 1), ("", 1), ("prod ", 1)])
def test_destroy_needs_the_name_of_the_stack(typed: str, code: int) -> None:
    assert invoke("confirm", "--stack", "prod", "--typed", typed)[0] == code


def test_result_survives_the_artifact(tmp_path: Path) -> None:
    result = preview("dev", VPC, POLICY, warnings=("w",), errors=("e",))
    result.write(tmp_path / "dev.json")
    assert read(tmp_path / "dev.json") == result


@pytest.mark.parametrize(
    "change",
    [
        {"stack": "dev | [click](https://evil.example)"},
        {"where": "<img>"},
        {"counts": {"create": "@everyone"}},
        {"steps": [{"op": "create\n```\n# hi", "urn": "a", "changes": []}]},
        {"warnings": "text"},
    ],
)
def test_result_that_a_fork_has_forged_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    content = {"stack": "dev", "succeeded": True, "counts": {}, "steps": []} | change
    (tmp_path / "dev.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="validation error"):
        read(tmp_path / "dev.json")


def test_document_of_pulumi_is_read() -> None:
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
    document = {
        "steps": [
            {
                "op": "update",
                "urn": urn("aws:rds/instance:Instance", "database"),
                "oldState": {"inputs": {"password": secret, "tags": {"a": "1"}, "names": ["x"]}},
                "newState": {"inputs": {"password": secret, "tags": {"a": "2"}, "names": []}},
                "detailedDiff": {
                    "password": {"kind": "update"},
                    "tags.a": {"kind": "update-replace"},
                    "names[0]": {"kind": "delete"},
                },
            },
            {"op": "create-replacement", "urn": urn("aws:ec2/vpc:Vpc", "network")},
            {"op": "replace", "urn": urn("aws:ec2/vpc:Vpc", "network")},
            {"op": "delete-replaced", "urn": urn("aws:ec2/vpc:Vpc", "network")},
            {"op": "same", "urn": urn("aws:ec2/eip:Eip", "ip")},
        ],
        "diagnostics": [
            {"severity": "warning", "urn": urn("a:b:C", "x"), "message": "careful"},
            {"severity": "info", "message": "nothing"},
        ],
        "changeSummary": {"update": 1, "replace": 1, "same": 1},
    }
    result = of_pulumi("dev", document)
    assert [(step.op, len(step.changes)) for step in result.steps] == [
        ("update", 3),
        ("replace", 0),
    ]
    assert result.steps[0].changes == (
        Change("names[0]", "delete", "x", None),
        Change("password", "update", "[secret]", "[secret]"),
        Change("tags.a", "update", "1", "2", replaces=True),
    )
    assert (result.counts["replace"], result.changed, result.warnings) == (1, 2, ("x: careful",))
    assert result.succeeded


def test_document_of_a_refused_sandbox_preview_is_read() -> None:
    document = {"result": "failed", "error": "Pulumi.dev.yaml has 1 problem", "changes": {}}
    result = of_sandbox("dev", document, failed=True)
    assert (result.succeeded, result.errors) == (False, ("Pulumi.dev.yaml has 1 problem",))
