"""The command line, command by command; the running server is in tests/server/test_process.py."""

from __future__ import annotations

import argparse
import json
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from emulator.cli.main import COMMANDS, Command, build_parser, main
from emulator.core import file_reading
from emulator.core.data_folders import find_schemas
from emulator.explanations import EXPLANATIONS
from emulator.faults import FAULTS
from emulator.findings import FINDINGS
from emulator.messages import BEHAVIORS, KINDS, OPERATIONS, SOURCES, VIOLATIONS
from emulator.session.journal import STATES
from tests.conftest import Served
from tests.paths import TESTS

_PLAIN = """
openapi: 3.1.0
info: {title: Mine, version: "1"}
servers: [{url: https://mine.test/v1}]
paths:
  /images/generations:
    post:
      requestBody:
        content:
          application/json:
            schema: {type: object, properties: {prompt: {type: string, maxLength: 500}, strength: {type: number}}}
      responses: {"200": {description: The pictures}}
"""


def _main(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]], ids=str)
def test_the_first_screen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """What this is, how to begin, and each command on a line of its own; no command is no error."""
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = _main(capsys, *arguments)
    assert (0, "") == (code, err)
    assert "usage: image-api-emulator COMMAND [FLAGS]" == out.splitlines()[0]
    assert "Begin with `image-api-emulator serve`." in out
    for command in COMMANDS:
        assert f"\n  {command.name:12} {command.about}\n" in out
    assert 80 >= max(map(len, out.splitlines()))


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_help_of_a_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: Command, columns: int
) -> None:
    """Its usage has what it needs; `help COMMAND` is the same; it fits the terminal."""
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, err = _main(capsys, command.name, "--help")
    assert (0, "") == (code, err)
    assert out == _main(capsys, "help", command.name)[1]
    assert out.startswith(f"usage: image-api-emulator {command.name} ")
    assert "[FLAGS]" in out
    assert columns >= max(map(len, out.splitlines()))


def test_every_example_is_a_command_line() -> None:
    """What --help shows as an example is understood."""
    for command in COMMANDS:
        for line in command.more.splitlines():
            words = shlex.split(line)
            if words[:1] == ["image-api-emulator"]:
                (named,) = [one for one in COMMANDS if one.name == words[1]]
                assert build_parser(named).parse_args(words[2:])


def test_every_command_has_its_function() -> None:
    """The functions are named by text, so that `--help` imports none of them; each name is right."""
    for command in COMMANDS:
        assert callable(pkgutil.resolve_name(command.function))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_flag_has_help(command: Command) -> None:
    """`COMMAND --help` says what each flag and each argument is."""
    parser = argparse.ArgumentParser()
    command.add_flags(parser)
    assert [] == [action.dest for action in parser._actions if not action.help]


def test_gateways_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """One row for each file in schemas/, with its base path and models."""
    code, out, _ = _main(capsys, "gateways", "--wide")
    rows = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert (0, {path.stem for path in find_schemas().glob("*.yaml")}) == (code, set(rows))
    assert "/geekai/api/v1" in rows["geekai"]
    assert "cogview-3-flash" in rows["geekai"]


@pytest.mark.parametrize("gateway", sorted(path.stem for path in find_schemas().glob("*.yaml")))
def test_every_rule_has_a_source(capsys: pytest.CaptureFixture[str], gateway: str) -> None:
    """No rule of a gateway that ships is unmarked, and the table has them all."""
    code, out, _ = _main(capsys, "rules", gateway, "--json")
    rules = json.loads(out)["rules"]
    assert (0, set()) == (code, {rule["source"] for rule in rules} - {"assumed", "documented", "observed"})
    code, out, _ = _main(capsys, "rules", gateway, "--wide")
    rows = {tuple(line.split(maxsplit=1)) for line in out.splitlines()}
    for rule in rules:
        if rule["rule"] != f"is {rule['model']}":
            assert any(
                name == rule["parameter"] and rest.split() == [*rule["rule"].split(), rule["source"]]
                for name, rest in (row for row in rows if len(row) == 2)
            ), rule


@pytest.mark.parametrize("weight", ["small", "realistic"])
def test_render_draws_what_a_server_draws(
    capsys: pytest.CaptureFixture[str], serve: Callable[..., Served], tmp_path: Path, weight: str
) -> None:
    """The same request, seed and picture weight: the same bytes, without a server."""
    target = tmp_path / "picture.png"
    flags = ["--gateway", "aiai", "--model", "dall-e-2", "--size", "256x256", "--n", "2", "--index", "1", "--seed", "5"]
    code, out, err = _main(capsys, "render", "A cat", *flags, "--picture-weight", weight, "-o", str(target))
    assert (0, "") == (code, err)
    assert "256x256 png, seed 5, recipe " in out
    body = {"prompt": "A cat", "model": "dall-e-2", "size": "256x256", "n": 2}
    served = serve(seed=5, picture_weight=weight).generate("aiai", body)
    assert target.read_bytes() == httpx.get(served.json()["data"][1]["url"]).content
    code, out, _ = _main(capsys, "inspect", str(target))
    found = json.loads(out)
    assert (0, 256, "aiai", 1) == (code, found["width"], found["label"]["gateway"], found["label"]["index"])


def test_inspect_what_is_no_picture(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Each file has its line; one that is no picture makes the exit code 1."""
    path = tmp_path / "text.png"
    path.write_text("hello")
    code, out, err = _main(capsys, "inspect", str(path))
    assert (1, "") == (code, err)
    assert "not a PNG" in json.loads(out)["error"]


PRINTED = (
    *FINDINGS, *KINDS, *VIOLATIONS, *FAULTS, *SOURCES, *OPERATIONS, *BEHAVIORS, *STATES,
    "calls_under_way", "calls_unseen",
)  # fmt: skip


@pytest.mark.parametrize("word", dict.fromkeys(PRINTED))
def test_every_word_is_explained(capsys: pytest.CaptureFixture[str], word: str) -> None:
    """`explain` has a text for each code, kind, breach, fault, source, operation and state that is printed."""
    exit_code, out, _ = _main(capsys, "explain", word)
    assert (0, True) == (exit_code, len(out) > 30)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("integer_above_max_value", "Code in a gateway's refusal, of `above_maximum`: The number is larger than"),
        ("model_not_found", "tells more: no_such_model, unknown_model, retired_model"),
        ("insufficient_user_quota", "quota, billing"),
        ("rate-limit", "Reserved value: the call is refused as `rate_limit`."),
        ("hang-up", "Reserved value: the call is answered, with the fault `hang_up`."),
        ("flaky", "Reserved value: the scenario `flaky` is played. "),
    ],
)
def test_codes_of_refusals_and_reserved_values_are_explained(
    capsys: pytest.CaptureFixture[str], word: str, told: str
) -> None:
    """A code stands in `--json-log`, journal and report, and a reserved value in a finding and in the README."""
    exit_code, out, _ = _main(capsys, "explain", word)
    assert 0 == exit_code
    assert told in out


def test_no_other_word_is_explained() -> None:
    """A word that is gone leaves no text behind."""
    assert set(PRINTED) == set(EXPLANATIONS)


@pytest.mark.parametrize("command", ["check", "portability", "inspect"])
@pytest.mark.parametrize("name", ["missing.yaml", ".", "secret.yaml", "a/b/c.yaml", "good.yaml/x"])
def test_what_cannot_be_read_is_an_error_of_use(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, name: str
) -> None:
    """A file that is not there, a folder, one without permission: one line with its name, and exit code 2."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text("rules: []")
    if name == "secret.yaml":
        if os.geteuid() == 0:
            pytest.skip("nothing is forbidden to root")
        (tmp_path / name).write_text("rules: []")
        (tmp_path / name).chmod(0)
    code, out, err = _main(capsys, command, name)
    assert (2, "", 1) == (code, out, len(err.splitlines()))
    assert name in err


def test_check_goes_on_behind_a_file_that_is_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The other files are checked all the same; the worst exit code counts."""
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("rules: []")
    bad.write_text("rules: 1")
    code, out, _ = _main(capsys, "check", "--wide", str(tmp_path / "missing.yaml"), str(bad), str(good))
    assert (2, 2) == (code, len(out.splitlines()))


@pytest.mark.parametrize("command", ["check", "portability", "inspect", "serve --port 0 --keys", "serve --scenario"])
def test_a_pipe_without_a_writer_holds_no_command_up(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe into which nobody writes is one line and exit code 2."""
    monkeypatch.setattr(file_reading, "_PAUSE", 0.0)
    os.mkfifo(tmp_path / "pipe")
    code, out, err = _main(capsys, *command.split(), str(tmp_path / "pipe"))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "a pipe into which nobody writes" in err


def test_check_tells_good_from_flawed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A good file has one line and exit code 0; a flawed one its findings, with codes, and 1; --json says the same."""
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("rules:\n  - answers: {refuse: rate_limit}\n")
    bad.write_text("rules:\n  - answers:\n      - refuse: boredom\n")
    odd = TESTS / "data" / "odd-gateway.yaml"
    assert (0, f"{good}: good\n") == _main(capsys, "check", str(good))[:2]
    code, out, _ = _main(capsys, "check", "--wide", str(good), str(bad), str(odd))
    assert 1 == code
    assert f"{bad}:3: unusable_file: refuse is 'boredom'; expected one of missing_key" in out
    assert "unknown_security_type" in out
    code, out, _ = _main(capsys, "check", "--json", str(bad))
    assert (1, ["unusable_file"]) == (code, [one["code"] for one in json.loads(out)["findings"]])


def test_check_knows_own_gateways(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Of --schema, and of the files that are checked, in any order; else the message names the flag."""
    scenario, gateway, broken = tmp_path / "scenario.yaml", tmp_path / "mine.yaml", tmp_path / "mine2.yaml"
    scenario.write_text("rules:\n  - when: {gateway: mine, strength: 3}\n    answers: draw\n")
    gateway.write_text(_PLAIN)
    broken.write_text(_PLAIN.replace("string", "strnig"))
    code, out, _ = _main(capsys, "check", "--wide", str(scenario))
    assert (code, out.count("\n")) == (1, 1)
    assert out.endswith("; the file of a gateway of your own is named by --schema\n")
    assert (0, f"{scenario}: good\n") == _main(capsys, "check", str(scenario), "--schema", str(gateway))[:2]
    code, out, _ = _main(capsys, "check", str(scenario), str(broken), str(gateway))
    assert (code, f"{scenario}: good" in out, f"{gateway}: good" in out) == (1, True, True)
    shipped = find_schemas() / "openai.yaml"
    assert 0 == _main(capsys, "check", str(shipped), str(scenario), str(gateway))[0]


def test_portability_names_the_flag_for_own_gateways(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A gateway of somebody's own may be known to a server, and is not to this command without its file."""
    body = tmp_path / "body.json"
    body.write_text('{"prompt": "x"}')
    code, _, err = _main(capsys, "portability", str(body), "--gateway", "mine")
    assert (code, err.endswith("; the file of a gateway of your own is named by --schema\n")) == (2, True)


def test_explain_knows_the_codes_of_own_gateways(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Of --schema, which the message about an unknown code names."""
    (tmp_path / "words.yaml").write_text("extends: plain.yaml\nkinds: {unknown_model: {code: engine_unknown}}\n")
    gateway = tmp_path / "mine.yaml"
    gateway.write_text(_PLAIN + "x-emulator-gateway: {wording: {$ref: words.yaml}}\n")
    code, out, _ = _main(capsys, "explain", "engine_unknown", "--schema", str(gateway))
    assert (code, "of `unknown_model`: " in out) == (0, True)
    code, _, err = _main(capsys, "explain", "engine_unknown")
    assert (code, "--schema names the file of a gateway with codes of its own" in err) == (2, True)


def test_catalogs_take_aliases(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """And merges, as the files of gateways do."""
    path = tmp_path / "words.yaml"
    path.write_text(
        "extends: plain.yaml\nkinds:\n  quota: &busy {status: 429, message: Busy}\n  billing: *busy\n"
        "  overloaded: {<<: *busy, status: 503}\n"
    )
    assert 0 == _main(capsys, "check", str(path))[0]
    path.write_text("extends: plain.yaml\nkinds:\n  quota: {message: 'Wait {waits}'}\n")
    assert "names {waits}, which no refusal has; did you mean 'wait'?" in _read(capsys, path)
    path.write_text("extends: plain.yaml\nkinds:\n  quota: {message: 'Wait {wait:d}'}\n")
    assert "formats {wait}; expected {wait} alone, without `:` and `!` in the braces" in _read(capsys, path)


def _read(capsys: pytest.CaptureFixture[str], path: Path) -> str:
    """What `check` says of a file, in one line."""
    return _main(capsys, "check", "--wide", str(path))[1]


def test_check_reads_error_catalogs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One that changes a few words of one that ships is good; one that lacks words is told all of them."""
    good, bad, flawed = tmp_path / "good.yaml", tmp_path / "bad.yaml", tmp_path / "flawed.yaml"
    good.write_text("extends: openai.yaml\nkinds: {rate_limit: {message: Slow down}}\n")
    bad.write_text("envelopes: {usual: {message: '{message}'}}\nkinds: {quota: {status: 429, message: m}}\n")
    flawed.write_text("extends: openai.yaml\nkinds: {rate_limits: {message: Slow down}}\n")
    kinds, breaches = len(KINDS), len(VIOLATIONS)
    inherited = f"{kinds - 1} of {kinds} kinds and {breaches} of {breaches} breaches are those of openai.yaml"
    assert (0, f"{good}: good; {inherited}\n") == _main(capsys, "check", str(good))[:2]
    told = json.loads(_main(capsys, "check", "--json", str(good))[1])["inherited"]
    assert ("openai.yaml", [kind for kind in KINDS if kind != "rate_limit"]) == (told["extends"], told["kinds"])
    assert list(VIOLATIONS) == told["breaches"]
    code, out, _ = _main(capsys, "check", str(bad), str(flawed))
    out = " ".join(out.split())
    assert 1 == code
    assert f"{bad}:1: unusable_file: kinds has no words for missing_key, invalid_key, " in out
    assert f"{flawed}:2: unusable_file: unknown key 'rate_limits' in kinds; " in out
    assert "did you mean 'rate_limit'?" in out


def test_check_knows_a_scenario_by_its_rules(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Whatever words of an error catalog it has."""
    path = tmp_path / "scenario.yaml"
    path.write_text("scenario: kinds\nrules: []\nabout: It extends nothing\n")
    assert f"{path}: good\n" == _main(capsys, "check", str(path))[1]
    path.write_text("rules: []\nkinds: {}\n")
    assert "unknown key 'kinds'" in _main(capsys, "check", str(path))[1]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["srve"], "unknown command 'srve'; did you mean 'serve'?; see image-api-emulator --help"),
        (
            ["--port", "1"],
            "--port comes behind its command: image-api-emulator serve --port; see",
        ),
        (["--port=1", "serve"], "--port comes behind its command: image-api-emulator serve --port=1; see"),
        (["--verison"], "unknown flag '--verison'; known are --help, --version; did you mean '--version'?; flags come"),
        (["help", "srve"], "did you mean 'serve'?"),
        (["serve", "-p", "1"], "unknown flag '-p'; known are --help, --host"),
        (["completion", "bsh"], "unknown shell 'bsh'; known are bash, zsh, fish; did you mean 'bash'?"),
        (["serve", "--scenario", "flakey", "--port", "0"], "; did you mean 'flaky'?"),
        (["serve", "--gateway", "opnai", "--port", "0"], "; did you mean 'openai'?"),
        (
            ["rules", "ezmodel", "--model", "dall-e-4"],
            "ezmodel: unknown model 'dall-e-4'; known are dall-e-2",
        ),
        (["rules", "openai", "--operation", "edti"], "openai: unknown operation 'edti'; known are generate, "),
        (["rules", "geekai", "--differences", "--model", "x"], "--differences has no --model and no --operation"),
        (["serve", "--prot", "1"], "; did you mean '--port'?; see image-api-emulator serve --help"),
        (["portability", "--sesion=x"], "unknown flag '--sesion'; known are --help, --url"),
        (["serve", "more"], "unexpected argument 'more'; see image-api-emulator serve --help"),
        (["rules"], "the following arguments are required: GATEWAY; see image-api-emulator rules --help"),
        (["rules", "ezmodle"], "; did you mean 'ezmodel'?"),
        (["explain", "unknown-paramter"], "; did you mean 'unknown_parameter'?"),
        (["rules", "nobody"], "unknown gateway 'nobody'; known are aiai, ark, azure, ezmodel"),
        (["rules", "aiai", "--schema", "absent.yaml"], "absent.yaml: No such file"),
        (["render", "x", "--gateway", "nobody"], "unknown gateway 'nobody'"),
        (["render", "x", "--gateway", "ezmodel", "--size", "1x1"], "ezmodel refuses that: Invalid value: '1x1'"),
        (["render", "x"], "openai refuses that: Missing required parameter: 'model'."),
        (["render", "x", "--model", "dall-e-3"], "openai refuses that: The model 'dall-e-3' does not exist."),
        (["render", "x", "--gateway", "ezmodel", "--index", "1"], "--index 1: the request makes 1 picture(s)"),
        (["render", "x", "--seed", "many"], "--seed: 'many': expected a whole number"),
        (["render", "x", "--gateway", "ezmodel", "-o", "absent/x.png"], "--output 'absent/x.png': No such"),
        (["explain", "boredom"], "unknown code 'boredom'; `image-api-emulator docs errors` lists the codes"),
        (["inspect", "absent.png"], "absent.png: No such file"),
    ],
)
def test_errors_of_use_are_one_line(
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Exit code 2, one line on stderr that quotes what was wrong, nothing on stdout."""
    monkeypatch.chdir(tmp_path)
    code, out, err = _main(capsys, *arguments)
    assert (2, "", 1) == (code, out, err.count("\n"))
    assert err.startswith("image-api-emulator: ")
    assert complaint in err


def test_a_port_in_use(serve: Callable[..., Served]) -> None:
    """A second server at a port is refused in one line that says what to do."""
    port = serve().port
    command = [sys.executable, "-m", "emulator", "serve", "--port", str(port)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (2, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert f"--port {port}: the port is in use; --port 0 picks a free one, and " in done.stderr
    assert f"`image-api-emulator doctor --port {port}`" in done.stderr


@pytest.mark.parametrize("word", ["--version", "-V", "version"])
def test_version(capsys: pytest.CaptureFixture[str], word: str) -> None:
    """`--version` prints name and version, and exits with 0."""
    code, out, err = _main(capsys, word)
    assert (0, "") == (code, err)
    assert re.fullmatch(r"image-api-emulator \d+\.\d+\S*\n", out)


def test_portability_reads_what_json_has(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """YAML has keys that are no texts; no body has them."""
    path = tmp_path / "call.yaml"
    path.write_text("model: dall-e-3\n5: 6\n")
    code, out, err = _main(capsys, "portability", str(path))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "call.yaml:2: the key 5" in err


def test_check_reads_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """A file that can be read only once, such as /dev/stdin, is checked like any other."""
    reader, writer = os.pipe()
    os.write(writer, b"rules: [{answers: {refuse: quota}}]")
    os.close(writer)
    try:
        path = f"/dev/fd/{reader}"
        assert (0, f"{path}: good\n", "") == _main(capsys, "check", path)
    finally:
        os.close(reader)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--model", "dall-e-3"], {("generate", "dall-e-3"), ("edit", "(other)"), ("", "(all)")}),
        (["--model", "dall-e-2", "--operation", "edit"], {("edit", "dall-e-2"), ("", "(all)")}),
        (["--operation", "generate"], {("generate", name) for name in ("(none)", "(other)", "dall-e-2", "dall-e-3")}
         | {("", "(all)")}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_rules_that_one_call_meets(
    capsys: pytest.CaptureFixture[str], flags: list[str], expected: set[tuple[str, str]]
) -> None:
    """Those about every call, and those of the operation and the model; an unlisted one meets those of the others."""
    code, out, _ = _main(capsys, "rules", "ezmodel", "--json", *flags)
    assert (0, expected) == (code, {(rule["operation"], rule["model"]) for rule in json.loads(out)["rules"]})


def test_errors_are_red_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The name before the message is; a pipe has no codes."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert _main(capsys, "srve")[2].startswith("\x1b[31mimage-api-emulator\x1b[0m: unknown command")
    monkeypatch.setenv("NO_COLOR", "1")
    assert _main(capsys, "srve")[2].startswith("image-api-emulator: unknown command")
