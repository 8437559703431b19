"""ECR's authorization tokens: opaque passwords with an expiry, signed with the registry's key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from pathlib import Path

from sandbox.contracts.image_repositories import RegistryError

# Amazon ECR API reference, GetAuthorizationToken: "The authorization token is valid for 12 hours."
VALID_SECONDS = 12 * 3600
USER = "AWS"


class Tokens:
    """Issues and validates tokens; the key is in the registry's directory, so tokens survive a
    restart.
    """

    def __init__(self, directory: Path, account_id: str) -> None:
        self._key_file = directory / "token.key"
        self._account_id = account_id

    def issue(self, access_key: str = "", now: float | None = None) -> tuple[str, float]:
        """Return a password for the user AWS and its expiry (seconds since the epoch).

        The token has the permissions of the caller's key; without one, all permissions.
        """
        expires = (time.time() if now is None else now) + VALID_SECONDS
        claims = {
            "account": self._account_id,
            "key": access_key,
            "expiration": int(expires),
            "nonce": secrets.token_hex(8),
        }
        payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()
        return f"{payload}.{self._sign(payload)}", expires

    def validate(self, username: str, password: str) -> str:
        """Return the key of the pair; raise RegistryError if it is not issued or has expired."""
        payload, _, signature = password.partition(".")
        if username != USER or not hmac.compare_digest(signature, self._sign(payload)):
            raise RegistryError(
                401,
                "UNAUTHORIZED",
                "Not Authorized",
                {"WWW-Authenticate": 'Basic realm="ECR", service="ecr.amazonaws.com"'},
            )
        claims = json.loads(base64.urlsafe_b64decode(payload))
        if claims["expiration"] < time.time():
            raise RegistryError(
                403, "DENIED", "Your authorization token has expired. Reauthenticate and try again."
            )
        return str(claims.get("key", ""))

    def _sign(self, payload: str) -> str:
        return hmac.new(self._key(), payload.encode(), hashlib.sha256).hexdigest()

    def _key(self) -> bytes:
        if not self._key_file.exists():
            self._key_file.parent.mkdir(parents=True, exist_ok=True)
            self._key_file.touch(mode=0o600)
            self._key_file.write_bytes(secrets.token_bytes(32))
        return self._key_file.read_bytes()
