"""The sandbox's certificate authority, and the server certificates that it issues."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.runtime.damage import DamagedFileError

_LIFETIME = timedelta(days=3650)


class CertificateAuthority:
    """A certificate and its key in a directory, created on first use.

    Clients trust `certificate`, which all clusters and databases of a sandbox share.
    """

    def __init__(self, directory: Path) -> None:
        if (directory / "ca.pem").exists() and not (directory / "ca.key").exists():
            directory /= "issuing"  # an older version kept no key, and clusters use its certificate
        self.certificate, self._key = directory / "ca.pem", directory / "ca.key"
        if not self.certificate.exists():
            if self._key.exists():  # clients trust the former certificate
                raise DamagedFileError(self.certificate, "it is missing")
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._create()

    @property
    def pem(self) -> str:
        """The certificate in PEM."""
        return self.certificate.read_text()

    def issue(
        self, name: str, names: Sequence[str], addresses: Sequence[str] = ()
    ) -> tuple[bytes, bytes]:
        """Return certificate and key in PEM of a server with these host names and addresses."""
        try:
            ca = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        except (OSError, ValueError) as error:
            raise DamagedFileError(self.certificate, error) from error
        try:
            ca_key = serialization.load_pem_private_key(self._key.read_bytes(), password=None)
        except (OSError, ValueError) as error:
            raise DamagedFileError(self._key, error) from error
        assert isinstance(ca_key, ec.EllipticCurvePrivateKey)  # noqa: S101 - created below
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives: list[x509.GeneralName] = [x509.DNSName(item) for item in names]
        alternatives += [x509.IPAddress(ip_address(item)) for item in addresses]
        start = datetime.now(UTC) - timedelta(hours=1)
        # A common name has 64 characters at most; clients use the alternative names.
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + _LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                    ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
                ),
                critical=False,
            )
            .sign(ca_key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM), _private_pem(key)

    def _create(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes sandbox")])
        start = datetime.now(UTC) - timedelta(hours=1)
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + _LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        write_private(self._key, _private_pem(key))
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
