"""Cross-field rules of database, workload, pipeline and observability."""

from typing import Any

import pytest

from tests.settings.stack_files import assert_refused

ACCEPTED = {"id": "CVE-2026-12345", "reason": "not reachable", "until": "2026-12-31"}
CONNECTION_ARN = "arn:aws:codeconnections:us-east-1:123456789012:connection/ID"
PREVIEW = {
    "pipeline.source.connection_arn": CONNECTION_ARN,
    "pipeline.preview.enabled": True,
    "pipeline.preview.state_bucket": "state",
    "pipeline.preview.state_key_arn": "arn:aws:kms:us-east-1:123456789012:key/ID",
}
CERTIFICATE_ARN = "arn:aws:acm:us-east-1:123456789012:certificate/x"


@pytest.mark.parametrize(
    ("stack", "changes", "key", "message", "command"),
    [
        (
            "prod",
            {"workload.exposure.allowed_cidrs": ["0.0.0.0/0"]},
            "workload.exposure.allowed_cidrs.0",
            (
                "0.0.0.0/0 opens the service to the internet over plain HTTP: name networks, or"
                " set workload.exposure.certificate_arn"
            ),
            "set --path 'platform:workload.exposure.allowed_cidrs[0]' 203.0.113.0/24",
        ),
        (
            "prod",
            {"database.multi_az": False},
            "database.multi_az",
            "`protected` requires a standby in another zone",
            "set --path 'platform:database.multi_az' true",
        ),
        (
            "prod",
            {"observability.contacts": []},
            "pipeline.approval",
            "no contact is notified about an approval: set observability.contacts",
            "set --path 'platform:observability.contacts[0]' team@example.com",
        ),
        (
            "prod",
            {"pipeline.rollback": False},
            "pipeline.bake_minutes",
            "a release that fails its bake needs pipeline.rollback",
            "set --path 'platform:pipeline.rollback' true",
        ),
        (
            "dev",
            {"pipeline.deploy": "eks"},
            "pipeline.deploy",
            "the EKS action leaves a failed release in the cluster without pipeline.rollback",
            "set --path 'platform:pipeline.rollback' true",
        ),
        (
            "dev",
            {"database.enabled": False},
            "workload.migration",
            "has no database to migrate: database.enabled is false",
            "rm --path 'platform:workload.migration'",
        ),
        (
            "dev",
            {"workload.environment": {"DATABASE_HOST": "elsewhere"}},
            "workload.environment.DATABASE_HOST",
            "is set by the program",
            "rm --path 'platform:workload.environment.DATABASE_HOST'",
        ),
        (
            "dev",
            {
                "workload.exposure.certificate_arn": CERTIFICATE_ARN.replace(
                    "us-east-1", "eu-west-1"
                ),
                "workload.exposure.host": "www.example.com",
            },
            "workload.exposure.certificate_arn",
            "the certificate is in eu-west-1; a load balancer in us-east-1 cannot use it",
            (
                "set --path 'platform:workload.exposure.certificate_arn' "
                "arn:aws:acm:us-east-1:123456789012:certificate/ID"
            ),
        ),
        (
            "dev",
            {"workload.exposure.certificate_arn": CERTIFICATE_ARN},
            "workload.exposure.host",
            "is missing: a certificate is issued for a DNS name",
            "set --path 'platform:workload.exposure.host' guestbook.example.com",
        ),
        (
            "prod",
            {
                "workload.exposure.allowed_cidrs": ["0.0.0.0/0"],
                "workload.exposure.host": "www.example.com",
            },
            "workload.exposure.allowed_cidrs.0",
            (
                "0.0.0.0/0 opens the service to the internet over plain HTTP: name networks, or"
                " set workload.exposure.certificate_arn"
            ),
            "set --path 'platform:workload.exposure.allowed_cidrs[0]' 203.0.113.0/24",
        ),
        (
            "prod",
            {"pipeline.admission": {}},
            "pipeline.admission.signing_key",
            (
                "is missing: promoted images are verified with the key of the environment that "
                "signed them"
            ),
            (
                "set --path 'platform:pipeline.admission.signing_key' "
                "alias/platform-dev-pipeline-signing"
            ),
        ),
        (
            "dev",
            {"pipeline.admission": {"signing_key": "alias/other"}},
            "pipeline.admission.signing_key",
            "has no effect: this environment signs its images with its own key",
            "rm --path 'platform:pipeline.admission.signing_key'",
        ),
        (
            "prod",
            {"pipeline.admission": {"signing_key": "alias/other", "signature": False}},
            "pipeline.admission.signing_key",
            "has no effect without pipeline.admission.signature",
            "rm --path 'platform:pipeline.admission.signing_key'",
        ),
        (
            "dev",
            {"pipeline.admission": {"scan": "none", "accepted_findings": [ACCEPTED]}},
            "pipeline.admission.accepted_findings",
            "has no effect: pipeline.admission.scan is none",
            "rm --path 'platform:pipeline.admission.accepted_findings'",
        ),
        (
            "dev",
            {"pipeline.admission": {"accepted_findings": [{**ACCEPTED, "until": "2026-01-01"}]}},
            "pipeline.admission.accepted_findings.0",
            ("accepts CVE-2026-12345 until a day that is over: update the package, or extend it"),
            "rm --path 'platform:pipeline.admission.accepted_findings[0]'",
        ),
        (
            "dev",
            {"pipeline.admission": {"accepted_findings": [ACCEPTED, ACCEPTED]}},
            "pipeline.admission.accepted_findings.1.id",
            "is a duplicate of an earlier entry",
            "rm --path 'platform:pipeline.admission.accepted_findings[1].id'",
        ),
        (
            "dev",
            {"pipeline.github_runner": True},
            "pipeline.source.connection_arn",
            (
                "is missing: the webhook of pipeline.github_runner needs a connection that exists "
                "and has been accepted"
            ),
            f"set --path 'platform:pipeline.source.connection_arn' {CONNECTION_ARN}",
        ),
        (
            "dev",
            {**PREVIEW, "pipeline.preview.state_bucket": None},
            "pipeline.preview.state_bucket",
            "is missing: a preview compares with the stack's state",
            (
                "set --path 'platform:pipeline.preview.state_bucket' "
                "platform-state-123456789012-us-east-1"
            ),
        ),
        (
            "dev",
            {**PREVIEW, "aws.role_arn": "arn:aws:iam::123456789012:role/deployer"},
            "pipeline.preview.enabled",
            "has no effect with aws.role_arn: the code of a pull request would assume that role",
            "rm --path 'platform:pipeline.preview.enabled'",
        ),
        (
            "prod",
            {"pipeline.source.pull_requests": True},
            "pipeline.source.pull_requests",
            ("has no effect with tags: a pull request needs the branch that it is opened against"),
            "rm --path 'platform:pipeline.source.pull_requests'",
        ),
        (
            "prod",
            {"pipeline.source.paths": ["app/**"]},
            "pipeline.source.paths",
            (
                "has no effect with tags: CodePipeline selects paths of pushes to a branch, not of "
                "tags"
            ),
            "rm --path 'platform:pipeline.source.paths'",
        ),
        (
            "prod",
            {"pipeline.promote_from": "platform-prod/image-proven"},
            "pipeline.promote_from",
            "is a repository of this environment, which proves no image itself",
            "rm --path 'platform:pipeline.promote_from'",
        ),
        (
            "prod",
            {"pipeline.promote_from": "platform-dev/image"},
            "pipeline.promote_from",
            "is not a repository of proven images, whose name ends with -proven",
            "set --path 'platform:pipeline.promote_from' platform-dev/image-proven",
        ),
        (
            "prod",
            {"workload.exposure.allowed_cidrs": [f"{n}.0.0.0/8" for n in range(2, 64, 2)]},
            "workload.exposure.allowed_cidrs",
            "together, these networks open the service to the internet over plain HTTP: "
            "name networks, or set workload.exposure.certificate_arn",
            "rm --path 'platform:workload.exposure.allowed_cidrs'",
        ),
    ],
)
def test_conflict_is_refused_with_fix(
    stack: str, changes: dict[str, Any], key: str, message: str, command: str
) -> None:
    assert_refused(stack, changes, key, message, command)
