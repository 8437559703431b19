"""Roles that the workflows of one GitHub repository assume by OpenID Connect."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bootstrap import policies
from components.aws.context import aws_context
from components.aws.iam import document
from components.aws.preview_access import preview_access

ISSUER = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"
# Longer than the one hour of a default session: a job may run for 90 minutes.
DEPLOY_SESSION_SECONDS = 2 * 60 * 60


@dataclass(frozen=True, kw_only=True)
class GitHubAccessArgs:
    """Arguments of GitHubAccess."""

    prefix: str
    """First part of the names of roles and boundary."""
    subject: str
    """First part of the OIDC subject of the repository's workflows, such as `repo:OWNER/NAME`."""
    environments: Sequence[str]
    """Environments of the repository that have a deploy role."""
    oidc_provider_arn: str
    """Existing OIDC provider of GitHub Actions; empty to create it."""
    state_bucket_arn: pulumi.Input[str]
    """Bucket of the state, which the preview role may read."""
    state_key_arn: pulumi.Input[str]
    """Key of state and secrets, with which the preview role may decrypt."""
    connection_arn: pulumi.Input[str]
    """Connection to GitHub, which a deploy role must not delete."""


class GitHubAccess(pulumi.ComponentResource):
    """OIDC provider, a preview role that may read, a deploy role for each environment.

    A deploy role may do what its permissions boundary allows: anything but change what this stack
    owns, create users, or create roles without the same boundary.
    """

    preview_role_arn: pulumi.Output[str]
    """ARN of the role of pull requests and of the nightly comparison."""
    deploy_role_arns: dict[str, pulumi.Output[str]]
    """ARN of the deploy role, by environment."""
    boundary_arn: pulumi.Output[str]
    """ARN of the permissions boundary."""

    def __init__(
        self, name: str, args: GitHubAccessArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("platform:bootstrap:GitHubAccess", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        context = aws_context(self)
        issuer_arn: pulumi.Input[str] = args.oidc_provider_arn
        if not args.oidc_provider_arn:
            issuer_arn = aws.iam.OpenIdConnectProvider(
                name, url=f"https://{ISSUER}", client_id_lists=[AUDIENCE], opts=child
            ).arn

        def trust(*subjects: str) -> pulumi.Output[str]:
            names = [f"{args.subject}:{subject}" for subject in subjects]
            return document(
                {
                    "Effect": "Allow",
                    "Principal": {"Federated": issuer_arn},
                    "Action": "sts:AssumeRoleWithWebIdentity",
                    "Condition": {
                        "StringEquals": {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": names}
                    },
                }
            )

        account = context.account_id
        role_arn = pulumi.Output.concat("arn:", context.partition, ":iam::", account, ":role/")
        boundary_name = f"{args.prefix}-boundary"
        boundary = aws.iam.Policy(
            f"{name}-boundary",
            name=boundary_name,
            description="Limit of what deploy roles, and roles that they create, may do",
            policy=document(
                *policies.boundary(
                    boundary_arn=pulumi.Output.concat(
                        "arn:", context.partition, ":iam::", account, f":policy/{boundary_name}"
                    ),
                    role_arns=[
                        pulumi.Output.concat(role_arn, f"{args.prefix}-{role}")
                        for role in ("preview", *(f"deploy-{item}" for item in args.environments))
                    ],
                    oidc_provider_arn=issuer_arn,
                    bucket_arn=args.state_bucket_arn,
                    key_arn=args.state_key_arn,
                    connection_arn=args.connection_arn,
                )
            ),
            opts=child,
        )
        preview = aws.iam.Role(
            f"{name}-preview",
            name=f"{args.prefix}-preview",
            description="Previews of pull requests and the nightly comparison; reads only",
            # Subjects: https://docs.github.com/en/actions/reference/security/oidc
            assume_role_policy=trust("pull_request", "ref:refs/heads/main"),
            permissions_boundary=boundary.arn,
            opts=child,
        )
        aws.iam.RolePolicyAttachment(
            f"{name}-preview",
            role=preview.name,
            policy_arn=context.managed_policy("ReadOnlyAccess"),
            opts=child,
        )
        aws.iam.RolePolicy(
            f"{name}-preview",
            name="state",
            role=preview.name,
            policy=document(*preview_access(args.state_bucket_arn, args.state_key_arn)),
            opts=child,
        )
        self.deploy_role_arns = {}
        for environment in args.environments:
            logical = f"{name}-deploy-{environment}"
            role = aws.iam.Role(
                logical,
                name=f"{args.prefix}-deploy-{environment}",
                description=f"Deployments of {environment}",
                assume_role_policy=trust(f"environment:{environment}"),
                permissions_boundary=boundary.arn,
                max_session_duration=DEPLOY_SESSION_SECONDS,
                opts=child,
            )
            aws.iam.RolePolicyAttachment(
                logical,
                role=role.name,
                policy_arn=context.managed_policy("AdministratorAccess"),
                opts=child,
            )
            self.deploy_role_arns[environment] = role.arn
        self.preview_role_arn = preview.arn
        self.boundary_arn = boundary.arn
        self.register_outputs({"preview_role_arn": preview.arn, "boundary_arn": boundary.arn})
