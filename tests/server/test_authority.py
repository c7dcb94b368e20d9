"""The local authority: made once, kept with care, and made anew when it ends; certificates of the user's own."""

from __future__ import annotations

import logging
import os
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from emulator.core.tls_folder import find_tls_folder
from emulator.server.authority import load_authority
from emulator.server.certificates import issue_certificate, make_authority
from emulator.server.tls import build_tls, list_names
from emulator.settings import Settings, UsageError, load_settings
from emulator.validation.registry import GatewayRegistry
from tests.conftest import Served
from tests.process import refused

NOW: Final = time.time()
YEAR: Final = 365 * 86_400.0  # seconds


@pytest.fixture(scope="module")
def registry(server: Served) -> GatewayRegistry:
    return server.app.registry


def test_it_is_made_once(tmp_path: Path) -> None:
    """Folders, rights, and the same authority at the next start; the certificate that clients read has no key in it."""
    folder = tmp_path / "data" / "tls"
    made = load_authority(folder, NOW)
    assert made.format() == load_authority(folder, NOW).format()
    assert 0o700 == stat.S_IMODE(folder.stat().st_mode)
    rights = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert {"ca-key.pem": 0o600, "ca.pem": 0o644} == rights
    assert b"PRIVATE" not in (folder / "ca.pem").read_bytes()


def test_many_processes_make_one(tmp_path: Path) -> None:
    """They start at once, and all have the same authority afterwards."""
    script = (
        "import sys, pathlib; from emulator.server.authority import load_authority; sys.stdin.read();"
        "print(load_authority(pathlib.Path(sys.argv[1]), float(sys.argv[2])).certificate.serial_number)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "tls"), str(NOW)]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    for one in started:
        assert one.stdin is not None
        one.stdin.flush()
    for one in started:
        one.stdin.close()  # type: ignore[union-attr]
        one.stdin = None
    heard = {one.communicate(timeout=60)[0] for one in started}
    assert {f"{load_authority(tmp_path / 'tls', NOW).certificate.serial_number}\n"} == heard


def test_one_that_ends_soon_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log says so, because clients may have a copy; a certificate never outlives its authority."""
    first = load_authority(tmp_path / "tls", NOW - 9.9 * YEAR)
    with caplog.at_level(logging.WARNING, "emulator"):
        second = load_authority(tmp_path / "tls", NOW)
    assert first.certificate.serial_number != second.certificate.serial_number
    assert second.format_certificate() == (tmp_path / "tls" / "ca.pem").read_bytes()
    (record,) = caplog.records
    assert "clients that have a copy of ca.pem need the new file" in record.getMessage()
    assert 9 * YEAR < second.end - NOW < 10 * YEAR
    late = x509.load_pem_x509_certificate(issue_certificate(second, ["localhost"], second.end - 86_400))
    assert late.not_valid_after_utc == second.certificate.not_valid_after_utc


def test_the_file_for_clients_is_mended(tmp_path: Path) -> None:
    """The file with the key has the certificate too, so that the two always belong together."""
    load_authority(tmp_path, NOW)
    good = (tmp_path / "ca.pem").read_bytes()
    for mend in (lambda: (tmp_path / "ca.pem").unlink(), lambda: (tmp_path / "ca.pem").write_text("other")):
        mend()
        load_authority(tmp_path, NOW)
        assert good == (tmp_path / "ca.pem").read_bytes()


def _make_unusable(folder: Path, what: str) -> None:
    load_authority(folder, NOW)
    key = folder / "ca-key.pem"
    match what:
        case "key for others":
            key.chmod(0o640)
        case "folder for others":
            folder.chmod(0o770)
        case "no PEM":
            key.write_text("nothing")
        case "another's certificate":
            other = make_authority(NOW)
            text = key.read_bytes().partition(b"-----BEGIN CERTIFICATE")[0]
            key.write_bytes(text + other.format_certificate())
        case "a directory":
            key.unlink()
            key.mkdir(mode=0o700)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("key for others", "chmod 600"),
        ("folder for others", "chmod go-w"),
        ("no PEM", "ca-key.pem' is no authority; delete it"),
        ("another's certificate", "ca-key.pem' is no authority; delete it"),
        ("a directory", "Is a directory"),
    ],
)
def test_what_cannot_be_trusted_is_refused(tmp_path: Path, what: str, said: str) -> None:
    """In one line, with what mends it."""
    _make_unusable(tmp_path / "tls", what)
    with pytest.raises(UsageError, match=said) as raised:
        load_authority(tmp_path / "tls", NOW)
    assert str(raised.value).startswith("--tls-dir")
    assert "\n" not in str(raised.value)


def test_a_folder_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_authority(tmp_path / "tls", NOW)
    os.chown(tmp_path / "tls", 4711, -1) if os.geteuid() == 0 else monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(UsageError, match="belongs to another user"):
        load_authority(tmp_path / "tls", NOW)


def test_a_place_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--tls-dir '.*file/tls': File exists"):
        load_authority(tmp_path / "file" / "tls", NOW)


@pytest.mark.parametrize(
    ("environ", "platform", "expected"),
    [
        ({"HOME": "/home/a"}, "linux", "/home/a/.local/share/image-api-emulator/tls"),
        ({"HOME": "/home/a", "XDG_DATA_HOME": "/data"}, "linux", "/data/image-api-emulator/tls"),
        ({"HOME": "/home/a", "XDG_DATA_HOME": "data"}, "linux", "/home/a/.local/share/image-api-emulator/tls"),
        ({"HOME": "/Users/a"}, "darwin", "/Users/a/Library/Application Support/image-api-emulator/tls"),
        ({}, "linux", None),
        ({}, "darwin", None),
    ],
)
def test_where_it_is_kept(environ: dict[str, str], platform: str, expected: str | None) -> None:
    found = find_tls_folder(None, environ, platform)
    assert expected == (None if found is None else str(found))


def test_the_names_on_the_certificate(registry: GatewayRegistry) -> None:
    """Loopback, every gateway's real hosts, and what the settings have; a name twice is there once."""
    settings = Settings(
        tls=True, host="10.1.2.3", host_name=("images.test", "*.images.test", "localhost"), allow_host=("image-api",),
        public_url="https://pictures.test:8443",
    )  # fmt: skip
    names = list_names(settings, registry)
    expected = {"localhost", "127.0.0.1", "::1", "10.1.2.3", "images.test", "*.images.test", "image-api"}
    expected |= {"pictures.test", "api.openai.com", "api.ezmodel.cloud", "ezmodel.cloud", "geekai.co"}
    assert set() == expected - set(names)
    assert len(names) == len(set(names))
    assert "0.0.0.0" not in list_names(Settings(tls=True, host="0.0.0.0"), registry)


def test_without_the_extra(registry: GatewayRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what is to be installed; a certificate of one's own needs nothing."""
    for name in [one for one in sys.modules if one.startswith(("cryptography", "emulator.server.certificates"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "emulator.server.authority")
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(UsageError, match=r"pip install 'image-api-emulator\[tls\]'"):
        build_tls(Settings(tls=True), registry)


# --- certificates of one's own


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with certificates and keys: good, another's, expired, not valid yet, and with a password."""
    folder = tmp_path_factory.mktemp("own")
    authority = make_authority(NOW - 5 * YEAR)
    authorities = {"good": NOW, "other": NOW, "expired": NOW - 3 * YEAR, "early": NOW + YEAR}
    for name, at in authorities.items():
        (folder / f"{name}.pem").write_bytes(issue_certificate(authority, ["localhost"], at))
    key = serialization.load_pem_private_key((folder / "good.pem").read_bytes(), None)
    (folder / "locked.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    (folder / "ca.pem").write_bytes(authority.format_certificate())
    (folder / "text.pem").write_text("no certificate")
    (folder / "bare.pem").write_bytes((folder / "good.pem").read_bytes().partition(b"-----BEGIN CERT")[0])
    return folder


def test_a_certificate_of_ones_own(own: Path, serve: Callable[..., Served]) -> None:
    """It is the one that clients see; no authority is made, and the key may be in the same file."""
    for more in ({}, {"tls_key": str(own / "good.pem")}):
        served = serve(tls=True, tls_cert=str(own / "good.pem"), **more)
        context = ssl.create_default_context(cafile=own / "ca.pem")
        url = served.url.replace("127.0.0.1", "localhost")
        assert "ok" == httpx.get(f"{url}/_emulator/health", verify=context).json()["status"]
        assert served._running.ca is None


@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        ("expired.pem", None, "expired.pem': the certificate has expired"),
        ("early.pem", None, "early.pem': the certificate is not valid yet"),
        ("good.pem", "other.pem", "the key is not the certificate's"),
        ("good.pem", "locked.pem", "--tls-key: the key has a password"),
        ("text.pem", None, "expected a certificate and its key in PEM"),
        ("bare.pem", None, "expected a certificate and its key in PEM"),
        ("ca.pem", None, "expected a certificate and its key in PEM"),
        ("none.pem", None, "--tls-cert '.*none.pem': No such file"),
        ("good.pem", "none.pem", "--tls-key '.*none.pem': No such file"),
        ("good.pem", ".", "--tls-key '.*': Is a directory"),
    ],
)
def test_bad_certificates_are_one_line(
    own: Path, registry: GatewayRegistry, certificate: str, key: str | None, said: str
) -> None:
    settings = Settings(tls=True, tls_cert=str(own / certificate), tls_key=None if key is None else str(own / key))
    with pytest.raises(UsageError, match=said) as raised:
        build_tls(settings, registry)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"tls": True, "tls_port": 4443}, "--tls-port: with --tls the port itself answers HTTPS"),
        ({"tls": True, "tls_key": "key.pem"}, "--tls-key needs --tls-cert"),
        ({"tls_cert": "own.pem"}, "--tls-cert is for HTTPS, which needs --tls or --tls-port too"),
        ({"host_name": ["images.test"]}, "--host-name is for HTTPS"),
        ({"tls": True, "host_name": ["no name"]}, "--host-name: 'no name': expected the name of a host"),
        ({"tls_port": "x"}, "--tls-port: 'x': expected a whole number"),
    ],
)
def test_settings_that_cannot_be_meant(tmp_path: Path, flags: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load_settings(flags, {}, tmp_path)


def test_serve_ends_in_one_line(own: Path, tmp_path: Path) -> None:
    """A certificate that has expired, and a port that is taken: exit code 2."""
    expired = str(own / "expired.pem")
    refused(tmp_path, ["--port", "0", "--tls", "--tls-cert", expired], [": --tls-cert ", "has expired"])
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = str(other.getsockname()[1])
        said = [f"cannot listen on --host '127.0.0.1' --tls-port {port}: the port is in use; --tls-port 0 picks"]
        refused(tmp_path, ["--port", "0", "--tls-port", port], said)
