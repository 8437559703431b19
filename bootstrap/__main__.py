"""State bucket and key, roles of GitHub Actions, and the connection to GitHub; all protected."""

import pulumi
import pulumi_aws as aws

from bootstrap.configuration import Configuration
from bootstrap.github_access import GitHubAccess, GitHubAccessArgs
from bootstrap.state_store import StateStore, StateStoreArgs
from components.aws.context import aws_provider

configuration = Configuration.load()
provider = aws_provider(
    "aws",
    region=configuration.region,
    account_ids=(),
    role_arn=None,
    tags={"project": "bootstrap"},
)
protected = pulumi.ResourceOptions(providers=[provider], protect=True)

state = StateStore("state", StateStoreArgs(prefix=configuration.prefix), protected)
connection = aws.codeconnections.Connection(
    "github",
    name=f"{configuration.prefix}-github",
    provider_type="GitHub",
    opts=pulumi.ResourceOptions(provider=provider, protect=True),
)
github = GitHubAccess(
    "github",
    GitHubAccessArgs(
        prefix=configuration.prefix,
        subject=configuration.subject,
        environments=configuration.environments,
        oidc_provider_arn=configuration.oidc_provider_arn,
        state_bucket_arn=state.bucket_arn,
        state_key_arn=state.key_arn,
        connection_arn=connection.arn,
    ),
    protected,
)

pulumi.export("backend_url", state.backend_url)
pulumi.export("state_key_arn", state.key_arn)
pulumi.export("secrets_provider", state.secrets_provider)
pulumi.export("subject", configuration.subject)
pulumi.export("preview_role", github.preview_role_arn)
pulumi.export("deploy_roles", github.deploy_role_arns)
pulumi.export("permissions_boundary", github.boundary_arn)
pulumi.export("connection_arn", connection.arn)
