"""The command `record`, and `check` for recordings."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from openai import OpenAI

from emulator.cli.main import main
from tests.conftest import Served
from tests.uploads import draw_file

DAY: Final = "2026-11-20"
KEY: Final = "sk-afterwards-Zx81kQm3Wq0Ra7"


def run_client(served: Served) -> list[Any]:
    """What a client gets: Base64, a link, an edit, a stream, a refusal."""
    got: list[Any] = []
    with OpenAI(base_url=served.base("openai"), api_key=KEY, max_retries=0) as sdk:
        got.append(sdk.images.generate(model="gpt-image-2", prompt="A boat", n=2).model_dump())
        picture = ("a.png", draw_file(mode="RGBA"), "image/png")
        got.append(sdk.images.edit(model="gpt-image-2", prompt="Night", image=picture).model_dump())
        stream = sdk.images.generate(model="gpt-image-2", prompt="A boat", stream=True, partial_images=1)
        got.append([event.model_dump() for event in stream][-1])
    with OpenAI(base_url=served.base("ezmodel"), api_key=KEY, max_retries=0) as sdk:
        reply = sdk.images.generate(model="dall-e-3", prompt="A link")
        assert reply.data is not None
        assert reply.data[0].url is not None
        got.append(httpx.get(reply.data[0].url).content)
    refused = served.generate("ezmodel", {"model": "dall-e-3", "prompt": "x", "n": 9}, KEY)
    got.append((refused.status_code, refused.json()))
    return got


def test_a_session_becomes_a_recording(
    serve: Callable[..., Served], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was drawn is replayed, to the byte; a call that cannot be written is told, and the exit code is 1."""
    front = serve(as_of=DAY)
    first = run_client(front)
    folder = tmp_path / "afterwards"
    flags = ["record", str(folder), "--from-session", "latest", "--url", front.url]
    assert 0 == main(flags)
    assert f"{folder}: 5 calls written, 0 left out\n" == capsys.readouterr().out
    assert 0 == main(["check", str(folder)])
    replaying = serve(record=str(folder), clock="scale:0")
    assert first == run_client(replaying)
    assert ["replayed"] * 5 == [call["verdict"] for call in replaying.calls()]
    front.generate("openai", {"model": "gpt-image-2", "prompt": "x", "user": "somebody@mail.test"}, KEY)
    assert 1 == main(flags)
    told = capsys.readouterr()
    assert "5 calls written, 1 left out" in told.out
    assert "call 6 is left out" in told.err
    assert "somebody" not in told.err


def test_check_finds_what_is_wrong(
    serve: Callable[..., Served], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A changed picture, a credential, an empty folder."""
    front = serve(as_of=DAY)
    front.generate("openai", {"model": "gpt-image-2", "prompt": "A boat"}, KEY)
    folder = tmp_path / "checked"
    main(["record", str(folder), "--from-session", "latest", "--url", front.url])
    path = folder / "recording.yaml"
    text = path.read_text()
    secret = base64.b64encode(b"sk-nobody-has-sent-Qm3Wq0Ra7Lt9").decode()
    path.write_text(text.replace("prompt: A boat", f"prompt: {secret}"))
    assert 1 == main(["check", str(folder)])
    told = capsys.readouterr().out
    assert "given.prompt has what looks like a key" in told.replace("\n", " ").replace("  ", " ")
    assert secret not in told
    path.write_text(text)
    next((folder / "pictures").iterdir()).write_bytes(b"x")
    (folder / "bodies" / "a-folder").mkdir(parents=True)
    assert 1 == main(["check", str(folder)])
    assert "has changed" in capsys.readouterr().out.replace("\n", " ")
    assert 2 == main(["check", str(tmp_path)])
    assert "a folder without a recording" in capsys.readouterr().err
    assert 2 == main(["record", str(folder), "--from-session", "none-such", "--url", front.url])
