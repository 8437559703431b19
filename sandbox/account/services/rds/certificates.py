"""Certificate authorities of RDS servers.

Source: docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import checks, implements

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

DEFAULT = "rds-ca-rsa2048-g1"
_FROM = datetime.datetime(2021, 5, 25, tzinfo=datetime.UTC)
_YEARS = {DEFAULT: 40, "rds-ca-rsa4096-g1": 100, "rds-ca-ecc384-g1": 100}


@checks("rds", "CreateDBInstance", "ModifyDBInstance", "DescribeCertificates")
def check_certificate(context: RequestContext, call: Call) -> None:  # noqa: ARG001
    """Refuse an authority that does not exist."""
    name = call.get("CACertificateIdentifier") or call.get("CertificateIdentifier")
    if name is not None and name not in _YEARS:
        raise AwsError("CertificateNotFound", f"Certificate not found: {name}")


@implements("rds", "DescribeCertificates")
def describe_certificates(context: RequestContext, call: Call) -> dict[str, Any]:  # noqa: ARG001
    """Return the authorities."""
    names = [call["CertificateIdentifier"]] if call.get("CertificateIdentifier") else list(_YEARS)
    return {
        "DefaultCertificateForNewLaunches": DEFAULT,
        "Certificates": [
            {
                "CertificateIdentifier": name,
                "CertificateType": "CA",
                "CertificateArn": f"arn:aws:rds:{call.region}::cert:{name}",
                "ValidFrom": _FROM,
                "ValidTill": _FROM.replace(year=_FROM.year + _YEARS[name]),
                "CustomerOverride": False,
            }
            for name in names
        ],
    }
