"""Requirements that a digest must meet to be deployed, as variables and permissions of builds."""

import json
from dataclasses import dataclass

import pulumi

from components.aws.context import AwsContext
from components.aws.iam import Statement
from components.aws.kms import signing_key
from components.pipeline import iam
from components.pipeline.args import AdmissionSettings


@dataclass(frozen=True, kw_only=True)
class Admission:
    """Verification of the signature and check of the scan."""

    settings: AdmissionSettings
    key: pulumi.Input[str]
    """Key of signatures: its ARN where it is created, otherwise its alias; empty without one."""
    key_arn: pulumi.Input[str]
    """ARN of the key; a pattern for a key that is known by its alias."""

    @property
    def environment(self) -> dict[str, pulumi.Input[str]]:
        """Variables of the scripts that sign, verify and check."""
        accepted = [
            {"id": finding.id, "reason": finding.reason, "until": finding.until}
            for finding in self.settings.accepted_findings
        ]
        return {
            "SIGNING_KEY": self.key,
            "SCAN": self.settings.scan.upper(),
            "ACCEPTED_FINDINGS": json.dumps(accepted),
        }

    def verification(self) -> list[Statement]:
        """Permission to verify signatures."""
        return [self._use_key("kms:Verify")] if self.settings.signature else []

    def signing(self) -> list[Statement]:
        """Permission to sign, of one role only."""
        return [self._use_key("kms:Sign")]

    def scan(self, repository_arn: pulumi.Input[str]) -> list[Statement]:
        """Permission to read findings."""
        return [] if self.settings.scan == "none" else [iam.read_scan(repository_arn)]

    def _use_key(self, action: str) -> Statement:
        return iam.use_signing_key(action, key_arn=self.key_arn, alias=self.settings.signing_key)


def admission(
    name: str,
    *,
    prefix: str,
    settings: AdmissionSettings,
    protected: bool,
    context: AwsContext,
    parent: pulumi.Resource,
) -> Admission:
    """Create the key of signatures, unless another environment signs or nobody does."""
    if not settings.signature:
        return Admission(settings=settings, key="", key_arn="")
    if settings.signing_key is not None:
        any_key = context.arn("kms", "key/*")
        return Admission(settings=settings, key=settings.signing_key, key_arn=any_key)
    key = signing_key(
        f"{name}-signing",
        context=context,
        purpose=f"Signatures of the images that {prefix} builds",
        alias=f"{prefix}-signing",
        protected=protected,
        parent=parent,
    )
    return Admission(settings=settings, key=key.arn, key_arn=key.arn)
