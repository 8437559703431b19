"""Types of settings; their error messages never repeat the value."""

import re
from datetime import date
from ipaddress import IPv4Network
from typing import Annotated, Any

from pulumi_aws import Region as AwsRegion
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

# End of standard support (https://endoflife.date/amazon-eks); extended support costs six times as
# much. The table contains versions that were tested here.
KUBERNETES_SUPPORT = {
    "1.32": date(2026, 3, 23),
    "1.33": date(2026, 7, 29),
    "1.34": date(2026, 12, 2),
    "1.35": date(2027, 3, 27),
}

# Days that CloudWatch Logs accepts (PutRetentionPolicy in its API reference).
RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)

# Prefixes of regions in other partitions, whose services and endpoints have other names.
OTHER_PARTITIONS = ("cn-", "us-gov-", "us-iso", "eu-iso", "eusc-")
REGIONS = frozenset(
    region.value for region in AwsRegion if not region.value.startswith(OTHER_PARTITIONS)
)

# Interface endpoints that the platform can use, by the last part of their name
# (https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html).
_ENDPOINTS = """
    autoscaling codebuild codepipeline ec2 ec2messages ecr.api ecr.dkr eks eks-auth
    elasticloadbalancing events guardduty-data kms lambda logs monitoring rds secretsmanager
    sns sqs ssm ssmmessages sts xray
"""
ENDPOINTS = tuple(_ENDPOINTS.split())

# Reserved words of PostgreSQL
# (https://www.postgresql.org/docs/current/sql-keywords-appendix.html).
_RESERVED_BY_SQL = """
    all analyse analyze and any array as asc asymmetric both case cast check collate column
    constraint create default deferrable desc distinct do else end except false fetch for
    foreign from grant group having in initially intersect into lateral leading limit localtime
    localtimestamp not null offset on only or order placing primary references returning select
    session_user some symmetric system_user table then to trailing true union unique user using
    variadic when where window with
"""
RESERVED_BY_SQL = frozenset(_RESERVED_BY_SQL.split())
# Databases that PostgreSQL and RDS create themselves.
RESERVED_DATABASES = frozenset({"rdsadmin", "template0", "template1"})


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        # pydantic collects ValueErrors only
        raise ValueError("must be text; in YAML, quote it")  # noqa: TRY004
    return value


def _schema(**keywords: Any) -> WithJsonSchema:
    """Describe a type that a function validates, for docs/stack-file.schema.json."""
    return WithJsonSchema({"type": "string", **keywords})


def _shape(pattern: str, meaning: str) -> tuple[BeforeValidator, AfterValidator, WithJsonSchema]:
    expression = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if not expression.fullmatch(value):
            raise ValueError(f"must be {meaning}")
        return value

    schema = _schema(pattern=f"^(?:{pattern})$", description=meaning)
    return BeforeValidator(_text), AfterValidator(check), schema


def _cidr(value: str) -> str:
    try:
        return str(IPv4Network(value))
    except ValueError:
        raise ValueError(
            "must be an IPv4 network whose host bits are zero, such as 10.0.0.0/16"
        ) from None


def _retention(days: int) -> int:
    if days not in RETENTION_DAYS:
        choices = ", ".join(map(str, RETENTION_DAYS))
        raise ValueError(f"must be a retention period of CloudWatch Logs, in days: {choices}")
    return days


def _region(name: str) -> str:
    if name not in REGIONS:
        raise ValueError(
            "must be a region of AWS's commercial partition, such as eu-central-1; "
            "other partitions are not supported"
        )
    return name


def _endpoint(name: str) -> str:
    if name not in ENDPOINTS:
        raise ValueError(
            "must be the last part of an interface endpoint's name: "
            f"{', '.join(ENDPOINTS)}; S3 always has an endpoint"
        )
    return name


def _database(name: str) -> str:
    if name in RESERVED_BY_SQL:
        raise ValueError("is a reserved word of SQL")
    if name in RESERVED_DATABASES or name.startswith("pg_"):
        raise ValueError("is reserved by PostgreSQL or RDS")
    return name


def _namespace(name: str) -> str:
    if name == "default" or name.startswith("kube-"):
        raise ValueError("is a namespace of Kubernetes; the service needs its own")
    return name


def _kubernetes(version: str) -> str:
    if version not in KUBERNETES_SUPPORT:
        raise ValueError(f"must be a tested version: {', '.join(KUBERNETES_SUPPORT)}, in quotes")
    return version


def _printable(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain NUL, which an environment variable cannot hold")
    if len(value.encode(errors="replace")) > MAX_TEXT_BYTES:
        raise ValueError(f"must have at most {MAX_TEXT_BYTES} bytes")
    return value


def _private_cidr(value: str) -> str:
    network = IPv4Network(value)
    if not any(network.subnet_of(private) for private in PRIVATE_NETWORKS):
        networks = ", ".join(map(str, PRIVATE_NETWORKS))
        raise ValueError(f"must be a private network, within {networks}")
    return value


def _day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a day of the calendar") from None
    return text


def _branch(name: str) -> str:
    """Check the rules of `git check-ref-format` that the pattern does not cover."""
    parts = name.split("/")
    if (
        ".." in name
        or name.endswith(".")
        or any(not part or part.startswith(".") or part.endswith(".lock") for part in parts)
    ):
        raise ValueError("must be a branch name that Git accepts")
    return name


def _proxy(url: str) -> str:
    if not 1 <= int(url.rpartition(":")[2]) <= MAX_PORT:
        raise ValueError(f"must have a port from 1 to {MAX_PORT}")
    return url


MAX_TEXT_BYTES = 32 * 1024
MAX_PORT = 65535
# Private addresses (RFC 1918). EKS accepts no others for Services, and a VPC with others hides
# parts of the internet.
PRIVATE_NETWORKS = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))

Text = Annotated[str, BeforeValidator(_text), AfterValidator(_printable), _schema()]
# Characters that all AWS services accept
# (https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html).
TagKey = Annotated[
    str,
    *_shape(
        r"(?![Aa][Ww][Ss]:)[\w +=.:/@-]{1,128}",
        "a tag's key: at most 128 letters, digits, spaces and +-=._:/@",
    ),
]
TagValue = Annotated[
    str,
    *_shape(r"[\w +=.:/@-]{1,256}", "a tag's value: 1 to 256 letters, digits, spaces and +-=._:/@"),
]
Name = Annotated[
    str,
    *_shape(
        r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?",
        "a name of at most 32 lower-case letters, digits and hyphens",
    ),
]
ServiceName = Annotated[
    str,
    *_shape(
        r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?",
        "a name of at most 20 lower-case letters, digits and hyphens",
    ),
]
Namespace = Annotated[Name, AfterValidator(_namespace)]
Cidr = Annotated[
    str,
    BeforeValidator(_text),
    AfterValidator(_cidr),
    _schema(
        pattern=r"^\d{1,3}(\.\d{1,3}){3}/\d{1,2}$",
        description="an IPv4 network whose host bits are zero, such as 10.0.0.0/16",
    ),
]
PrivateCidr = Annotated[Cidr, AfterValidator(_private_cidr)]
KubernetesVersion = Annotated[
    str, BeforeValidator(_text), AfterValidator(_kubernetes), _schema(enum=[*KUBERNETES_SUPPORT])
]
AddonVersion = Annotated[
    str,
    *_shape(r"v\d+\.\d+\.\d+-eksbuild\.\d+", "an EKS add-on version, such as v1.21.1-eksbuild.1"),
]
ReleaseVersion = Annotated[
    str,
    *_shape(
        r"\d\.\d+\.\d+-20\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])",
        "an AMI release version (Kubernetes patch and date), such as 1.35.7-20260903",
    ),
]
InstanceType = Annotated[
    str,
    *_shape(
        r"[a-z]+\d+[a-z]*(-[a-z0-9]+)*\.(\d*x?large|micro|nano|small|medium|metal[a-z0-9-]*)",
        "an EC2 instance type, such as t3.large",
    ),
]
InstanceClass = Annotated[
    str,
    *_shape(
        r"db\.[a-z]+\d+[a-z]*\.(\d*x?large|micro|small|medium)",
        "an RDS instance class, such as db.t4g.micro",
    ),
]
DatabaseName = Annotated[
    str,
    *_shape(
        r"[a-z][a-z0-9_]{0,62}",
        "a PostgreSQL name: at most 63 lower-case letters, digits and underscores",
    ),
    AfterValidator(_database),
]
PostgresVersion = Annotated[
    str,
    *_shape(
        r"1[4-9]\.[1-9]\d?", "a PostgreSQL version with its minor version, such as 17.6, in quotes"
    ),
]
SnapshotIdentifier = Annotated[
    str,
    *_shape(
        r"(?:[a-zA-Z](?:-?[a-zA-Z0-9]){0,254}|arn:aws[a-z-]*:rds:[a-z0-9-]+:\d{12}:snapshot:[^\s:]+)",
        "the identifier of a DB snapshot, or the ARN of a shared one",
    ),
]
Region = Annotated[
    str, BeforeValidator(_text), AfterValidator(_region), _schema(enum=sorted(REGIONS))
]
AccountId = Annotated[str, *_shape(r"\d{12}", "a twelve-digit AWS account id, in quotes")]
RoleArn = Annotated[
    str,
    *_shape(
        r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]+",
        "the ARN of an IAM role, arn:aws:iam::ACCOUNT:role/NAME",
    ),
]
PolicyArn = Annotated[
    str,
    *_shape(
        r"arn:aws:iam::\d{12}:policy/[\w+=,.@/-]+",
        "the ARN of an IAM policy, arn:aws:iam::ACCOUNT:policy/NAME",
    ),
]
CertificateArn = Annotated[
    str,
    *_shape(r"arn:aws:acm:[a-z0-9-]+:\d{12}:certificate/[\w-]+", "the ARN of an ACM certificate"),
]
ConnectionArn = Annotated[
    str,
    *_shape(
        r"arn:aws:(codeconnections|codestar-connections):[a-z0-9-]+:\d{12}:connection/[\w-]+",
        "the ARN of a CodeConnections connection",
    ),
]
Repository = Annotated[
    str,
    *_shape(
        r"[A-Za-z0-9](-?[A-Za-z0-9]){0,38}/(?!\.{1,2}$)[\w.-]{1,100}",
        "a GitHub repository, owner/name",
    ),
]
EcrRepository = Annotated[
    str,
    *_shape(
        r"[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*",
        "an ECR repository name, such as platform-dev/image-proven",
    ),
]
GitBranch = Annotated[str, *_shape(r"[\w][\w./-]{0,200}", "a branch name"), AfterValidator(_branch)]
TagPattern = Annotated[str, *_shape(r"[\w*?][\w.*?/-]{0,200}", "a tag pattern, such as v*")]
PathPattern = Annotated[
    str, *_shape(r"[\w*?.][\w.*?/-]{0,200}", "a pattern of paths in the repository, such as app/**")
]
KeyAlias = Annotated[
    str, *_shape(r"alias/(?!aws/)[\w/-]{1,250}", "the alias of a KMS key, alias/NAME")
]
KeyArn = Annotated[
    str, *_shape(r"arn:aws:kms:[a-z0-9-]+:\d{12}:key/[\w-]+", "the ARN of a KMS key")
]
BucketName = Annotated[
    str, *_shape(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "the name of an S3 bucket")
]
SecretName = Annotated[
    str, *_shape(r"[\w/+=.@-]{1,512}", "the name of a secret in Secrets Manager")
]
FindingId = Annotated[
    str, *_shape(r"[A-Z]{2,10}-[\w.:-]{4,60}", "the name of a finding, such as CVE-2026-12345")
]
Day = Annotated[
    str, *_shape(r"\d{4}-\d{2}-\d{2}", "a day in quotes, such as 2026-12-31"), AfterValidator(_day)
]
Reason = Annotated[
    str,
    *_shape(r"[\w ,.:;/()+#'-]{10,200}", "a reason of 10 to 200 letters, digits and ,.:;/()+#'-"),
]
ImageReference = Annotated[
    str,
    *_shape(r"[a-z0-9][\w.:/-]*@sha256:[0-9a-f]{64}", "an image by digest, registry/name@sha256:…"),
]
ProxyUrl = Annotated[
    str,
    *_shape(r"https?://[\w.-]+:\d{1,5}", "a proxy without credentials, http://host:port"),
    AfterValidator(_proxy),
]
HostName = Annotated[
    str, *_shape(r"[a-z0-9-]+(\.[a-z0-9-]+)+", "a DNS name, such as www.example.com")
]
Email = Annotated[str, *_shape(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", "a mail address")]
VariableName = Annotated[
    str,
    *_shape(
        r"[A-Z][A-Z0-9_]{0,62}",
        "the name of an environment variable: capitals, digits and underscores",
    ),
]
RelativePath = Annotated[
    str,
    *_shape(
        r"(?!.*\.\.)[\w.-]{1,100}(/[\w.-]{1,100}){0,9}", "a path within the project, without `..`"
    ),
]
Endpoint = Annotated[
    str, BeforeValidator(_text), AfterValidator(_endpoint), _schema(enum=[*ENDPOINTS])
]
Percent = Annotated[int, Field(ge=1, le=100)]
Port = Annotated[int, Field(ge=1024, le=65535)]
RetentionDays = Annotated[
    int, AfterValidator(_retention), WithJsonSchema({"enum": [*RETENTION_DAYS]})
]
