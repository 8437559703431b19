"""The API servers' certificate, issued by the sandbox's certificate authority."""

from __future__ import annotations

from pathlib import Path

from sandbox.runtime.certificate_authority import CertificateAuthority, write_private


def ensure(directory: Path) -> tuple[str, Path, Path]:
    """Return the CA in PEM and the paths of certificate and key; created on first use."""
    certificate, key = directory / "server.pem", directory / "server.key"
    if certificate.exists() and key.exists():
        return (directory / "ca.pem").read_text(), certificate, key
    authority = CertificateAuthority(directory)
    certificate_pem, key_pem = authority.issue(
        "kube-apiserver", ["localhost", "kubernetes"], ["127.0.0.1"]
    )
    write_private(key, key_pem)
    certificate.write_bytes(certificate_pem)
    return authority.pem, certificate, key
