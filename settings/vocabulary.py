"""Named types of settings: one idea each, refused in words that never repeat what was typed."""

import re
from datetime import date
from ipaddress import IPv4Network
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

# Standard support ends on these days (https://endoflife.date/amazon-eks); after them EKS costs six times as much.
# A version enters the table when its add-ons have been pinned and tried here.
KUBERNETES_SUPPORT = {
    "1.32": date(2026, 3, 23),
    "1.33": date(2026, 7, 29),
    "1.34": date(2026, 12, 2),
    "1.35": date(2027, 3, 27),
}

# What CloudWatch Logs accepts, in days (PutRetentionPolicy in its API reference).
RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("must be text; in YAML, write it in quotes")  # noqa: TRY004 - pydantic collects ValueErrors only
    return value


def _shape(pattern: str, meaning: str) -> tuple[BeforeValidator, AfterValidator]:
    expression = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if not expression.fullmatch(value):
            raise ValueError(f"must be {meaning}")
        return value

    return BeforeValidator(_text), AfterValidator(check)


def _cidr(value: str) -> str:
    try:
        return str(IPv4Network(value))
    except ValueError:
        raise ValueError("must be an IPv4 network whose host bits are zero, such as 10.0.0.0/16") from None


def _retention(days: int) -> int:
    if days not in RETENTION_DAYS:
        raise ValueError(f"must be a number of days that CloudWatch Logs knows: {', '.join(map(str, RETENTION_DAYS))}")
    return days


def _kubernetes(version: str) -> str:
    if version not in KUBERNETES_SUPPORT:
        raise ValueError(f"must be a version that has been tried here: {', '.join(KUBERNETES_SUPPORT)}, in quotes")
    return version


Text = Annotated[str, BeforeValidator(_text)]
Name = Annotated[
    str, *_shape(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?", "a name of at most 32 lower-case letters, digits and hyphens")
]
Cidr = Annotated[str, BeforeValidator(_text), AfterValidator(_cidr)]
KubernetesVersion = Annotated[str, BeforeValidator(_text), AfterValidator(_kubernetes)]
AddonVersion = Annotated[
    str, *_shape(r"v\d+\.\d+\.\d+-eksbuild\.\d+", "an EKS add-on version, such as v1.21.1-eksbuild.1")
]
ReleaseVersion = Annotated[str, *_shape(r"\d\.\d+\.\d+-\d{8}", "an AMI release version, such as 1.35.0-20260901")]
InstanceType = Annotated[
    str,
    *_shape(
        r"[a-z]+\d+[a-z]*(-[a-z0-9]+)*\.(\d*x?large|micro|nano|small|medium|metal[a-z0-9-]*)",
        "an EC2 instance type, such as t3.large",
    ),
]
InstanceClass = Annotated[
    str, *_shape(r"db\.[a-z]+\d+[a-z]*\.(\d*x?large|micro|small|medium)", "an RDS instance class, such as db.t4g.micro")
]
PostgresVersion = Annotated[
    str, *_shape(r"1[4-9]\.\d+", "a PostgreSQL version with its minor version, such as 17.6, in quotes")
]
Region = Annotated[str, *_shape(r"[a-z]{2}(-[a-z]+)+-\d", "an AWS region, such as eu-central-1")]
AccountId = Annotated[str, *_shape(r"\d{12}", "a twelve-digit AWS account id, in quotes")]
RoleArn = Annotated[
    str,
    *_shape(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", "the ARN of an IAM role, arn:aws:iam::ACCOUNT:role/NAME"),
]
CertificateArn = Annotated[
    str, *_shape(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[\w-]+", "the ARN of an ACM certificate")
]
ConnectionArn = Annotated[
    str,
    *_shape(
        r"arn:aws[a-z-]*:(codeconnections|codestar-connections):[a-z0-9-]+:\d{12}:connection/[\w-]+",
        "the ARN of a CodeConnections connection",
    ),
]
Repository = Annotated[
    str, *_shape(r"[A-Za-z0-9](-?[A-Za-z0-9]){0,38}/(?!\.{1,2}$)[\w.-]{1,100}", "a GitHub repository, owner/name")
]
EcrRepository = Annotated[
    str,
    *_shape(
        r"[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*",
        "an ECR repository name, such as platform-dev/image",
    ),
]
GitBranch = Annotated[str, *_shape(r"[\w][\w./-]{0,200}", "a branch name")]
TagPattern = Annotated[str, *_shape(r"[\w*?][\w.*?/-]{0,200}", "a tag pattern, such as v*")]
ImageReference = Annotated[
    str, *_shape(r"[a-z0-9][\w.:/-]*@sha256:[0-9a-f]{64}", "an image by digest, registry/name@sha256:…")
]
ProxyUrl = Annotated[str, *_shape(r"https?://[\w.-]+:\d{1,5}", "a proxy without credentials, http://host:port")]
HostName = Annotated[str, *_shape(r"[a-z0-9-]+(\.[a-z0-9-]+)+", "a DNS name, such as www.example.com")]
Email = Annotated[str, *_shape(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", "a mail address")]
VariableName = Annotated[
    str, *_shape(r"[A-Z][A-Z0-9_]{0,62}", "the name of an environment variable: capitals, digits and underscores")
]
RelativePath = Annotated[str, *_shape(r"(?!.*\.\.)[\w.-]+(/[\w.-]+)*", "a path within the project, without `..`")]
Endpoint = Annotated[str, *_shape(r"[a-z0-9]+([.-][a-z0-9]+)*", "the last part of an endpoint's name, such as ecr.api")]
Percent = Annotated[int, Field(ge=1, le=100)]
Port = Annotated[int, Field(ge=1024, le=65535)]
RetentionDays = Annotated[int, AfterValidator(_retention)]
