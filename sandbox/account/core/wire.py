"""HTTP to AWS operation and back: service, operation, parameters, response format."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from moto.core.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.serialize import SerializationContext, get_serializer_class
from moto.core.utils import get_service_model
from moto.moto_server.werkzeug_app import BackendRequest
from werkzeug.exceptions import HTTPException

from sandbox.account.core.errors import AwsError, not_emulated

ACCOUNT_ID = "123456789012"
DEFAULT_REGION = "us-east-1"

# Signing names that differ from botocore's service names.
_SERVICE_OF_SIGNING_NAME = {
    "monitoring": "cloudwatch",
    "elasticloadbalancing": "elbv2",
    "tagging": "resourcegroupstaggingapi",
    "email": "ses",
    "eventbridge": "events",
}
SERVICES = frozenset(
    {
        "acm",
        "autoscaling",
        "budgets",
        "cloudwatch",
        "codebuild",
        "codeconnections",
        "codepipeline",
        "codestar-connections",
        "codestar-notifications",
        "ec2",
        "ecr",
        "eks",
        "elbv2",
        "events",
        "iam",
        "kms",
        "logs",
        "rds",
        "resourcegroupstaggingapi",
        "route53",
        "s3",
        "secretsmanager",
        "sns",
        "sqs",
        "ssm",
        "sts",
        "wafv2",
    }
)
_SIGNED = re.compile(r"Credential=([^/]*)/\d{8}/([^/]+)/([^/]+)/aws4_request")


@dataclass(frozen=True)
class Reply:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Call:
    """An AWS request; `params` has botocore's names, `raw_params` a JSON request's own."""

    service: str
    operation: str
    model: OperationModel
    region: str
    access_key: str
    params: dict[str, Any]
    raw_params: dict[str, Any] | None
    environ: dict[str, Any]
    body: bytes
    protocol: str

    def __getitem__(self, name: str) -> Any:
        """Return a required parameter."""
        return self.params[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return an optional parameter."""
        return self.params.get(name, default)

    def fresh_environ(self) -> dict[str, Any]:
        """Return a WSGI environment with an unread body."""
        return {
            **self.environ,
            "wsgi.input": io.BytesIO(self.body),
            "CONTENT_LENGTH": str(len(self.body)),
        }


def read_body(environ: dict[str, Any]) -> bytes:
    """Read a request's body, with a length or chunked."""
    stream = environ["wsgi.input"]
    if (
        environ.get("wsgi.input_terminated")
        and "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
    ):
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        return bytes(stream.read())
    return bytes(stream.read(int(environ.get("CONTENT_LENGTH") or 0)))


def _scope(environ: dict[str, Any]) -> tuple[str, str, str] | None:
    """Return access key, region and signing name of a signed or presigned request."""
    signature = _SIGNED.search(environ.get("HTTP_AUTHORIZATION", ""))
    if signature:
        key, region, name = signature.groups()
        return key, region, name
    query = parse_qs(environ.get("QUERY_STRING", ""))
    parts = query.get("X-Amz-Credential", [""])[0].split("/")
    return (parts[0], parts[2], parts[3]) if len(parts) == 5 else None


def identify(environ: dict[str, Any]) -> tuple[str, str, str]:
    """Return service, region and access key; unsigned requests are S3's, as on its path-style
    endpoint.
    """
    scope = _scope(environ)
    if scope is None:
        return "s3", DEFAULT_REGION, ""
    key, region, name = scope
    return _SERVICE_OF_SIGNING_NAME.get(name, name), region, key


def parse(environ: dict[str, Any], body: bytes) -> Call:
    """Parse a WSGI request. Raises AwsError for an unknown operation or an unreadable body."""
    service, region, key = identify(environ)
    if service not in SERVICES:
        raise not_emulated(service, "*", "the whole service")
    request = BackendRequest(
        {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    )
    model = get_service_model(service)
    content_type = environ.get("CONTENT_TYPE") or None
    try:
        protocol = determine_request_protocol(model, content_type)
        operation, uri_params = get_service_router(service).match(request)
    except (HTTPException, NotImplementedError, KeyError) as error:
        what = (
            environ.get("HTTP_X_AMZ_TARGET")
            or request.values.get("Action")
            or f"{request.method} {request.path}"
        )
        code = (
            "InvalidAction" if model.protocol in {"ec2", "query"} else "UnknownOperationException"
        )
        raise AwsError(code, f"{service} has no operation {what}.") from error
    raw: dict[str, Any] | None = None
    try:
        if protocol in {"json", "rest-json"} and body and not _streams(operation):
            raw = dict(json.loads(body).items())
        params = PROTOCOL_PARSERS[protocol](operation).parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": request.get_data() if protocol != "ec2" else request.data,
                "url_path": request.path,
                "url_params": uri_params,
            }
        )
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        code = (
            "SerializationException"
            if raw is not None or protocol.endswith("json")
            else "MalformedInput"
        )
        raise AwsError(
            code, f"{service}:{operation.name}: the request is unreadable: {error}"
        ) from error
    return Call(
        service, str(operation.name), operation, region, key, params, raw, environ, body, protocol
    )


def _streams(operation: OperationModel) -> bool:
    shape = operation.input_shape
    payload = shape.serialization.get("payload") if shape else None
    return (
        shape is not None
        and payload is not None
        and shape.members[payload].type_name in {"blob", "string"}
    )


def write(call: Call, result: dict[str, Any] | AwsError, request_id: str) -> Reply:
    """Write a result or error in the protocol of the request."""
    serializer = get_serializer_class(call.service, call.protocol)(
        operation_model=call.model, context=SerializationContext(request_id)
    )
    written = serializer.serialize(result)
    body = written["body"]
    status = (
        result.status
        if isinstance(result, AwsError) and result.status
        else int(written["status_code"])
    )
    headers = {**written["headers"], "x-amzn-RequestId": request_id}
    return Reply(status, headers, body.encode() if isinstance(body, str) else bytes(body))


def write_unparsed(environ: dict[str, Any], error: AwsError, request_id: str) -> Reply:
    """Write an error for an unknown operation, as XML or JSON depending on the request."""
    json_like = "json" in environ.get("CONTENT_TYPE", "") or "HTTP_X_AMZ_TARGET" in environ
    service = identify(environ)[0]
    if service in SERVICES and "json" in get_service_model(service).protocol:
        json_like = True
    status = error.status or 400
    if json_like or service not in SERVICES:
        headers = {
            "Content-Type": "application/json",
            "x-amzn-ErrorType": error.code,
            "x-amzn-RequestId": request_id,
        }
        return Reply(
            status, headers, json.dumps({"__type": error.code, "message": error.message}).encode()
        )
    text = error.message.replace("&", "&amp;").replace("<", "&lt;")
    inner = f"<Error><Code>{error.code}</Code><Message>{text}</Message></Error>"
    wrapped = {
        "s3": inner,
        "ec2": f"<Response><Errors>{inner}</Errors><RequestID>{request_id}</RequestID></Response>",
    }.get(service, f"<ErrorResponse>{inner}<RequestId>{request_id}</RequestId></ErrorResponse>")
    return Reply(
        status, {"Content-Type": "text/xml", "x-amzn-RequestId": request_id}, wrapped.encode()
    )
