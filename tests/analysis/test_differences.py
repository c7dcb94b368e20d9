"""Where pages and servers disagree, as a table that is asked of the contracts themselves."""

from __future__ import annotations

import pytest

from emulator.analysis import differences
from emulator.cli.main import main
from emulator.messages import KINDS
from emulator.validation import registry
from emulator.validation.validator import RequestValidator


@pytest.fixture(autouse=True)
def wide_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables have a line for each row."""
    monkeypatch.setenv("COLUMNS", "1000")


@pytest.fixture(scope="module")
def tables() -> dict[str, dict[str, tuple[str, str]]]:
    """For each gateway with observed behavior, its situations with both answers."""
    found = {}
    for dialect in registry.load_gateways(()):
        if (other := registry.load_behavior(dialect.name, "observed")) is not None:
            rows = list(differences.find_differences(RequestValidator(dialect), RequestValidator(other)))
            found[dialect.name] = {about: (one, two) for about, one, two in rows}
            assert len(rows) == len(found[dialect.name])
    return found


def test_each_gateway_with_observed_behavior_has_its_table(tables: dict[str, dict[str, tuple[str, str]]]) -> None:
    """Nothing stands there on which the two agree, and no bug of ours is told as a difference."""
    assert {"aiai", "ezmodel", "geeknow"} <= set(tables)
    cells = [cell for rows in tables.values() for pair in rows.values() for cell in pair]
    assert [] == [pair for rows in tables.values() for pair in rows.values() if pair[0] == pair[1]]
    assert [] == [cell for cell in cells if "(request id" in cell or not cell.strip()]


@pytest.mark.parametrize(
    ("gateway", "about", "documented", "observed"),
    [
        (
            "ezmodel", "no model", "1 picture",
            "503 model_not_found: 分组 default 下模型 dall-e 无可用渠道（distributor）",
        ),
        (
            "ezmodel",
            "a size that dall-e-2 does not have",
            "400 invalid_value: Invalid value: '1792x1024'. "
            "Supported values are: '256x256', '512x512', and '1024x1024'.",
            "500 invalid_request: size must be one of 256x256, 512x512, or 1024x1024 for dall-e-2 or dall-e",
        ),
        ("ezmodel", "n: 1000", None, "500 invalid_request: n must be between 1 and 100"),
        ("aiai", "n: 1000", None, "500 invalid_request: n must be an integer between 1 and 128"),
        ("aiai", "a slash at the end of the path", "1 picture", "307, empty, to /v1/images/generations"),
        ("geeknow", "a model that nobody offers", "1 picture", None),
        ("geeknow", "n: 11", None, "11 pictures"),
        ("geeknow", "no prompt", None, "1 picture"),
        ("aiai", "GET where only POST is", None, "404 invalid_request_error: Invalid URL (GET /v1/images/generations)"),
        (
            "aiai", "GET models/… of a model that there is not", None,
            "200 model_not_found: The model 'no-such-model' does not exist",
        ),
        ("ezmodel", "Retry-After at a limit", "with the wait that is left", "never"),
        ("geeknow", "the members of a reply", "created, data (url or b64_json)", None),
    ],
)  # fmt: skip
def test_what_a_person_integrating_wants_to_know(
    tables: dict[str, dict[str, tuple[str, str]]],
    gateway: str,
    about: str,
    documented: str | None,
    observed: str | None,
) -> None:
    """Statuses, bounds, envelopes, headers and paths: each row has both answers as a client meets them."""
    one, two = tables[gateway][about]
    assert (documented or one, observed or two) == (one, two)


def test_the_scripted_situations_are_kinds() -> None:
    """What only a script can bring about is named as scripts name it."""
    assert [] == [kind for kind in differences.SCRIPTED if kind not in KINDS]


def test_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """`rules --differences` prints the table, `rules --behavior observed` the rules with their sources."""
    assert 0 == main(["rules", "ezmodel", "--differences"])
    heading, *rows = capsys.readouterr().out.splitlines()
    assert ["SITUATION", "DOCUMENTED", "OBSERVED"] == heading.split()
    assert any(row.startswith("a size with × in it") and "500 invalid_request" in row for row in rows)
    assert 0 == main(["rules", "ezmodel", "--behavior", "observed"])
    rules = capsys.readouterr().out
    assert "looked up as dall-e" in rules
    tables = [part.splitlines()[2:] for part in rules.split("\n\n")]  # below a title and a head
    assert {"observed", "assumed"} == {row.split()[-1] for table in tables for row in table}
    assert 2 == main(["rules", "geekai", "--differences"]) or registry.load_behavior("geekai", "observed")
