"""Settings: flag over environment over file over default, and one line for what cannot be used."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from emulator import settings
from emulator.settings import BadSetting, Settings, list_unknown_variables, load_settings, read_settings_file


def test_defaults_need_nothing(tmp_path: Path) -> None:
    """Without flags, environment and file the defaults hold."""
    assert Settings() == load_settings({}, {}, tmp_path)


def test_precedence(tmp_path: Path) -> None:
    """A flag beats the environment, which beats the file."""
    (tmp_path / "emulator.yaml").write_text("port: 1\nseed: 1\nhost: a\nsession-age: 5\nschema: [x.yaml, y.yaml]\n")
    chosen = load_settings({"port": "3"}, {"EMULATOR_PORT": "2", "EMULATOR_SEED": "2"}, tmp_path)
    assert (3, 2, "a", 5) == (chosen.port, chosen.seed, chosen.host, chosen.session_age)
    assert ("x.yaml", "y.yaml") == chosen.schema


def test_pyproject_serves_where_there_is_no_file_of_our_own(tmp_path: Path) -> None:
    """[tool.image-api-emulator] is read; emulator.yaml beside it counts alone."""
    (tmp_path / "pyproject.toml").write_text('[tool.image-api-emulator]\nquiet = true\ngateway = "aiai"\n')
    assert (True, "aiai") == ((one := load_settings({}, {}, tmp_path)).quiet, one.gateway)
    (tmp_path / "emulator.yaml").write_text("")
    assert Settings() == load_settings({}, {}, tmp_path)


def test_speed_is_a_word_that_yaml_reads_as_a_switch(tmp_path: Path) -> None:
    """`off` in a YAML file is false, and means off here too."""
    (tmp_path / "emulator.yaml").write_text("speed: off\n")
    assert "off" == load_settings({}, {}, tmp_path).speed
    assert "auto" == load_settings({}, {"EMULATOR_SPEED": "auto"}, tmp_path).speed


def test_seed_random_draws() -> None:
    """`random` draws a seed, each time another."""
    seeds = {load_settings({"seed": "random"}, {}, Path("/nonexistent")).seed for _ in range(5)}
    assert len(seeds) > 1


@pytest.mark.parametrize(
    ("flags", "environ", "file", "complaint"),
    [
        ({"port": "abc"}, {}, "", "--port: 'abc': expected a whole number"),
        ({"port": "70000"}, {}, "", "--port: '70000': expected 0 to 65535"),
        ({}, {"EMULATOR_PORT": ""}, "", "EMULATOR_PORT: '': expected a whole number"),
        ({}, {"EMULATOR_QUIET": "perhaps"}, "", "EMULATOR_QUIET: 'perhaps': expected true or false"),
        ({"clock": "sundial"}, {}, "", "--clock: 'sundial': expected real, scale"),
        ({"public_url": "images.test"}, {}, "", "--public-url: 'images.test': expected a URL"),
        ({"body_timeout": "0"}, {}, "", "--body-timeout: '0': expected a whole number from 1"),
        ({"admin_token": "short"}, {}, "", "--admin-token: (not shown): expected 8 to 200 visible ASCII characters"),
        ({}, {"EMULATOR_ADMIN_TOKEN": ""}, "", "EMULATOR_ADMIN_TOKEN: (not shown): expected 8 to 200 visible"),
        ({}, {}, "admin-token: a word and another", "emulator.yaml: admin_token: (not shown): expected 8 to 200"),
        ({}, {}, "prot: 1", "unknown setting 'prot'; did you mean 'port'?"),
        ({}, {}, "sesion-age: 5", "; did you mean 'session_age'?"),
        ({}, {}, "port: [1, 2]", "emulator.yaml: port: a list is no single value"),
        ({}, {}, "- port", "the settings are a list; expected a mapping"),
        ({}, {}, "port: [", "emulator.yaml:1"),
    ],
)
def test_what_cannot_be_used(
    tmp_path: Path, flags: dict[str, str], environ: dict[str, str], file: str, complaint: str
) -> None:
    """The complaint quotes key and value, and is one line."""
    (tmp_path / "emulator.yaml").write_text(file)
    with pytest.raises(BadSetting) as caught:
        load_settings(flags, environ, tmp_path)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_token_is_in_no_repr(tmp_path: Path) -> None:
    """A secret is read like any setting, and is not shown with the others."""
    chosen = load_settings({"admin_token": "canary-4711"}, {}, tmp_path)
    assert ("canary-4711", False) == (chosen.admin_token, "canary" in repr(chosen))


def test_every_setting_is_a_flag_with_help() -> None:
    """The parser knows each setting, and says what it does."""
    parser = argparse.ArgumentParser()
    settings.add_flags(parser)
    text = parser.format_help()
    for name in settings.FIELDS:
        assert f"--{name.replace('_', '-')} " in text or f"--{name.replace('_', '-')}\n" in text


@pytest.mark.parametrize(
    ("flags", "environ", "mode"),
    [
        ({}, {}, "none"),
        ({}, {"EMULATOR_RECORD_MODE": "once"}, "once"),
        ({}, {"EMULATOR_RECORD_MODE": "once", "CI": ""}, "once"),
        ({}, {"EMULATOR_RECORD_MODE": "once", "CI": "true"}, "none"),
        ({"record_mode": "all"}, {"EMULATOR_RECORD_MODE": "once", "CI": "true"}, "all"),
    ],
)
def test_nothing_is_live_in_a_build(flags: dict[str, str], environ: dict[str, str], mode: str, tmp_path: Path) -> None:
    """Where CI is set and not empty, a recording is only replayed, unless the flag says otherwise."""
    assert mode == load_settings(flags, environ, tmp_path).record_mode
    (tmp_path / "emulator.yaml").write_text("record_mode: new_episodes\nmax_spend: 2.5\n")
    expected = {"once": "once", "all": "all", "none": "none"}[mode] if environ else "new_episodes"
    assert (expected, 2.5) == (
        load_settings(flags, environ, tmp_path).record_mode,
        load_settings(flags, environ, tmp_path).max_spend,
    )


@pytest.mark.parametrize("name", ["emulator.yaml", "emulator.yml"])
def test_both_endings_of_yaml(tmp_path: Path, name: str) -> None:
    """Either is read, and complained about by its own name; it counts before pyproject.toml."""
    (tmp_path / "pyproject.toml").write_text("[tool.image-api-emulator]\nseed = 9\n")
    (tmp_path / name).write_text("seed: 5")
    assert (5, tmp_path / name) == (load_settings({}, {}, tmp_path).seed, read_settings_file(tmp_path).path)
    (tmp_path / name).write_text("sead: 5")
    with pytest.raises(BadSetting, match=f"{name}: unknown setting 'sead'.*did you mean 'seed'"):
        load_settings({}, {}, tmp_path)


def test_two_files_of_settings_are_one_too_many(tmp_path: Path) -> None:
    """Nobody knows which of them counts."""
    for name in ("emulator.yaml", "emulator.yml"):
        (tmp_path / name).write_text("")
    with pytest.raises(BadSetting, match=r"emulator\.yaml and emulator\.yml are both there; expected one of them"):
        load_settings({}, {}, tmp_path)


@pytest.mark.parametrize(
    ("toml", "found"), [("", False), ("[tool.other]\na = 1", False), ("[tool.image-api-emulator]\nport = 1", True)]
)
def test_a_pyproject_without_our_table_is_no_settings_file(tmp_path: Path, toml: str, found: bool) -> None:
    """The start tells which file counts."""
    assert read_settings_file(tmp_path).path is None
    (tmp_path / "pyproject.toml").write_text(toml)
    assert found is (read_settings_file(tmp_path).path is not None)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("EMULATOR_PORT", None),
        ("EMULATOR_PROT", "EMULATOR_PROT is no setting; did you mean EMULATOR_PORT?"),
        ("EMULATOR_XYZZY", "EMULATOR_XYZZY is no setting"),
        ("emulator_port", "emulator_port is no setting; did you mean EMULATOR_PORT?"),
        ("EMULATER_SCENARIO", "EMULATER_SCENARIO is no setting; did you mean EMULATOR_SCENARIO?"),
        ("IMAGE_API_EMULATOR_SEED", "IMAGE_API_EMULATOR_SEED is no setting; did you mean EMULATOR_SEED?"),
        ("EMULATE_THE_KEYBOARD", None),
        ("FIRESTORE_EMULATOR_HOST", None),
        ("ANDROID_EMULATOR_HOME", None),
        ("EMULATOR", "EMULATOR is no setting"),
        ("EMULATOR_UPSTREAM_KEY_OPENAI", None),
    ],
)
def test_variables_that_are_no_settings(name: str, told: str | None) -> None:
    """One that looks like ours is told with the nearest that is; those of other emulators are not ours."""
    expected = [] if told is None else [f"the environment variable {told}"]
    assert expected == list_unknown_variables({name: "1", "PATH": "/bin"})


def test_every_group_of_help_has_settings() -> None:
    """The groups name settings that there are, each once."""
    names = [name for group in settings._GROUPS.values() for name in group]
    assert (len(names), set()) == (len(set(names)), set(names) - set(settings.FIELDS))
