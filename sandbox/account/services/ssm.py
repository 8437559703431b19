"""SSM's public parameters of EKS node images, which moto lacks."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from sandbox.account.core.operations import implements
from sandbox.account.services.eks import catalog

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

# docs.aws.amazon.com/eks/latest/userguide/retrieve-ami-id.html
_IMAGE = re.compile(
    r"/aws/service/eks/optimized-ami/(?P<version>[\d.]+)/amazon-linux-2023/(?P<architecture>x86_64|arm64)"
    r"/(?P<variant>standard|nvidia|neuron)/recommended/(?P<what>image_id|release_version)"
)


def _image(call: Call, name: str) -> dict[str, Any] | None:
    found = _IMAGE.fullmatch(name)
    if found is None or found["version"] not in catalog.RELEASES:
        return None
    release = catalog.RELEASES[found["version"]].ami_release
    unique = hashlib.sha256(
        f"{call.region}/{name.rpartition('/')[0]}/{release}".encode()
    ).hexdigest()[:17]
    return {
        "Name": name,
        "Type": "String",
        "Value": release if found["what"] == "release_version" else f"ami-{unique}",
        "Version": 1,
        "ARN": f"arn:aws:ssm:{call.region}::parameter{name}",
        "DataType": "text",
    }


@implements("ssm", "GetParameter")
def get_parameter(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return a public EKS parameter or one of moto's."""
    image = _image(call, call["Name"])
    return {"Parameter": image} if image else context.moto.result(call)


@implements("ssm", "GetParameters")
def get_parameters(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return several parameters."""
    result = context.moto.result(call)
    images = [image for name in call["Names"] if (image := _image(call, name))]
    known = {image["Name"] for image in images}
    rest = [name for name in result.get("InvalidParameters") or [] if name not in known]
    return {"Parameters": [*(result.get("Parameters") or []), *images], "InvalidParameters": rest}
