"""Prowler's findings that are accepted, each with its reason, and their comparison.

`make prowler` records the findings. A finding that no entry accepts is unexplained; an entry that
accepts none is stale. Both fail the command, and the test of the recording.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

RECORDING = Path(__file__).parents[1] / "docs" / "prowler-findings.json"

Kind = Literal["decision", "setting", "account", "AWS", "sandbox"]
KINDS: dict[Kind, str] = {
    "decision": "A decision of this project.",
    "setting": "A value of the stack file, which its owner chooses.",
    "account": "A property of the account, which neither program nor bootstrap owns.",
    "AWS": "AWS permits nothing else.",
    "sandbox": "The account of the run is new and has no traffic.",
}


@dataclass(frozen=True)
class Accepted:
    """Failed or manual checks that are accepted for resources whose names match."""

    kind: Kind
    checks: tuple[str, ...]
    resources: tuple[str, ...]
    """Patterns of "STACK/LOGICAL NAME", of a kind such as "secret", or of "account"."""
    reason: str


_EPHEMERAL = "dev is ephemeral: `destroy` deletes everything, and its data can be created again."
ACCEPTED: tuple[Accepted, ...] = (
    Accepted(
        "decision",
        ("cloudwatch_alarm_actions_alarm_state_configured",),
        ("*/observability-*",),
        "The composite alarm notifies for all metric alarms, so that one incident is one message.",
    ),
    Accepted(
        "setting",
        ("cloudwatch_log_group_retention_policy_specific_days_enabled",),
        ("*/cluster", "*/database", "*/pipeline-*", "*/network-flow"),
        "Retention is `log_days` and `flow_log_days` of the stack file; longer retention is billed "
        "per GB. Compliance rules that demand a year are met by setting 365.",
    ),
    Accepted(
        "sandbox",
        ("codebuild_project_older_90_days",),
        ("*/pipeline-*",),
        "No release has run yet: the stacks are created for the check.",
    ),
    Accepted(
        "decision",
        (
            "ec2_networkacl_allow_ingress_any_port",
            "ec2_networkacl_allow_ingress_tcp_port_22",
            "ec2_networkacl_allow_ingress_tcp_port_3389",
        ),
        ("network-acl",),
        "Security groups, which are stateful, restrict traffic; the VPC's network ACL keeps AWS's "
        "default. No security group admits SSH or RDP, and nodes have no public address.",
    ),
    Accepted(
        "account",
        ("ecr_registry_enhanced_scanning_enabled", "ecr_registry_scan_images_on_push_enabled"),
        ("account",),
        "The scan configuration exists once per account and region, and both stacks share it. Each "
        "repository of the program scans on push; enhanced scanning is Amazon Inspector's, which "
        "is billed per image.",
    ),
    Accepted(
        "decision",
        ("ecr_repositories_tag_immutability",),
        ("*/image-cache",),
        "The build cache is overwritten by each build; images are in other repositories, whose "
        "tags are immutable.",
    ),
    Accepted(
        "setting",
        (
            "eks_cluster_deletion_protection_enabled",
            "rds_instance_backup_enabled",
            "rds_instance_deletion_protection",
            "rds_instance_multi_az",
        ),
        ("dev/*",),
        _EPHEMERAL,
    ),
    Accepted(
        "decision",
        ("elbv2_cross_zone_load_balancing_enabled",),
        ("loadbalancer",),
        "Each zone has a node, and kube-proxy forwards to pods in all zones "
        "(externalTrafficPolicy Cluster), so a zone without pods is served.",
    ),
    Accepted(
        "decision",
        ("elbv2_deletion_protection",),
        ("loadbalancer",),
        "Kubernetes owns the load balancer and deletes it with its Service; a protected one would "
        "remain and block the deletion of the VPC.",
    ),
    Accepted(
        "decision",
        ("elbv2_logging_enabled",),
        ("loadbalancer",),
        "A network load balancer logs TLS connections only, not requests. The service logs each "
        "request as JSON, and the VPC's flow logs have the connections.",
    ),
    Accepted(
        "setting",
        ("elbv2_nlb_tls_termination_enabled",),
        ("loadbalancer",),
        "TLS needs a certificate of a domain, which only the owner has: "
        "`workload.exposure.certificate_arn`. Until then `allowed_cidrs` restricts the callers.",
    ),
    Accepted(
        "account",
        (
            "iam_check_saml_providers_sts",
            "iam_password_policy_expires_passwords_within_90_days_or_less",
            "iam_password_policy_lowercase",
            "iam_password_policy_minimum_length_14",
            "iam_password_policy_number",
            "iam_password_policy_reuse_24",
            "iam_password_policy_symbol",
            "iam_password_policy_uppercase",
            "iam_securityaudit_role_created",
            "iam_support_role_created",
        ),
        ("account",),
        "People, their passwords and roles belong to the account; the program creates no user.",
    ),
    Accepted(
        "decision",
        ("iam_inline_policy_allows_privilege_escalation",),
        ("*/pipeline", "*/pipeline-pull-request-pipeline"),
        "`codebuild:StartBuild` is what the pipeline's role is for. It names the pipeline's own "
        "projects, and only CodePipeline of this account can assume the role.",
    ),
    Accepted(
        "AWS",
        ("iam_role_cross_service_confused_deputy_prevention",),
        ("*/cluster-node",),
        "EC2 passes neither aws:SourceAccount nor aws:SourceArn when an instance assumes its role; "
        "a condition would keep the nodes from starting.",
    ),
    Accepted(
        "decision",
        ("rds_instance_critical_event_subscription",),
        ("*/observability-database",),
        "The subscription has failure, maintenance, availability, deletion, failover, low storage "
        "and recovery. Prowler demands exactly three categories, one of them configuration change, "
        "which would notify of every deployment and rotation.",
    ),
    Accepted(
        "decision",
        (
            "rds_instance_event_subscription_parameter_groups",
            "rds_instance_event_subscription_security_groups",
        ),
        ("account",),
        "Pulumi owns the parameter group and no RDS security group exists in a VPC; the drift "
        "workflow reports changes by others.",
    ),
    Accepted(
        "decision",
        ("rds_instance_enhanced_monitoring_enabled",),
        ("*/database",),
        "RDS writes its metrics to the log group RDSOSMetrics, which all instances of a region "
        "share and the stack cannot encrypt or own. Alarms on CPU and storage use the metrics of "
        "CloudWatch.",
    ),
    Accepted(
        "decision",
        ("rds_instance_iam_authentication_enabled",),
        ("*/database",),
        "The service logs in with the password that RDS rotates; a second way to log in would be "
        "unused (decision 3).",
    ),
    Accepted(
        "decision",
        ("rds_instance_minor_version_upgrade_enabled",),
        ("*/database",),
        "Versions change by commits only. The program warns when RDS has retired the version "
        "(decision 26), and RDS upgrades it at its end of support in any case.",
    ),
    Accepted(
        "decision",
        ("rds_instance_non_default_port",),
        ("*/database",),
        "Only the security group of the nodes reaches the port.",
    ),
    Accepted(
        "decision",
        ("rds_instance_protected_by_backup_plan",),
        ("*/database",),
        "RDS's automated backups serve prod; AWS Backup would add copies in another account, which "
        "the owner of the account plans.",
    ),
    Accepted(
        "decision",
        ("s3_bucket_cross_region_replication", "s3_bucket_object_lock", "s3_bucket_no_mfa_delete"),
        ("*/pipeline", "*/pipeline-access-logs"),
        "Artifacts are built again from the commit, and they and the access logs expire. MFA "
        "delete can be enabled by the root user only.",
    ),
    Accepted(
        "decision",
        ("s3_bucket_event_notifications_enabled",),
        ("*/pipeline", "*/pipeline-access-logs"),
        "Nothing consumes events of these buckets; with an S3 source, the pipeline has its own.",
    ),
    Accepted(
        "AWS",
        ("s3_bucket_kms_encryption",),
        ("*/pipeline-access-logs",),
        "S3 delivers access logs only to a bucket with SSE-S3.",
    ),
    Accepted(
        "decision",
        ("s3_bucket_object_versioning", "s3_bucket_server_access_logging_enabled"),
        ("*/pipeline-access-logs",),
        "S3 never overwrites a delivered log, and the access log of the access logs would be "
        "endless.",
    ),
    Accepted(
        "decision",
        ("secretsmanager_has_restrictive_resource_policy",),
        ("secret",),
        "RDS creates the secret. Identity policies name it for the pod's role only, and its key's "
        "policy is the database's own.",
    ),
    Accepted(
        "sandbox",
        ("secretsmanager_secret_rotated_periodically",),
        ("secret",),
        "The secret is new; RDS rotates it every 7 days.",
    ),
    Accepted(
        "decision",
        ("vpc_different_regions",),
        ("account",),
        "An environment is in one region.",
    ),
    Accepted(
        "decision",
        ("vpc_endpoint_connections_trust_boundaries",),
        ("*/network-s3", "*/network-sts"),
        "Prowler does not read `Resource`. The statements without a condition permit reading "
        "AWS's own buckets of image layers and packages, and web identities assuming roles of "
        "this account.",
    ),
    Accepted(
        "decision",
        ("vpc_endpoint_for_ec2_enabled",),
        ("*/network",),
        "Nodes call EC2 rarely, with TLS through the NAT gateway; an interface endpoint is billed "
        "per hour and zone.",
    ),
    Accepted(
        "account",
        (
            "cloudwatch_changes_to_*_alarm_configured",
            "cloudwatch_log_metric_filter_*",
        ),
        ("account",),
        "CloudTrail and alarms on it belong to the account.",
    ),
    Accepted(
        "sandbox",
        ("ec2_securitygroup_not_used",),
        ("*/database", "*/network-endpoints", "security-group"),
        "The sandbox does not emulate AWS Batch and Lambda, which Prowler asks whether they use "
        "the group.",
    ),
    Accepted(
        "sandbox",
        ("ecr_repository_image_no_secrets",),
        ("*/image",),
        "Prowler reads a part of the image only; its layers are built from the repository.",
    ),
    Accepted(
        "decision",
        ("kms_key_enclave_*",),
        ("*/*", "account"),
        "No Nitro enclave uses a key.",
    ),
)

# What Prowler could not read, by operation or module and error, and why this hides no finding.
UNREAD: dict[str, str] = {
    "backup:*": "AWS Backup is not emulated; the program does not use it.",
    "batch:*": "AWS Batch is not emulated; the program does not use it.",
    "cloudtrail:*": "CloudTrail is not emulated; it belongs to the account.",
    "lambda:*": "Lambda is not emulated; the program has no function.",
    "organizations:*": "Organizations is not emulated.",
    "schemas:*": "EventBridge schemas are not emulated; the program does not use them.",
    "waf-regional:*": "WAF Classic is not emulated; the program does not use it.",
    "ec2:DescribeClientVpnEndpoints": "Not emulated; the program has no client VPN.",
    "ec2:GetImageBlockPublicAccessState": "Not emulated; a setting of the account.",
    "ec2:GetInstanceMetadataDefaults": "Not emulated; a setting of the account. The launch "
    "template requires IMDSv2.",
    "ec2:GetSnapshotBlockPublicAccessState": "Not emulated; a setting of the account.",
    "events:ListEndpoints": "Not emulated; the program has no global endpoint.",
    "iam:GenerateServiceLastAccessedDetails": "Not emulated; asked about roles with access to "
    "Bedrock, of which there are none.",
    "iam:ListOrganizationsFeatures": "Not emulated; a setting of an organization.",
    "ssm:DescribeInstanceInformation": "Not emulated; no instance runs in the sandbox.",
    "ssm:ListResourceComplianceSummaries": "Not emulated; no instance runs in the sandbox.",
    "s3_service: EndpointConnectionError": "S3 Control's host names contain the account's ID, and "
    "the sandbox's address has none: settings and access points of the account.",
    "ec2_elastic_ip_shodan: *": "Prowler asks the service Shodan about public addresses only "
    "with a key.",
}


def load() -> dict[str, Any]:
    """Return the recording."""
    recording: dict[str, Any] = json.loads(RECORDING.read_text(encoding="utf-8"))
    return recording


def problems(recording: Mapping[str, Any]) -> list[str]:
    """Return what is unexplained, and which explanations are stale."""
    used: set[int] = set()
    messages = []
    for check, resource in findings(recording):
        index = next((i for i, entry in enumerate(ACCEPTED) if accepts(entry, check, resource)), -1)
        used.add(index)
        if index < 0:
            messages.append(f"unexplained: {check} of {resource}")
    for number, entry in enumerate(ACCEPTED):
        unused = [
            check
            for check in entry.checks
            if not any(fnmatchcase(item, check) for item, _ in findings(recording))
        ]
        if number not in used or unused:
            messages.append(f"stale: {', '.join(unused or entry.checks)} of {entry.resources}")
    unread = recording["unread"]
    messages += [
        f"Prowler could not read {name}"
        for name in unread
        if not any(fnmatchcase(name, pattern) for pattern in UNREAD)
    ]
    messages += [
        f"stale: {pattern} is read"
        for pattern in UNREAD
        if not any(fnmatchcase(name, pattern) for name in unread)
    ]
    return messages


def accepts(entry: Accepted, check: str, resource: str) -> bool:
    """Return whether an entry accepts a finding."""
    return any(fnmatchcase(check, pattern) for pattern in entry.checks) and any(
        fnmatchcase(resource, pattern) for pattern in entry.resources
    )


def findings(recording: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield check and resource of each finding that needs an explanation."""
    for status in ("failed", "manual"):
        for check, resources in recording[status].items():
            for resource in resources:
                yield check, resource
