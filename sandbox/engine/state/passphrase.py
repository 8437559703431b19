"""The passphrase secrets provider: AES-256-GCM with a PBKDF2 key, in Pulumi's format.

The state is `v1:<salt>:v1:<nonce>:<ciphertext of "pulumi">`, a value `v1:<nonce>:<ciphertext>`; all
parts are base64.
"""

from __future__ import annotations

import base64
import hashlib
import os
from functools import lru_cache
from typing import Any

from sandbox.engine.errors import EngineError, UsageError, WrongPassphraseError
from sandbox.engine.state.symmetric_cipher import SymmetricCipher

PASSPHRASE = "passphrase"  # noqa: S105 - the provider's name

_ITERATIONS = 1_000_000
_CHECK = "pulumi"


@lru_cache(maxsize=16)
def _key(passphrase: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, _ITERATIONS, 32)


class PassphraseSecrets(SymmetricCipher):
    """Encrypts and decrypts a stack's secrets; `state` is `encryptionsalt` of the stack file."""

    def __init__(self, passphrase: str | None, state: str | None = None) -> None:
        """Open the stack's secrets, or create new ones if `state` is None. Raises EngineError."""
        if passphrase is None:
            raise UsageError(
                "Set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE: it encrypts the "
                "stack's secrets."
            )
        error = WrongPassphraseError(_UNOPENED)
        if state is None:
            salt = os.urandom(8)
            super().__init__(_key(passphrase, salt), error)
            self.state = f"v1:{base64.b64encode(salt).decode()}:{self.seal(_CHECK)}"
            return
        version, salt_text, check = (*state.split(":", 2), "", "")[:3]
        if version != "v1" or not check:
            raise EngineError(
                "The stack's encryption salt does not have Pulumi's format (`v1:<salt>:…`)."
            )
        super().__init__(_key(passphrase, base64.b64decode(salt_text)), error)
        self.state = state
        if self.open(check) != _CHECK:
            raise error

    @property
    def provider(self) -> dict[str, Any]:
        """`secrets_providers` of the state."""
        return {"type": PASSPHRASE, "state": {"salt": self.state}}


_UNOPENED = (
    "The passphrase does not decrypt this stack's secrets. Set PULUMI_CONFIG_PASSPHRASE to the "
    "one it was created with (or PULUMI_CONFIG_PASSPHRASE_FILE to its file)."
)
