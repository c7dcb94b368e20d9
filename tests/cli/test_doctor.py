"""The command `doctor`: each check in its states, on this machine's real sockets and environment."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from emulator.cli import doctor
from emulator.cli.main import main
from emulator.core.tls_folder import TRUST_VARIABLES
from tests.conftest import CA, Served

SECRET = "sk-canary-4711"


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder without settings, and an environment in which all is well."""
    monkeypatch.chdir(tmp_path)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", *TRUST_VARIABLES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:4010/openai/v1")
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)


def _ask(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code, and state and text of each check; no key is told."""
    code = main(["doctor", "--json", *flags])
    out = capsys.readouterr().out
    assert "canary" not in out
    return code, {check["name"]: (check["state"], check["text"]) for check in json.loads(out)["checks"]}


def test_nothing_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """Every check has a line, and the exit code is 0."""
    code, checks = _ask(capsys, "--port", "0")
    assert (0, ["settings", "port", "proxies", "base URL", "key", "TLS", "Chromium", "Redis"]) == (code, list(checks))
    assert "wrong" not in [state for state, _ in checks.values()]


def test_a_port_that_another_program_has(capsys: pytest.CaptureFixture[str]) -> None:
    """It is told with what mends it."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        code, checks = _ask(capsys, "--port", str(other.getsockname()[1]))
    state, text = checks["port"]
    assert (1, "wrong") == (code, state)
    assert "--port 0 picks a free one" in text


def test_an_emulator_that_runs(capsys: pytest.CaptureFixture[str], serve: Callable[..., Served]) -> None:
    """Its port is taken by what is meant to have it."""
    served = serve()
    _, checks = _ask(capsys, "--port", str(served.port))
    assert "ok" == checks["port"][0]
    assert "an emulator, version " in checks["port"][1]


@pytest.mark.parametrize(
    ("name", "value", "check", "state", "mend"),
    [
        ("HTTP_PROXY", "http://user:canary@proxy:1", "proxies", "wrong", "export NO_PROXY=127.0.0.1,localhost"),
        ("OPENAI_BASE_URL", "", "base URL", "note", "export OPENAI_BASE_URL=http://127.0.0.1:4010/openai/v1"),
        ("OPENAI_BASE_URL", "https://api.openai.com/v1", "base URL", "wrong", "'api.openai.com'"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1", "base URL", "wrong", "has port 9, the emulator 4010"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:4010", "base URL", "wrong", "the path '/'"),
        ("OPENAI_BASE_URL", "http://localhost:4010/s/case/geekai/api/v1/", "base URL", "ok", "/geekai/api/v1"),
        ("OPENAI_BASE_URL", "http://[::1", "base URL", "wrong", "export OPENAI_BASE_URL="),
        ("OPENAI_API_KEY", "", "key", "note", "export OPENAI_API_KEY=sk-test"),
        ("OPENAI_API_KEY", "sk-invalid-canary", "key", "wrong", "export OPENAI_API_KEY=sk-test"),
        ("EMULATOR_PROT", "1", "settings", "wrong", "did you mean EMULATOR_PORT?; rename or unset it"),
        ("EMULATOR_SEED", "many", "settings", "wrong", "EMULATOR_SEED: 'many': expected a whole number"),
        (
            "OPENAI_BASE_URL",
            "https://127.0.0.1:4010/openai/v1",
            "base URL",
            "wrong",
            "begins with https:, the emulator",
        ),
        ("SSL_CERT_FILE", "/no/such/file", "TLS", "wrong", "SSL_CERT_FILE names '/no/such/file', which is no file"),
        ("EMULATOR_TLS_PORT", "0", "TLS", "note", "the first start makes the authority"),
        ("PATH", "", "Redis", "note", "redis-server is not installed"),
        ("PATH", "", "Chromium", "note", "chromium is not installed"),
    ],
)
def test_what_is_wrong_and_what_mends_it(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    value: str,
    check: str,
    state: str,
    mend: str,
) -> None:
    """A check that fails makes the exit code 1; what may be missing is a note."""
    monkeypatch.setenv("EMULATOR_TLS_DIR", str(tmp_path / "tls"))
    monkeypatch.setenv(name, value)
    code, checks = _ask(capsys)
    assert (state, mend in checks[check][1]) == (checks[check][0], True), checks
    assert code == int("wrong" in [one for one, _ in checks.values()])


def test_an_emulator_that_answers_https(
    capsys: pytest.CaptureFixture[str], serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found, and whether clients trust it; without the extra, it is said what is to be installed."""
    served = serve(tls=True)
    monkeypatch.setenv("EMULATOR_TLS", "true")
    _, checks = _ask(capsys, "--port", str(served.port))
    assert ("note", True) == (checks["TLS"][0], "export SSL_CERT_FILE=" in checks["TLS"][1])
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", CA)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{served.url}/v1")
    code, checks = _ask(capsys, "--port", str(served.port))
    assert 0 == code, checks
    assert "an emulator, version " in checks["port"][1]
    assert ("ok", "the authority is in the file of NODE_EXTRA_CA_CERTS") == checks["TLS"]
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    _, checks = _ask(capsys, "--port", str(served.port))
    assert ("wrong", True) == (checks["TLS"][0], "image-api-emulator[tls]" in checks["TLS"][1])
    monkeypatch.setenv("EMULATOR_TLS_CERT", "own.pem")
    _, checks = _ask(capsys, "--port", str(served.port))
    assert ("ok", "serve has the certificate own.pem, which clients have to trust already") == checks["TLS"]


def test_one_line_a_check(capsys: pytest.CaptureFixture[str]) -> None:
    """With --wide; else long lines go on below themselves."""
    assert 0 == main(["doctor", "--port", "0", "--wide"])
    lines = capsys.readouterr().out.splitlines()
    assert 8 == len(lines)
    assert "ok    port: 0, so that serve picks a free one" in lines
