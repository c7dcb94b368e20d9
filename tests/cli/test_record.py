"""The command `record`, and `check` for recordings."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from openai import OpenAI

from emulator.analysis.recorded_calls import find_example
from emulator.cli.main import main
from emulator.scenario import loader
from tests.conftest import Served
from tests.uploads import data_url, draw_file

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


def test_what_a_path_names_is_recorded(
    serve: Callable[..., Served], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Deployments that get the same body are entries of their own, as where the calls were passed on, and replayed."""
    behind = serve(as_of=DAY)
    passed_on = tmp_path / "passed-on"
    front = serve(record=str(passed_on), record_mode="all", upstream=(f"azure={behind.url}/azure",), as_of=DAY)

    def ask(served: Served) -> list[tuple[int, Any]]:
        got = []
        for deployment in ("gpt-image-1", "our%20painter%2F1", "dall%2De-3"):
            path = f"/s/paths/azure/openai/deployments/{deployment}/images/generations?api-version=1&mine=2"
            for body in ({"prompt": "A boat"}, {"prompt": "A boat", "size": "7x7", "model": "gpt-image-2"}):
                answer = httpx.post(served.url + path, json=body, headers={"api-key": KEY})
                got.append((answer.status_code, answer.json()))
        return got

    first = ask(front)
    assert [200, 400] * 3 == [status for status, _ in first]
    afterwards = tmp_path / "afterwards"
    assert 0 == main(["record", str(afterwards), "--from-session", "paths", "--url", front.url])
    assert f"{afterwards}: 6 calls written, 0 left out\n" == capsys.readouterr().out
    written = [_list_asked(folder / "recording.yaml") for folder in (passed_on, afterwards)]
    assert written[0] == written[1]
    address = "POST /openai/deployments/our%20painter%2F1/images/generations?api-version=1"
    assert ("our painter/1", address) in written[1]
    replaying = serve(record=str(afterwards), clock="scale:0")
    assert first == ask(replaying)
    assert 0 == main(["compare", str(afterwards)]), capsys.readouterr().out


def test_the_paths_of_an_own_gateway_are_recorded(
    serve: Callable[..., Served], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With `--schema` the model of the path is written; without it that is told, and nothing else is lost."""
    schema = tmp_path / "own.yaml"
    schema.write_text(
        "openapi: 3.1.0\ninfo: {title: Own, version: '1'}\nservers: [{url: https://own.test/v1}]\n"
        "paths:\n  /deployments/{name}/images/generations:\n    post:\n      x-emulator-model: name\n"
        "      requestBody: {content: {application/json: {schema: {type: object, required: [prompt],"
        " properties: {prompt: {type: string}}}}}}\n      responses: {'200': {description: Pictures}}\n"
    )
    served = serve(schema=(str(schema),))
    url = f"{served.url}/s/own/own/v1/deployments/painter/images/generations"
    assert httpx.post(url, json={"prompt": "A boat"}, headers={"authorization": f"Bearer {KEY}"}).is_success
    flags = ["--from-session", "own", "--url", served.url]
    assert 0 == main(["record", str(tmp_path / "without"), *flags])
    told = capsys.readouterr()
    assert "1 calls written, 0 left out" in told.out
    assert "no file of the gateway own is known here" in told.err
    assert "painter" not in (tmp_path / "without" / "recording.yaml").read_text()
    assert 0 == main(["record", str(tmp_path / "with"), *flags, "--schema", str(schema)])
    assert "" == capsys.readouterr().err
    assert ["painter"] == [model for model, _ in _list_asked(tmp_path / "with" / "recording.yaml")]
    assert 0 == main(["compare", str(tmp_path / "with"), "--schema", str(schema)]), capsys.readouterr().out


def test_models_and_pictures_under_other_names_are_recorded(
    serve: Callable[..., Served], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each model that was asked for is an entry of its own; pictures are images, whatever their parameter is called."""
    served = serve(as_of=DAY)
    headers = {"authorization": f"Bearer {KEY}", "x-emulator-session": "other"}

    def ask(asked: Served) -> list[tuple[int, Any]]:
        got = []
        for model in ("gpt-image-2", "none-such"):
            answer = httpx.get(f"{asked.base('openai')}/models/{model}", headers=headers)
            got.append((answer.status_code, answer.json()))
        reference = {"type": "image_url", "image_url": {"url": data_url(draw_file("PNG"))}}
        body = {"model": "openai/gpt-image-2", "prompt": "At night", "size": "64x64", "input_references": [reference]}
        answer = httpx.post(f"{asked.base('openrouter')}/images", json=body, headers=headers)
        return [*got, (answer.status_code, answer.json())]

    first = ask(served)
    assert [200, 404, 200] == [status for status, _ in first]
    folder = tmp_path / "other"
    assert 0 == main(["record", str(folder), "--from-session", "other", "--url", served.url])
    assert "3 calls written, 0 left out" in capsys.readouterr().out
    assert first == ask(serve(record=str(folder), clock="scale:0"))
    assert 0 == main(["compare", str(folder)]), capsys.readouterr().out


def _list_asked(path: Path) -> list[tuple[Any, str | None]]:
    """The model and the address of each entry of a recording."""
    entries = loader.load_scenario(path).rules
    asked = []
    for entry in entries:
        fields = dict(entry.when.conditions)
        recorded = entry.answers[0].recorded
        assert recorded is not None
        asked.append((find_example(fields["given.model"]), recorded.asked))
    return asked
