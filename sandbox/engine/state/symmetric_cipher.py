"""AES-256-GCM with the values of Pulumi's secrets providers: `v1:<nonce>:<ciphertext>`, base64."""

from __future__ import annotations

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.engine.errors import EngineError


class SymmetricCipher:
    """Encrypts and decrypts values with one key."""

    def __init__(self, key: bytes, wrong_key: EngineError) -> None:
        """`wrong_key` is raised for a value of another key."""
        self._cipher, self._wrong_key = AESGCM(key), wrong_key
        self._sealed: dict[str, str] = {}

    def encrypt(self, plaintext: str) -> str:
        """Return a ciphertext, the same for the same plaintext, so that unchanged state stays
        unchanged.
        """
        if plaintext not in self._sealed:
            self._sealed[plaintext] = self.seal(plaintext)
        return self._sealed[plaintext]

    def decrypt(self, ciphertext: str) -> str:
        """Return the plaintext; EngineError if the key is wrong."""
        plaintext = self.open(ciphertext)
        self._sealed.setdefault(plaintext, ciphertext)
        return plaintext

    def seal(self, plaintext: str) -> str:
        """Return a new ciphertext."""
        nonce = os.urandom(12)
        sealed = self._cipher.encrypt(nonce, plaintext.encode(), None)
        return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"

    def open(self, ciphertext: str) -> str:
        """Return the plaintext, and do not reuse its ciphertext."""
        try:
            version, nonce, sealed = ciphertext.split(":")
            if version != "v1":
                raise EngineError(
                    f"A secret of the stack has format {version!r}; only `v1` is supported."
                )
            return self._cipher.decrypt(
                base64.b64decode(nonce), base64.b64decode(sealed), None
            ).decode()
        except (InvalidTag, ValueError) as error:
            raise self._wrong_key from error
