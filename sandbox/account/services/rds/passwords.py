"""Passwords of master users: random ones in managed secrets, and their rotation.

moto's managed secrets have the same user and password for every instance.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sandbox.account.core.determinism import random_hex, random_uuid
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import amends, checks
from sandbox.account.services.rds import hosting

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

_LENGTH = 28  # as RDS generates it
# docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html
_ROTATION_DAYS = 7


def generate(context: RequestContext, database: Any) -> None:
    """Give the managed secret of a new instance its user and a random password."""
    if database.manage_master_user_password:
        secret = database.master_user_secret.secret
        secret.versions[secret.default_version_id]["secret_string"] = _document(database)
        secret.rotation_requested = secret.rotation_enabled = True
        secret.auto_rotate_after_days = _ROTATION_DAYS
        _plan_rotation(context, secret)


def rotate(context: RequestContext, database: Any) -> None:
    """Store a new password as the current version of the managed secret."""
    secret, version = database.master_user_secret.secret, random_uuid()
    # moto's rotation adds a version without a value, which it leaves to a function.
    for empty in [key for key, item in secret.versions.items() if not item.get("secret_string")]:
        del secret.versions[empty]
    if secret.default_version_id not in secret.versions:
        secret.default_version_id = next(
            key for key, item in secret.versions.items() if "AWSPREVIOUS" in item["version_stages"]
        )
    document = {
        "secret_string": _document(database),
        "createdate": int(context.clock.time()),
        "version_id": version,
        "version_stages": ["AWSCURRENT"],
    }
    secret.reset_default_version(document, version)
    secret.last_rotation_date = int(context.clock.time())
    _plan_rotation(context, secret)


def _plan_rotation(context: RequestContext, secret: Any) -> None:
    secret.next_rotation_date = int(context.clock.time()) + _ROTATION_DAYS * 24 * 3600


def _document(database: Any) -> str:
    return json.dumps({"username": database.master_username, "password": random_hex(_LENGTH)})


def _managed(context: RequestContext, call: Call) -> Any | None:
    """Return the instance whose password the secret in a call is."""
    secret_id = call["SecretId"]
    for database in context.backend("rds", call.region).databases.values():
        secret = getattr(database, "master_user_secret", None)
        if secret is not None and secret_id in {secret.secret.arn, secret.secret.name}:
            return database
    return None


@amends("secretsmanager", "RotateSecret")
def secret_rotated(context: RequestContext, call: Call, result: dict[str, Any]) -> None:
    """Rotate the password of an instance with its secret."""
    database = _managed(context, call)
    if database is not None:
        rotate(context, database)
        result["VersionId"] = database.master_user_secret.secret.default_version_id
        hosting.configure(context, database)


@checks("secretsmanager", "PutSecretValue", "UpdateSecret", "DeleteSecret")
def check_managed_secret(context: RequestContext, call: Call) -> None:
    """Refuse to change a secret that RDS manages, as Secrets Manager does."""
    if _managed(context, call) is not None:
        text = (
            "You can't perform this operation on the secret because it is managed by rds. "
            "Rotate it, or change the DB instance."
        )
        raise AwsError("InvalidRequestException", text)
