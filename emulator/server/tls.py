"""Decides with which certificate a server answers HTTPS: the user's own, or one of the local authority's."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from emulator.core import clock
from emulator.core.file_reading import read_file
from emulator.core.tls_folder import AUTHORITY, find_tls_folder
from emulator.settings import HOST_NAME, Settings, UsageError

if TYPE_CHECKING:
    from emulator.validation.registry import GatewayRegistry


class Tls(NamedTuple):
    """What a server needs to answer HTTPS; `ca` is the file that clients trust, None for a certificate of the user's.

    The files are read: `context` refers to none.
    """

    context: ssl.SSLContext
    ca: Path | None


def build_tls(settings: Settings, registry: GatewayRegistry) -> Tls:
    """Return the TLS of a server with these settings and gateways; raises UsageError."""
    if settings.tls_cert is not None:
        return Tls(_load_own_certificate(settings.tls_cert, settings.tls_key or settings.tls_cert), None)
    try:
        from emulator.server.authority import load_authority
        from emulator.server.certificates import issue_certificate
    except ImportError:
        text = "--tls needs the extra [tls]: pip install 'image-api-emulator[tls]' (or give --tls-cert and --tls-key)"
        raise UsageError(text) from None
    folder = find_tls_folder(settings.tls_dir)
    if folder is None:
        raise UsageError("--tls-dir: this user has no folder for the authority; give one")
    now = clock.parse_clock("real").now()
    authority = load_authority(folder, now)
    pem = issue_certificate(authority, list_names(settings, registry), now)
    context = _make_context()
    try:
        _load_certificate(context, pem)
    except OSError as error:
        raise UsageError(f"--tls: no file can be written for the certificate: {error.strerror or error}") from None
    return Tls(context, folder / AUTHORITY)


def _load_certificate(context: ssl.SSLContext, pem: bytes) -> None:
    """Let `context` have the certificate and key in `pem`; the ssl module takes nothing but the names of files."""
    if sys.platform == "linux":  # a file in memory: the key is on no disk, and the file system may be read-only
        with open(os.memfd_create("certificate"), "wb") as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
        return
    with NamedTemporaryFile() as file:  # for the user alone
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)


def list_names(settings: Settings, registry: GatewayRegistry) -> list[str]:
    """Return the names on the certificate: loopback, the gateways' real hosts, and those that the settings have."""
    names = [*_LOOPBACK]
    for gateway in registry.gateways.values():
        names += sorted(gateway.hosts)
    names += [*settings.host_name, *settings.allow_host]
    if settings.host not in _EVERY_ADDRESS:
        names.append(settings.host)
    if settings.public_url is not None:
        names.append(urlsplit(settings.public_url).hostname or "")
    return [name for name in dict.fromkeys(names) if HOST_NAME.fullmatch(name)]


def _make_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a client that does it again and again costs us more than itself
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load_own_certificate(certificate: str, key: str) -> ssl.SSLContext:
    """Return the context with a certificate of the user's; raises UsageError where it cannot be used."""
    for flag, path in (("--tls-cert", certificate), ("--tls-key", key)):
        try:
            read_file(Path(path))
        except OSError as error:
            raise UsageError(f"{flag} {path!r}: {error.strerror or error}") from None
    context = _make_context()
    both = f"--tls-cert {certificate!r} and --tls-key {key!r}"
    try:
        context.load_cert_chain(certificate, key, password=_refuse_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise UsageError(f"{both}: the key is not the certificate's") from None
        reason = ""
        if error.reason:
            reason = f" ({error.reason})"
        raise UsageError(f"{both}: expected a certificate and its key in PEM{reason}") from None
    problem = _find_problem(context, certificate)
    if problem is not None:
        raise UsageError(f"--tls-cert {certificate!r}: {problem}")
    return context


def _refuse_password() -> str:
    """Raise UsageError: OpenSSL would ask on the terminal for the password of a key."""
    raise UsageError("--tls-key: the key has a password; expected one without")


def _find_problem(context: ssl.SSLContext, certificate: str) -> str | None:
    """Return why no client takes the certificate of `context` now, as far as that is its time; None for a good one.

    A client in memory, which trusts the certificate itself, is asked: the ssl module tells no other way.
    """
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client_context.load_verify_locations(certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(_MOST_FLIGHTS):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return _TIMES.get(error.verify_code)
            except ssl.SSLError as error:
                return f"it cannot be used ({error.reason})"
    return None


_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_EVERY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 - only compared
_MOST_FLIGHTS: Final = 4  # of a handshake; two are enough
_TIMES: Final[Mapping[int, str]] = {9: "the certificate is not valid yet", 10: "the certificate has expired"}
"""OpenSSL's numbers of what is wrong with a certificate's time."""
