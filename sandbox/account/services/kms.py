"""KMS where moto differs: key states, rotation periods, key policies, signatures.

Source: docs.aws.amazon.com/kms/latest/developerguide/key-state.html.
"""

from __future__ import annotations

import datetime
import math
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from sandbox.account.core import determinism, moto_backends, policy_documents
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import amends, checks, implements
from sandbox.account.core.wire import ACCOUNT_ID

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

_CRYPTO = (
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncrypt",
    "Sign",
    "Verify",
    "CreateGrant",
)
_NOT_WHILE_PENDING = (
    "EnableKey",
    "DisableKey",
    "EnableKeyRotation",
    "DisableKeyRotation",
    "UpdateKeyDescription",
    "TagResource",
    "UntagResource",
    "PutKeyPolicy",
    "ScheduleKeyDeletion",
)


def _key(context: RequestContext, call: Call, name: str) -> Any | None:
    return moto_backends.key(context, call.region, name)


@checks("kms", *_CRYPTO)
def usable(context: RequestContext, call: Call) -> None:
    """Refuse to use a key that is not enabled."""
    key = _key(context, call, call.get("KeyId") or call.get("DestinationKeyId") or "")
    if key is not None and key.key_state == "Disabled":
        raise AwsError("DisabledException", f"{key.arn} is disabled.")
    if key is not None and key.key_state == "PendingDeletion":
        raise AwsError("KMSInvalidStateException", f"{key.arn} is pending deletion.")


@checks("kms", *_NOT_WHILE_PENDING)
def not_pending(context: RequestContext, call: Call) -> None:
    """Refuse to change a key that is pending deletion."""
    key = _key(context, call, call["KeyId"])
    if key is not None and key.key_state == "PendingDeletion":
        raise AwsError("KMSInvalidStateException", f"{key.arn} is pending deletion.")


@checks("kms", "CreateAlias", "UpdateAlias")
def alias_target(context: RequestContext, call: Call) -> None:
    """Refuse an alias for a key that is pending deletion."""
    key = _key(context, call, call["TargetKeyId"])
    if key is not None and key.key_state == "PendingDeletion":
        raise AwsError("KMSInvalidStateException", f"{key.arn} is pending deletion.")


@checks("kms", "CancelKeyDeletion")
def is_pending(context: RequestContext, call: Call) -> None:
    """Refuse to cancel a deletion that is not pending."""
    key = _key(context, call, call["KeyId"])
    if key is not None and key.key_state != "PendingDeletion":
        raise AwsError("KMSInvalidStateException", f"{key.arn} is not pending deletion.")


@checks("kms", "ScheduleKeyDeletion")
def deletion_window(context: RequestContext, call: Call) -> None:  # noqa: ARG001
    """Validate the waiting period of 7 to 30 days."""
    if not 7 <= call.get("PendingWindowInDays", 30) <= 30:
        text = "PendingWindowInDays must be between 7 and 30 days"
        raise AwsError("ValidationException", text)


@amends("kms", "ScheduleKeyDeletion")
def plan_deletion(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Delete the key with its aliases after the waiting period, which is never scaled."""
    backend = context.backend("kms", call.region)
    key = _key(context, call, call["KeyId"])
    if key is None or key.deletion_date is None:
        return
    planned = key.deletion_date

    def gone() -> None:
        if key.key_state == "PendingDeletion" and key.deletion_date == planned:
            backend.keys.pop(key.id, None)

    context.schedule.add(planned.replace(tzinfo=datetime.UTC).timestamp(), gone)


@checks("kms", "CreateKey", "PutKeyPolicy")
def check_policy(context: RequestContext, call: Call) -> None:
    """Validate a key policy: well-formed, existing principals, no lockout."""
    if not call.get("Policy"):
        return

    def malformed(text: str) -> AwsError:
        return AwsError("MalformedPolicyDocumentException", text)

    key = policy_documents.statements(call["Policy"], malformed, principal=True)
    policy_documents.check_principals(context, key, malformed)
    if call.get("BypassPolicyLockoutSafetyCheck"):
        return
    owners = {"*", f"arn:aws:iam::{ACCOUNT_ID}:root", ACCOUNT_ID, moto_backends.CALLER_ARN}
    for statement in key:
        actions = statement.get("Action", [])
        rights = {actions} if isinstance(actions, str) else set(actions)
        grants = rights & {"kms:*", "*", "kms:Put*", "kms:PutKeyPolicy"}
        if (
            statement["Effect"] == "Allow"
            and grants
            and owners & set(policy_documents.aws_principals(statement))
        ):
            return
    text = "The new key policy will not allow you to update the key policy in the future."
    raise malformed(text)


@amends("kms", "EnableKeyRotation")
def keep_period(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Record the rotation period and its start."""
    key = _key(context, call, call["KeyId"])
    period = call.get("RotationPeriodInDays") or 365
    context.table("kms.rotation")[call.region, getattr(key, "id", "")] = {
        "days": period,
        "since": context.clock.now(),
    }


@amends("kms", "GetKeyRotationStatus")
def show_period(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Return the rotation period and the next date."""
    key = _key(context, call, call["KeyId"])
    rotation = context.table("kms.rotation").get((call.region, getattr(key, "id", "")))
    if result.get("KeyRotationEnabled") and rotation is not None and key is not None:
        following = rotation["since"] + datetime.timedelta(days=rotation["days"])
        result |= {
            "KeyId": key.id,
            "RotationPeriodInDays": rotation["days"],
            "NextRotationDate": following,
        }


_CURVES: dict[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    "ECC_NIST_P256": (ec.SECP256R1(), hashes.SHA256()),
    "ECC_NIST_P384": (ec.SECP384R1(), hashes.SHA384()),
    "ECC_NIST_P521": (ec.SECP521R1(), hashes.SHA512()),
    "ECC_SECG_P256K1": (ec.SECP256K1(), hashes.SHA256()),
}


@amends("kms", "CreateKey", "DescribeKey")
def show_multi_region(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Return whether the key is one of several regions; moto omits false values."""
    result["KeyMetadata"].setdefault("MultiRegion", False)


@amends("kms", "CreateKey")
def derive_key_pair(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Derive the key pair from the request's seed: a replay must create the same one."""
    key = _key(context, call, result["KeyMetadata"]["KeyId"])
    if key is not None:  # the response of an amended request has milliseconds
        key.creation_date = math.floor(key.creation_date * 1000) / 1000
    curve = _CURVES.get(result["KeyMetadata"]["KeySpec"])
    if key is not None and curve is not None:
        # FIPS 186-5, A.2.1: 64 bits more than the order has, reduced, are unbiased.
        order = int(determinism.random_hex((curve[0].key_size + 64) // 4), 16)
        secret = order % ((1 << (curve[0].key_size - 1)) - 1) + 1
        key.private_key.private_key = ec.derive_private_key(secret, curve[0])


@implements("kms", "Sign", journaled=False)
def sign(context: RequestContext, call: Call) -> dict[str, Any]:
    """Sign a message or digest; moto signs the base64 text of the request."""
    key, scheme = _signing_key(context, call)
    signature = key.private_key.private_key.sign(_message(call), scheme)
    return {
        "KeyId": key.arn,
        "Signature": signature,
        "SigningAlgorithm": call["SigningAlgorithm"],
    }


@implements("kms", "Verify", journaled=False)
def verify(context: RequestContext, call: Call) -> dict[str, Any]:
    """Verify a signature; an invalid one is an error without a text, as on AWS."""
    key, scheme = _signing_key(context, call)
    try:
        key.private_key.private_key.public_key().verify(call["Signature"], _message(call), scheme)
    except InvalidSignature:
        raise AwsError("KMSInvalidSignatureException", "") from None
    return {
        "KeyId": key.arn,
        "SignatureValid": True,
        "SigningAlgorithm": call["SigningAlgorithm"],
    }


def _signing_key(context: RequestContext, call: Call) -> tuple[Any, ec.ECDSA]:
    name, algorithm = call["KeyId"], call["SigningAlgorithm"]
    key = _key(context, call, name)
    if key is None:
        kind = "Alias" if "alias/" in name else "Key"
        arn = name if name.startswith("arn:") else f"arn:aws:kms:{call.region}:{ACCOUNT_ID}:"
        shown = (
            arn if name.startswith("arn:") else f"{arn}{'' if kind == 'Alias' else 'key/'}{name}"
        )
        raise AwsError("NotFoundException", f"{kind} {shown} is not found.")
    usage = key.key_usage or "ENCRYPT_DECRYPT"
    if usage != "SIGN_VERIFY":
        text = f"{key.arn} key usage is {usage} which is not valid for {call.operation}."
        raise AwsError("InvalidKeyUsageException", text)
    if key.key_spec not in _CURVES:
        text = f"{call.operation} with keys of the spec {key.key_spec} is not emulated"
        raise AwsError("NotImplemented", text, status=501)
    if algorithm not in key.signing_algorithms:
        text = f"Algorithm {algorithm} is incompatible with key spec {key.key_spec}."
        raise AwsError("InvalidKeyUsageException", text)
    function = _CURVES[key.key_spec][1]
    prehashed = call.get("MessageType") == "DIGEST"
    return key, ec.ECDSA(Prehashed(function) if prehashed else function)


def _message(call: Call) -> bytes:
    message = call["Message"]
    if call.get("MessageType") == "DIGEST":
        size = int(call["SigningAlgorithm"].rpartition("_")[2]) // 8
        if len(message) != size:
            text = f"Digest is invalid length for algorithm {call['SigningAlgorithm']}."
            raise AwsError("ValidationException", text)
    return bytes(message)
