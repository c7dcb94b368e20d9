"""Makes a local authority and the certificates that it signs, with `cryptography` of the extra `[tls]`.

Why cryptography alone: trustme, which makes both in three lines, needs cryptography itself (13 MB installed, from the
Python Cryptographic Authority), and an authority that is kept and renewed is beyond what its API was made for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from emulator.core.light_dataclass import dataclass


@dataclass(frozen=True)
class Authority:
    """A certificate that signs others, and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def end(self) -> float:
        """Until when it is valid, in Unix seconds."""
        return self.certificate.not_valid_after_utc.timestamp()

    def format_certificate(self) -> bytes:
        """Return the certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def format(self) -> bytes:
        """Return key and certificate in PEM."""
        return _format_key(self.key) + self.format_certificate()


def make_authority(now: float) -> Authority:
    """Return a new authority that is valid from `now` (Unix seconds) on."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Image API Emulator"),
        x509.NameAttribute(NameOID.COMMON_NAME, f"Image API Emulator local authority {serial:x}"[:_LONGEST_NAME]),
    ])  # fmt: skip
    begin = datetime.fromtimestamp(now, UTC) - _EARLIER
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(begin)
        .not_valid_after(begin + _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_describe_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Authority(builder.sign(key, hashes.SHA256()), key)


def read_authority(pem: bytes) -> Authority:
    """Return the authority that `Authority.format` has written; raises ValueError where that is none."""
    try:
        key = serialization.load_pem_private_key(pem, None)
        certificate = x509.load_pem_x509_certificate(pem)
        certificate.verify_directly_issued_by(certificate)
    except (TypeError, InvalidSignature) as error:  # TypeError: a key with a password
        raise ValueError(str(error)) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ValueError("the key is not the certificate's")
    return Authority(certificate, key)


def issue_certificate(authority: Authority, names: Iterable[str], now: float) -> bytes:
    """Return a new key, and a certificate for hosts and addresses with these `names`, in PEM.

    It is valid from `now` (Unix seconds) on for about a year, and no longer than its authority.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    begin = datetime.fromtimestamp(now, UTC) - _EARLIER
    end = min(begin + _CERTIFICATE_LIFE, authority.certificate.not_valid_after_utc)
    identifier = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Image API Emulator")]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(begin, authority.certificate.not_valid_before_utc))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([_describe_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_describe_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer_key, critical=False)
    )
    certificate = builder.sign(authority.key, hashes.SHA256())
    return _format_key(key) + certificate.public_bytes(serialization.Encoding.PEM)


def _format_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _describe_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _describe_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


_AUTHORITY_LIFE: Final = timedelta(days=3650)
_CERTIFICATE_LIFE: Final = timedelta(days=397)  # browsers refuse longer ones
_EARLIER: Final = timedelta(days=1)  # a client's clock may be behind ours
_LONGEST_NAME: Final = 64  # characters of a common name, as X.509 has it
