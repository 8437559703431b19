"""What stack files may say, and what is said about those that may not.

Longer than other modules: most of it is one table of refusals, which reads best whole.
"""

import copy
import json
import shlex
from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest

from settings import SECRET, Settings, SettingsError, parse
from settings.errors import Problem
from tests.program.running import ROOT, stack_file

TODAY = date(2026, 11, 22)
ROLE = "arn:aws:iam::123456789012:role/deployer"


def changed(stack: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    raw = copy.deepcopy(stack_file(stack))
    for path, value in changes.items():
        *parents, last = path.split(".")
        place = raw
        for parent in parents:
            place = place[parent]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return raw


def refused(stack: str, changes: Mapping[str, Any]) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        parse(changed(stack, changes), "platform", stack, today=TODAY)
    return caught.value


def only(stack: str, changes: Mapping[str, Any]) -> tuple[str, str, tuple[str, ...]]:
    problems = refused(stack, changes).problems
    assert len(problems) == 1, [problem.wrong for problem in problems]
    return ".".join(map(str, problems[0].path)), problems[0].wrong, problems[0].mends


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_stack_files_of_the_project_are_sound(stack: str) -> None:
    settings = parse(stack_file(stack), "platform", stack, today=TODAY)
    assert isinstance(settings, Settings)
    assert settings.prefix == f"platform-{stack}"
    assert settings.protected is (stack == "prod")


def test_sections_arrive_as_json_text_from_pulumi() -> None:
    raw = {key: value if isinstance(value, str) else json.dumps(value) for key, value in stack_file("dev").items()}
    assert parse(raw, "platform", "dev", today=TODAY) == parse(stack_file("dev"), "platform", "dev", today=TODAY)


def test_dev_and_prod_have_the_same_architecture_because_a_digest_is_promoted() -> None:
    assert stack_file("dev")["architecture"] == stack_file("prod")["architecture"]


def test_prod_promotes_from_the_repository_that_dev_proves_images_in() -> None:
    dev = parse(stack_file("dev"), "platform", "dev", today=TODAY)
    prod = parse(stack_file("prod"), "platform", "prod", today=TODAY)
    assert prod.pipeline.promote_from == f"{dev.prefix}/image"
    assert dev.pipeline.promote_from is None


def test_every_problem_is_listed_in_one_error_with_file_key_reason_and_command() -> None:
    error = refused("dev", {"network.zons": 3, "lifecycle": "forever", "cluster.nodes.minimum": "two", "netwrk": {}})
    assert str(error) == (
        "Pulumi.dev.yaml has 4 problems; nothing was touched.\n"
        "\n"
        "  platform:lifecycle: must be 'ephemeral' or 'protected'\n"
        "    pulumi config set --path 'platform:lifecycle' ephemeral --stack dev\n"
        "\n"
        "  platform:network.zons: is not a setting; did you mean zones?\n"
        "    pulumi config rm --path 'platform:network.zons' --stack dev\n"
        "    pulumi config set --path 'platform:network.zones' 2 --stack dev\n"
        "\n"
        "  platform:cluster.nodes.minimum: must be a whole number\n"
        "    pulumi config set --path 'platform:cluster.nodes.minimum' 2 --stack dev\n"
        "\n"
        "  platform:netwrk: is not a setting; did you mean network?\n"
        "    pulumi config rm --path 'platform:netwrk' --stack dev\n"
        "    pulumi config set --path 'platform:network.cidr' 10.10.0.0/16 --stack dev\n"
        "    pulumi config set --path 'platform:network.zones' 2 --stack dev\n"
        "    pulumi config set --path 'platform:network.nat' single --stack dev\n"
        "    pulumi config set --path 'platform:network.flow_log_days' 30 --stack dev"
    )


def test_an_error_reaches_the_user_without_a_traceback() -> None:
    import pulumi

    assert issubclass(SettingsError, pulumi.RunError)


def test_an_unknown_stack_is_told_how_to_become_one() -> None:
    with pytest.raises(SettingsError) as caught:
        parse({}, "platform", "qa", today=TODAY)
    assert str(caught.value) == (
        "Pulumi.qa.yaml has 1 problem; nothing was touched.\n"
        "\n"
        "  Pulumi.qa.yaml: holds no platform: settings, or doesn't exist\n"
        "    copy Pulumi.dev.yaml to Pulumi.qa.yaml and change what differs; `pulumi stack ls` lists the stacks there are"
    )


@pytest.mark.parametrize(
    ("stack", "changes", "key", "wrong", "command"),
    [
        (
            "dev",
            {"network.zones": 4},
            "network.zones",
            "must be 2 or 3",
            "pulumi config set --path 'platform:network.zones' 2 --stack dev",
        ),
        (
            "dev",
            {"network.cidr": "10.10.0.0/24"},
            "network.cidr",
            "/24 is too small for three zones of nodes, pods and load balancers: take /16 to /20",
            "pulumi config set --path 'platform:network.cidr' 10.10.0.0/16 --stack dev",
        ),
        (
            "dev",
            {"network.cidr": "10.0.0.0/8", "network.neighbours": []},
            "network.cidr",
            "/8 is larger than AWS allows for a VPC: take /16 to /20",
            "pulumi config set --path 'platform:network.cidr' 10.0.0.0/16 --stack dev",
        ),
        (
            "dev",
            {"network.cidr": "10.20.0.0/16"},
            "network.cidr",
            "10.20.0.0/16 overlaps 10.20.0.0/16, which network.neighbours[0] says it will be connected to",
            "pulumi config set --path 'platform:network.cidr' 10.80.0.0/16 --stack dev",
        ),
        (
            "dev",
            {"cluster.service_cidr": "10.10.64.0/18"},
            "cluster.service_cidr",
            "10.10.64.0/18 overlaps network.cidr, 10.10.0.0/16",
            "pulumi config set --path 'platform:cluster.service_cidr' 172.20.0.0/16 --stack dev",
        ),
        (
            "dev",
            {"network.cidr": "10.10.0.1/16"},
            "network.cidr",
            "must be an IPv4 network whose host bits are zero, such as 10.0.0.0/16",
            "pulumi config set --path 'platform:network.cidr' 10.10.0.0/16 --stack dev",
        ),
        (
            "dev",
            {"network.nat": "none"},
            "network.nat",
            "nodes without NAT can't join or pull images: interface endpoints are missing for ec2, ecr.api, ecr.dkr, eks, "
            "eks-auth, logs, secretsmanager, sts",
            "pulumi config set --path 'platform:network.nat' single --stack dev",
        ),
        (
            "dev",
            {"cluster.version": "1.33"},
            "cluster.version",
            "standard support of Kubernetes 1.33 ended on 2026-07-29",
            "pulumi config set --path 'platform:cluster.version' --type string 1.35 --stack dev",
        ),
        (
            "dev",
            {"cluster.version": 1.35},
            "cluster.version",
            "must be text; in YAML, write it in quotes",
            "pulumi config set --path 'platform:cluster.version' --type string 1.35 --stack dev",
        ),
        (
            "dev",
            {"cluster.version": "1.20"},
            "cluster.version",
            "must be a version that has been tried here: 1.32, 1.33, 1.34, 1.35, in quotes",
            "pulumi config set --path 'platform:cluster.version' --type string 1.35 --stack dev",
        ),
        (
            "dev",
            {"cluster.nodes.release_version": "1.34.1-20260101"},
            "cluster.nodes.release_version",
            "1.34.1-20260101 is a machine image for another Kubernetes than 1.35",
            "pulumi config set --path 'platform:cluster.nodes.release_version' 1.35.0-20260901 --stack dev",
        ),
        (
            "prod",
            {"architecture": "arm64"},
            "cluster.nodes.instance_types.0",
            "m7i.large is amd64, but platform's architecture, and with it the image, is arm64",
            "pulumi config set --path 'platform:cluster.nodes.instance_types[0]' t4g.large --stack prod",
        ),
        (
            "prod",
            {"cluster.nodes.instance_types": ["m7i.large", "m7g.large"]},
            "cluster.nodes.instance_types.1",
            "m7g.large is arm64, but platform's architecture, and with it the image, is amd64",
            "pulumi config set --path 'platform:cluster.nodes.instance_types[1]' t3.large --stack prod",
        ),
        (
            "dev",
            {"cluster.nodes.minimum": 9},
            "cluster.nodes.minimum",
            "9 is more than the maximum, 4",
            "pulumi config set --path 'platform:cluster.nodes.maximum' 9 --stack dev",
        ),
        (
            "prod",
            {"cluster.endpoint.way_in": ...},
            "cluster.endpoint.way_in",
            "a private endpoint without a way in can't be reached, not even by this program",
            "pulumi config set --path 'platform:cluster.endpoint.way_in' vpc --stack prod",
        ),
        (
            "prod",
            {"cluster.endpoint.way_in": "https://user:password@proxy:3128"},
            "cluster.endpoint.way_in",
            "must be 'vpc', or a proxy without credentials, http://host:port",
            "pulumi config set --path 'platform:cluster.endpoint.way_in' vpc --stack prod",
        ),
        (
            "dev",
            {"aws.role_arn": ROLE, "cluster.deployers": [ROLE]},
            "cluster.deployers.0",
            "administers the cluster already, as aws.role_arn or by an earlier line; EKS refuses a second entry",
            "pulumi config rm --path 'platform:cluster.deployers[0]' --stack dev",
        ),
        (
            "dev",
            {"cluster.deployers": [ROLE], "cluster.break_glass": [ROLE]},
            "cluster.break_glass.0",
            "administers the cluster already, as aws.role_arn or by an earlier line; EKS refuses a second entry",
            "pulumi config rm --path 'platform:cluster.break_glass[0]' --stack dev",
        ),
        (
            "dev",
            {"database.name": "guest-book"},
            "database.name",
            "must be a name of PostgreSQL: at most 63 lower-case letters, digits and underscores",
            "pulumi config set --path 'platform:database.name' guestbook --stack dev",
        ),
        (
            "dev",
            {"cluster.endpoint.allowed_cidrs": ["0.0.0.0/0"]},
            "cluster.endpoint.allowed_cidrs.0",
            "0.0.0.0/0 opens the Kubernetes API to the internet: name the networks that need it",
            "pulumi config set --path 'platform:cluster.endpoint.allowed_cidrs[0]' 203.0.113.0/24 --stack dev",
        ),
        (
            "dev",
            {"cluster.endpoint.allowed_cidrs": ["128.0.0.0/1"]},
            "cluster.endpoint.allowed_cidrs.0",
            "128.0.0.0/1 opens the Kubernetes API to the internet: name the networks that need it",
            "pulumi config set --path 'platform:cluster.endpoint.allowed_cidrs[0]' 203.0.113.0/24 --stack dev",
        ),
        (
            "dev",
            {"cluster.endpoint.allowed_cidrs": []},
            "cluster.endpoint.allowed_cidrs",
            "a public endpoint without named networks answers the whole internet",
            "pulumi config set --path 'platform:cluster.endpoint.allowed_cidrs[0]' 203.0.113.0/24 --stack dev",
        ),
        (
            "prod",
            {"workload.exposure.allowed_cidrs": ["0.0.0.0/0"]},
            "workload.exposure.allowed_cidrs.0",
            "0.0.0.0/0 serves the internet in plain HTTP: name networks, or set workload.exposure.certificate_arn",
            "pulumi config set --path 'platform:workload.exposure.allowed_cidrs[0]' 203.0.113.0/24 --stack prod",
        ),
        (
            "prod",
            {"network.nat": "single"},
            "network.nat",
            "one NAT gateway is one zone's failure for all; `protected` asks for more",
            "pulumi config set --path 'platform:network.nat' per-zone --stack prod",
        ),
        (
            "prod",
            {"cluster.nodes.capacity": "spot"},
            "cluster.nodes.capacity",
            "spot machines alone can all be taken back at once; `protected` asks for on-demand",
            "pulumi config set --path 'platform:cluster.nodes.capacity' on-demand --stack prod",
        ),
        (
            "prod",
            {"database.multi_az": False},
            "database.multi_az",
            "`protected` asks for a standby in another zone",
            "pulumi config set --path 'platform:database.multi_az' true --stack prod",
        ),
        (
            "prod",
            {"observability.contacts": []},
            "pipeline.approval",
            "an approval that nobody is told about waits for ever: name contacts",
            "pulumi config set --path 'platform:observability.contacts[0]' team@example.com --stack prod",
        ),
        (
            "prod",
            {"pipeline.rollback": False},
            "pipeline.bake_minutes",
            "a bake that fails has nothing to go back to without rollback",
            "pulumi config set --path 'platform:pipeline.rollback' true --stack prod",
        ),
        (
            "dev",
            {"pipeline.source.repository": "https://github.com/example/platform"},
            "pipeline.source.repository",
            "must be a GitHub repository, owner/name",
            "pulumi config set --path 'platform:pipeline.source.repository' example/platform --stack dev",
        ),
        (
            "dev",
            {"database.enabled": False},
            "workload.migration",
            "there is no database to migrate: database.enabled is false",
            "pulumi config rm --path 'platform:workload.migration' --stack dev",
        ),
        (
            "dev",
            {"workload.secrets": ["SENTRY_DSN"]},
            "workload.secrets.0",
            "names the secret SENTRY_DSN, which has no value",
            "pulumi config set --secret platform:SENTRY_DSN --stack dev",
        ),
        (
            "dev",
            {"cluster.nodes": ...},
            "cluster.nodes",
            "is missing",
            "pulumi config set --path 'platform:cluster.nodes.instance_types[0]' t3.large --stack dev",
        ),
        (
            "dev",
            {"image.base_image": "python:latest"},
            "image.base_image",
            "must be an image by digest, registry/name@sha256:…",
            f"pulumi config set --path 'platform:image.base_image' docker.io/library/python@sha256:{'0' * 64} --stack dev",
        ),
        (
            "dev",
            {"aws.region": "eu-central-9"},
            "aws.region",
            "must be a region of AWS's commercial partition, such as eu-central-1; the platform isn't made for others",
            "pulumi config set --path 'platform:aws.region' us-east-1 --stack dev",
        ),
        (
            "dev",
            {"aws.tags": {"project": "mine"}},
            "aws.tags.project",
            "is set by the program: everything carries it",
            "pulumi config rm --path 'platform:aws.tags.project' --stack dev",
        ),
        (
            "dev",
            {"aws.account_ids": ["210987654321"], "aws.role_arn": "arn:aws:iam::123456789012:role/deployer"},
            "aws.role_arn",
            "the role is of the account 123456789012, which aws.account_ids doesn't name",
            "pulumi config set --path 'platform:aws.account_ids[1]' --type string 123456789012 --stack dev",
        ),
        (
            "prod",
            {"network.interface_endpoints": ["sts", "logs", "sts"]},
            "network.interface_endpoints.2",
            "is in the list already",
            "pulumi config rm --path 'platform:network.interface_endpoints[2]' --stack prod",
        ),
        (
            "dev",
            {"cluster.addons.kube_proxy": "v1.34.0-eksbuild.2"},
            "cluster.addons.kube_proxy",
            "v1.34.0-eksbuild.2 is for another Kubernetes than 1.35",
            "pulumi config set --path 'platform:cluster.addons.kube_proxy' v1.35.0-eksbuild.2 --stack dev",
        ),
        (
            "dev",
            {
                "cluster.deployers": ["arn:aws:iam::123456789012:role/a/ci", "arn:aws:iam::210987654321:role/a/ci"],
            },
            "cluster.deployers.1",
            "another role of this list is called a-ci in its account, and entries go by that name",
            "pulumi config rm --path 'platform:cluster.deployers[1]' --stack dev",
        ),
        (
            "dev",
            {"database.name": "user"},
            "database.name",
            "must be another name: this one is a word of SQL",
            "pulumi config set --path 'platform:database.name' guestbook --stack dev",
        ),
        (
            "dev",
            {"database.multi_az": 1},
            "database.multi_az",
            "must be true or false",
            "pulumi config set --path 'platform:database.multi_az' true --stack dev",
        ),
        (
            "dev",
            {"pipeline.log_days": True},
            "pipeline.log_days",
            "must be a whole number",
            "pulumi config set --path 'platform:pipeline.log_days' 30 --stack dev",
        ),
        (
            "dev",
            {"workload.namespace": "kube-system"},
            "workload.namespace",
            "must be a namespace of the service's own, not one of Kubernetes'",
            "pulumi config set --path 'platform:workload.namespace' guestbook --stack dev",
        ),
        (
            "dev",
            {"workload.environment": {"DATABASE_HOST": "elsewhere"}},
            "workload.environment.DATABASE_HOST",
            "is set by the program",
            "pulumi config rm --path 'platform:workload.environment.DATABASE_HOST' --stack dev",
        ),
        (
            "dev",
            {
                "workload.exposure.certificate_arn": "arn:aws:acm:eu-west-1:123456789012:certificate/x",
                "workload.exposure.host": "www.example.com",
            },
            "workload.exposure.certificate_arn",
            "the certificate is of eu-west-1; a load balancer in us-east-1 can't use it",
            "pulumi config set --path 'platform:workload.exposure.certificate_arn' "
            "arn:aws:acm:us-east-1:123456789012:certificate/ID --stack dev",
        ),
        (
            "dev",
            {"workload.exposure.certificate_arn": "arn:aws:acm:us-east-1:123456789012:certificate/x"},
            "workload.exposure.host",
            "is missing: a certificate is for a DNS name",
            "pulumi config set --path 'platform:workload.exposure.host' guestbook.example.com --stack dev",
        ),
        (
            "prod",
            {"workload.exposure.allowed_cidrs": ["0.0.0.0/0"], "workload.exposure.host": "www.example.com"},
            "workload.exposure.allowed_cidrs.0",
            "0.0.0.0/0 serves the internet in plain HTTP: name networks, or set workload.exposure.certificate_arn",
            "pulumi config set --path 'platform:workload.exposure.allowed_cidrs[0]' 203.0.113.0/24 --stack prod",
        ),
        (
            "prod",
            {"pipeline.promote_from": "platform-prod/image"},
            "pipeline.promote_from",
            "is this environment's own repository, in which nothing would be built any more",
            "pulumi config rm --path 'platform:pipeline.promote_from' --stack prod",
        ),
    ],
)
def test_a_contradiction_is_named_with_the_command_that_mends_it(
    stack: str, changes: dict[str, Any], key: str, wrong: str, command: str
) -> None:
    where, what, mends = only(stack, changes)
    assert (where, what, mends[0]) == (key, wrong, command)


def test_auto_mode_does_not_ask_which_machines_fit_the_image() -> None:
    settings = parse(
        changed("dev", {"cluster.compute": "auto", "architecture": "arm64"}), "platform", "dev", today=TODAY
    )
    assert settings.cluster.auto_mode


def test_a_misspelt_key_does_not_hide_a_contradiction_behind_it() -> None:
    problems = refused("prod", {"network.zons": 2, "network.nat": "single"}).problems
    assert [problem.path for problem in problems] == [("network", "zons"), ("network", "nat")]


def test_a_wrong_value_does_not_hide_the_other_problems_of_its_section() -> None:
    changes = {
        "architecture": "arm64",
        "network.zones": 9,
        "network.cidr": "10.0.0.0/28",
        "cluster.version": "0.1",
        "cluster.endpoint.allowed_cidrs": ["0.0.0.0/0"],
        "database": 5,
        "workload.minimum": "many",
        "workload.secrets": ["TOKEN"],
    }
    places = {".".join(map(str, problem.path)) for problem in refused("dev", changes).problems}
    machines = {f"cluster.nodes.instance_types.{position}" for position in range(4)}
    assert places == machines | {
        "network.zones",
        "network.cidr",
        "cluster.version",
        "cluster.endpoint.allowed_cidrs.0",
        "database",
        "workload.minimum",
        "workload.secrets.0",
    }


def test_what_stands_in_the_place_of_a_section_or_a_list_is_removed_first() -> None:
    for path, value in (("cluster.addons", 5), ("network", [1]), ("network.interface_endpoints", "sts")):
        (problem,) = refused("dev", {path: value}).problems
        assert problem.mends[0] == f"pulumi config rm --path 'platform:{path}' --stack dev"
        assert problem.mends[1].startswith(f"pulumi config set --path 'platform:{path}")


def test_a_secret_that_the_workload_names_is_taken_without_its_value() -> None:
    raw = {**changed("dev", {"workload.secrets": ["SENTRY_DSN"]}), "SENTRY_DSN": SECRET}
    assert parse(raw, "platform", "dev", today=TODAY).workload.secrets == ("SENTRY_DSN",)


def test_a_secret_in_the_clear_is_refused_without_being_shown() -> None:
    raw = {**changed("dev", {"workload.secrets": ["SENTRY_DSN"]}), "SENTRY_DSN": "hunter2"}
    with pytest.raises(SettingsError) as caught:
        parse(raw, "platform", "dev", today=TODAY)
    assert caught.value.problems == (
        Problem(
            path=("workload", "secrets", 0),
            wrong="names SENTRY_DSN, whose value stands in the file in the clear",
            mends=("pulumi config set --secret platform:SENTRY_DSN --stack dev",),
        ),
    )
    assert "hunter2" not in str(caught.value)


def test_a_misspelt_secret_gets_the_nearest_name() -> None:
    raw = {**changed("dev", {"workload.secrets": ["SENTRY_DSN"]}), "SENTRY_DNS": SECRET}
    with pytest.raises(SettingsError) as caught:
        parse(raw, "platform", "dev", today=TODAY)
    assert [problem.wrong for problem in caught.value.problems] == [
        "names the secret SENTRY_DSN, which has no value",
        "is a secret that nothing uses: workload.secrets doesn't name it; did you mean SENTRY_DSN?",
    ]


def test_a_section_that_holds_a_secret_is_refused() -> None:
    raw = {**stack_file("dev"), "database": SECRET}
    with pytest.raises(SettingsError) as caught:
        parse(raw, "platform", "dev", today=TODAY)
    assert "holds a secret; sections hold none" in str(caught.value)


def test_the_proposed_commands_mend_what_they_are_proposed_for() -> None:
    """Every command of an error is carried out on the file; what is left is sound."""
    changes = {
        "network.zones": 9,
        "network.nat": "singel",
        "cluster.version": 1.35,
        "lifecycle": "?",
        "workload.prot": 1,
    }
    raw = changed("dev", changes)
    for problem in refused("dev", changes).problems:
        for mend in problem.mends:
            words = shlex.split(mend)
            keys = words[words.index("--path") + 1].removeprefix("platform:").split(".")
            place = raw
            for key in keys[:-1]:
                place = place[key]
            if words[2] == "rm":
                del place[keys[-1]]
            else:
                text = words[words.index("--stack") - 1]
                place[keys[-1]] = text if "--type" in words or not text.isdigit() else int(text)
    parse(raw, "platform", "dev", today=TODAY)


@pytest.mark.parametrize(
    ("project", "stack", "wrong", "mend"),
    [
        (
            "platform",
            "Dev_1.x",
            "the stack's name must be lower-case letters and digits, joined by single hyphens: names in AWS begin with it",
            "mv Pulumi.Dev_1.x.yaml Pulumi.dev-1-x.yaml && pulumi stack rename dev-1-x --stack Dev_1.x",
        ),
        (
            "platform",
            "a" * 46,
            "project and stack must have at most 53 characters together: RDS takes no longer names",
            f"mv Pulumi.{'a' * 46}.yaml Pulumi.{'a' * 45}.yaml && pulumi stack rename {'a' * 45} --stack {'a' * 46}",
        ),
        (
            "My.App",
            "dev",
            "the project's name must be lower-case letters and digits, joined by single hyphens: names in AWS begin with it, "
            "a letter first",
            "change `name` in Pulumi.yaml",
        ),
    ],
)
def test_names_that_aws_would_refuse_halfway_are_refused_at_once(
    project: str, stack: str, wrong: str, mend: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(stack_file("dev"), project, stack, today=TODAY)
    assert str(caught.value) == (
        f"Pulumi.{stack}.yaml has 1 problem; nothing was touched.\n\n  Pulumi.{stack}.yaml: {wrong}\n    {mend}"
    )


def test_a_key_that_nothing_reads_is_refused_with_what_was_probably_meant() -> None:
    with pytest.raises(SettingsError) as caught:
        parse(stack_file("dev"), "platform", "dev", today=TODAY, others=["aws:region", "plaftorm:network", "other:x"])
    assert str(caught.value) == (
        "Pulumi.dev.yaml has 3 problems; nothing was touched.\n"
        "\n"
        "  aws:region: nothing reads it: the program makes its own AWS provider, and platform:aws describes that\n"
        "    pulumi config rm --path 'aws:region' --stack dev\n"
        "\n"
        "  plaftorm:network: nothing reads it; did you mean platform:network?\n"
        "    pulumi config rm --path 'plaftorm:network' --stack dev\n"
        "\n"
        "  other:x: nothing reads it: settings of this program begin with platform:\n"
        "    pulumi config rm --path 'other:x' --stack dev"
    )


@pytest.mark.parametrize(
    ("changes", "key", "kind"),
    [({"image.context": "nowhere"}, "context", "folder"), ({"image.dockerfile": "Nothing"}, "dockerfile", "file")],
)
def test_an_image_without_its_files_is_refused_before_anything_is_made(
    changes: dict[str, Any], key: str, kind: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(changed("dev", changes), "platform", "dev", today=TODAY, folder=ROOT)
    (problem,) = caught.value.problems
    assert (problem.path, problem.wrong) == (("image", key), f"there is no such {kind}")
    assert problem.mends == (f"pulumi config rm --path 'platform:image.{key}' --stack dev",)
