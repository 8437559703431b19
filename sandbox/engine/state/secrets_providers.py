"""Opens a stack's secrets with the provider that its state or its stack file names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from sandbox.engine.errors import EngineError
from sandbox.engine.state.passphrase import PASSPHRASE, PassphraseSecrets


class Secrets(Protocol):
    """Encrypts and decrypts values; `state` is the salt or the encrypted data key."""

    state: str

    @property
    def provider(self) -> dict[str, Any]:
        """`secrets_providers` of the state."""

    def encrypt(self, plaintext: str) -> str:
        """Return the ciphertext."""

    def decrypt(self, ciphertext: str) -> str:
        """Return the plaintext; EngineError if the key is wrong."""


def secrets_of_state(deployment: Mapping[str, Any], passphrase: str | None) -> Secrets | None:
    """Open the secrets of a state; None if it names no provider."""
    provider = deployment.get("secrets_providers") or {}
    state = provider.get("state") or {}
    match provider.get("type"):
        case None:
            return None
        case "passphrase":
            return PassphraseSecrets(passphrase, state.get("salt"))
        case "cloud":
            return _kms(str(state.get("url")), state.get("encryptedkey"))
        case other:
            raise EngineError(
                f"The state uses the secrets provider {other!r}; `passphrase` and `awskms://` are "
                "supported."
            )


def secrets_of_file(
    provider: str | None, salt: str | None, encrypted_key: str | None, passphrase: str | None
) -> Secrets:
    """Open the secrets of a stack file, or create new ones."""
    if provider in (None, "", PASSPHRASE):
        return PassphraseSecrets(passphrase, salt)
    return _kms(str(provider), encrypted_key)


def refuse_unsupported(provider: str | None) -> str:
    """Return why a stack file's `secretsprovider` is not supported; empty if it is."""
    if provider in (None, "", PASSPHRASE) or str(provider).startswith("awskms://"):
        return ""
    return f"`secretsprovider: {provider}` is not supported; use `passphrase` or `awskms://…`."


def _kms(url: str, encrypted_key: str | None) -> Secrets:
    if problem := refuse_unsupported(url):
        raise EngineError(f"Of the stack's secrets: {problem}")
    # boto3 takes 0.3 s to import, and most stacks use a passphrase.
    from sandbox.engine.state.kms_secrets import KmsSecrets  # noqa: PLC0415

    return KmsSecrets(url, encrypted_key)
