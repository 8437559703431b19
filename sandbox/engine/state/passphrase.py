"""The passphrase secrets provider: AES-256-GCM with a PBKDF2 key, in Pulumi's format.

The state is `v1:<salt>:v1:<nonce>:<ciphertext of "pulumi">`, a value `v1:<nonce>:<ciphertext>`; all
parts are base64.
"""

from __future__ import annotations

import base64
import hashlib
import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.engine.errors import EngineError, WrongPassphraseError

_ITERATIONS = 1_000_000
_CHECK = "pulumi"


@lru_cache(maxsize=16)
def _key(passphrase: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, _ITERATIONS, 32)


class PassphraseSecrets:
    """Encrypts and decrypts a stack's secrets; `state` is `encryptionsalt` of the stack file."""

    def __init__(self, passphrase: str, state: str | None = None) -> None:
        """Open the stack's secrets, or create new ones if `state` is None. Raises EngineError."""
        if state is None:
            salt = os.urandom(8)
            self._cipher = AESGCM(_key(passphrase, salt))
            self.state = f"v1:{base64.b64encode(salt).decode()}:{self._seal(_CHECK)}"
        else:
            version, salt_text, check = (*state.split(":", 2), "", "")[:3]
            if version != "v1" or not check:
                raise EngineError(
                    "The stack's encryption salt does not have Pulumi's format (`v1:<salt>:…`)."
                )
            self._cipher = AESGCM(_key(passphrase, base64.b64decode(salt_text)))
            self.state = state
            if self.decrypt(check) != _CHECK:
                raise WrongPassphraseError(_UNOPENED)
        self._sealed: dict[str, str] = {}

    def encrypt(self, plaintext: str) -> str:
        """Return a ciphertext, the same for the same plaintext, so that unchanged state stays
        unchanged.
        """
        if plaintext not in self._sealed:
            self._sealed[plaintext] = self._seal(plaintext)
        return self._sealed[plaintext]

    def decrypt(self, ciphertext: str) -> str:
        """Return the plaintext; EngineError if the passphrase is wrong."""
        try:
            version, nonce, sealed = ciphertext.split(":")
            if version != "v1":
                raise EngineError(
                    f"A secret of the stack has format {version!r}; only `v1` is supported."
                )
            opened = self._cipher.decrypt(
                base64.b64decode(nonce), base64.b64decode(sealed), None
            ).decode()
        except (InvalidTag, ValueError) as error:
            raise WrongPassphraseError(_UNOPENED) from error
        if hasattr(self, "_sealed"):
            self._sealed.setdefault(opened, ciphertext)
        return opened

    def _seal(self, plaintext: str) -> str:
        nonce = os.urandom(12)
        sealed = self._cipher.encrypt(nonce, plaintext.encode(), None)
        return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"


_UNOPENED = (
    "The passphrase does not decrypt this stack's secrets. Set PULUMI_CONFIG_PASSPHRASE to the "
    "one it was created with (or PULUMI_CONFIG_PASSPHRASE_FILE to its file)."
)
