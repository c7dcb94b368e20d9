"""The optional libraries: found when installed, unless they are switched off."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from emulator.core import accelerators
from emulator.core.accelerators import choose_speed, find_accelerator, name_accelerator
from tests.process import environment


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder from which modules are imported; nothing is found yet, and nothing of this stays."""
    monkeypatch.setattr(accelerators, "_FOUND", accelerators._Found("auto"))
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("uvloop", "winloop"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def test_what_is_installed_is_found(folder: Path) -> None:
    (folder / "winloop.py").write_text("speed = 7\n")
    assert 7 == find_accelerator("winloop").speed
    assert "winloop" == name_accelerator("winloop")
    choose_speed("off")
    assert (None, None) == (find_accelerator("winloop"), name_accelerator("winloop"))
    choose_speed("auto")
    assert 7 == find_accelerator("winloop").speed


def test_what_is_missing_or_broken_is_not_found_and_stays_so(folder: Path) -> None:
    (folder / "uvloop.py").write_text("raise ImportError('built for another machine')\n")
    assert (None, None) == (find_accelerator("uvloop"), name_accelerator("uvloop"))
    (folder / "uvloop.py").write_text("")
    assert find_accelerator("uvloop") is None


@pytest.mark.parametrize(("value", "found"), [("off", "False"), ("auto", "True")])
def test_the_environment_decides_until_a_setting_does(value: str, found: str, folder: Path) -> None:
    """Programs that use the package without a server have the environment alone."""
    (folder / "uvloop.py").write_text("")
    program = "from emulator.core.accelerators import find_accelerator as f; print(f('uvloop') is not None)"
    variables = environment(EMULATOR_SPEED=value)
    variables["PYTHONPATH"] = f"{folder}:{variables['PYTHONPATH']}"
    done = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=True)
    assert found == done.stdout.strip()


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    program = (
        "import sys; import emulator.core.accelerators; print({'uvloop', 'isal', 'jsonschema_rs'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True
    )
    assert "set()" == done.stdout.strip()
