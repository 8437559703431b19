"""SSM's public parameters of EKS node images, which moto lacks."""

from __future__ import annotations

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
    match = _IMAGE.fullmatch(name)
    if match is None or match["version"] not in catalog.RELEASES:
        return None
    release = catalog.RELEASES[match["version"]].ami_release
    ami = catalog.ami_id(call.region, match["version"], match["architecture"], match["variant"])
    return {
        "Name": name,
        "Type": "String",
        "Value": release if match["what"] == "release_version" else ami,
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
    names = {image["Name"] for image in images}
    rest = [name for name in result.get("InvalidParameters") or [] if name not in names]
    return {"Parameters": [*(result.get("Parameters") or []), *images], "InvalidParameters": rest}
