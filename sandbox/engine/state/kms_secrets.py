"""The secrets provider `awskms://KEY?region=REGION`: a data key that KMS encrypts, as the CLI's.

https://gocloud.dev/howto/secrets/#aws describes the URL.
"""

from __future__ import annotations

import base64
import os
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.engine.errors import EngineError
from sandbox.engine.state.symmetric_cipher import SymmetricCipher

CLOUD = "cloud"
SCHEME = "awskms"


class KmsSecrets(SymmetricCipher):
    """Encrypts and decrypts a stack's secrets; `encrypted_key` is `encryptedkey` of its file."""

    def __init__(self, url: str, encrypted_key: str | None = None) -> None:
        """Open the stack's secrets, or create a data key if there is none. Raises EngineError."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        key = f"{parts.netloc}{parts.path}".removeprefix("/")
        # boto3 takes the context by this prefix from the URL, as gocloud does.
        context = {
            name.removeprefix("context_"): value
            for name, value in options.items()
            if name.startswith("context_")
        }
        try:
            client = boto3.session.Session(profile_name=options.get("profile")).client(
                "kms", region_name=options.get("region")
            )
            if encrypted_key is None:
                data_key = os.urandom(32)
                encrypted = client.encrypt(
                    KeyId=key, Plaintext=data_key, EncryptionContext=context
                )["CiphertextBlob"]
                encrypted_key = base64.b64encode(encrypted).decode()
            else:
                data_key = client.decrypt(
                    KeyId=key,
                    CiphertextBlob=base64.b64decode(encrypted_key),
                    EncryptionContext=context,
                )["Plaintext"]
        except (BotoCoreError, ClientError, ValueError) as error:
            raise EngineError(
                f"The secrets provider {url} does not open the stack's data key: {error}. Check "
                "the key, the region, and that your role may use kms:Encrypt and kms:Decrypt."
            ) from error
        super().__init__(data_key, EngineError(f"A secret was not encrypted with {url}."))
        self.url, self.state = url, encrypted_key

    @property
    def provider(self) -> dict[str, Any]:
        """`secrets_providers` of the state."""
        return {"type": CLOUD, "state": {"url": self.url, "encryptedkey": self.state}}
