"""Recordings held against today's contracts: an upstream that is the emulator itself, in either behavior."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from openai import APIStatusError, OpenAI

from emulator.analysis import differences
from emulator.analysis.differences import SCRIPTED, SITUATIONS, Situation
from emulator.gateway.gateway import Gateway
from emulator.messages import GatewayError, Request
from emulator.scenario import loader
from emulator.server import forwarding
from emulator.server.comparison import ComparedCall, compare_recordings
from emulator.settings import Settings
from emulator.validation import registry
from emulator.validation.draft import ValidationContext
from emulator.validation.registry import Route
from emulator.validation.validator import RequestValidator
from tests.conftest import Served
from tests.uploads import data_url, draw_file
from tests.yaml_texts import load_yaml

DAY: Final = "2026-11-20"
KEY: Final = "sk-test"
OBSERVED: Final = [
    gateway.name for gateway in registry.load_gateways(()) if registry.load_behavior(gateway.name, "observed")
]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of these tests leaves this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


class Recorder:
    """Records what an upstream answers, which is a server with these settings."""

    def __init__(
        self, serve: Callable[..., Served], folder: Path, front_behavior: str = "documented", **settings: Any
    ) -> None:
        self.upstream = serve(as_of=DAY, clock="scale:0", **settings)
        names = self.upstream.app.registry.validators
        upstream = tuple(f"{name}={self.upstream.base(name)}" for name in names)
        self.front = serve(record=str(folder), record_mode="all", upstream=upstream, as_of=DAY, behavior=front_behavior)
        self.path = folder / "recording.yaml"
        self.entries: list[str | None] = []

    def note(self) -> str | None:
        """Return the entry of the call that has just been made; None where it was not recorded."""
        known = [one for one in self.entries if one is not None]
        new = [name for name in self._list_answers() if name not in known]
        assert len(new) <= 1
        self.entries.append(new[0] if new else None)
        return self.entries[-1]

    def _list_answers(self) -> list[str]:
        if not self.path.exists():
            return []
        rules = load_yaml(self.path.read_text("utf-8"))["rules"]  # it is asked after each call, so nothing is checked
        return [f"{rule['name']}:{place}" for rule in rules for place, _ in enumerate(rule["answers"], 1)]

    def compare(self, **settings: Any) -> dict[str, ComparedCall]:
        """What has come out, by entry and place of the answer."""
        return compare(self.path, **settings)


def compare(path: Path, **settings: Any) -> dict[str, ComparedCall]:
    """What has come out of comparing a recording, by entry and place of the answer."""

    async def collect() -> list[ComparedCall]:
        scenario = loader.load_scenario(path)
        used = Settings(no_reserved_values=True, clock="frozen:2026-11-20T00:00:00Z", **settings)
        return [call async for call in compare_recordings({"it": scenario}, used)]

    calls = asyncio.run(collect())
    return {call.entry if ":" in call.entry else f"{call.entry}:1": call for call in calls}


def send(served: Served, gateway: Gateway, situation: Situation) -> httpx.Response:
    """Make the call of a situation."""
    body: Mapping[str, Any] = situation.body
    if situation.model is not None:
        body = {"model": situation.model, **body}
    headers = {"content-type": situation.kind, "authorization": situation.key, "x-emulator-session": "it"}
    content: dict[str, Any] = {"content": situation.text} if situation.text is not None else {"json": body}
    if situation.method == "GET":
        content = {}
    return httpx.request(
        situation.method, f"{served.base(gateway.name)}{situation.path}", headers=headers, timeout=30, **content
    )


def is_recordable(validator: RequestValidator, situation: Situation) -> bool:
    """Whether a server with this contract passes such a call on, instead of judging it itself."""
    gateway = validator.gateway
    path = gateway.base + situation.path
    request: Request = differences._build_request(situation, path)
    operations, variables = gateway.find_operations(path)
    try:
        operation = Route(validator, path, operations, variables).operation(situation.method)
        if operation.redirect is not None:
            return False
        key = gateway.find_key({"authorization": situation.key})
        validator.validate(request, ValidationContext(operation, key, variables=variables))
    except GatewayError as error:
        return bool(operations) and error.kind != "wrong_method" and not forwarding.is_judged_here(error)
    return True


def is_redirected(validator: RequestValidator, situation: Situation) -> bool:
    """Whether a gateway sends such a call to another address, which is never followed, nor recorded."""
    operations, _ = validator.gateway.find_operations(validator.gateway.base + situation.path)
    operation = operations.get(situation.method)
    return operation is not None and operation.redirect is not None


def select_situations(gateway: str) -> Iterator[tuple[Situation, RequestValidator, RequestValidator]]:
    """Yield the situations that mean something at a gateway, with both contracts."""
    one = next(found for found in registry.load_gateways(()) if found.name == gateway)
    other = registry.load_behavior(gateway, "observed")
    assert other is not None
    documented, observed = RequestValidator(one), RequestValidator(other)
    for situation in SITUATIONS:
        if differences._is_meaningful(situation, one, other):
            yield situation, documented, observed


@pytest.mark.parametrize("gateway", OBSERVED)
def test_what_the_table_of_differences_lists_is_found(
    gateway: str, serve: Callable[..., Served], tmp_path: Path
) -> None:
    """Each call of `rules --differences` is recorded from the observed behavior, and compared with the documented one.

    Exactly those differ that the table lists, beside what differs in each answer.
    """
    recorder = Recorder(serve, tmp_path / "it", behavior="observed", scenario=write_refusals(tmp_path))
    chosen = list(select_situations(gateway))
    listed = {row.situation for row in differences.find_differences(chosen[0][1], chosen[0][2])}
    entries: dict[str, str | None] = {}
    for situation, documented, observed in chosen:
        send(recorder.front, documented.gateway, situation)
        entries[situation.about] = recorder.note()
        expected = is_recordable(documented, situation) and not is_redirected(observed, situation)
        assert (entries[situation.about] is not None) == expected, situation.about
    for kind, about in SCRIPTED.items():
        send(recorder.front, chosen[0][1].gateway, Situation(about, "dall-e-3", {"prompt": f"refuse {kind}."}))
        entries[about] = recorder.note()
        assert entries[about] is not None, (about, recorder.front.calls("it")[-1])
    httpx.get(f"{recorder.front.base(gateway)}/models", headers={"authorization": "Bearer sk-test"})
    lists = recorder.note()
    assert lists is not None
    models = next(chosen[0][1].gateway.iter_generating()).models
    assert models is not None
    send(recorder.front, chosen[0][1].gateway, Situation("a reply", next(iter(models.listed)), {"prompt": "A reply"}))
    reply = recorder.note()
    assert reply is not None
    found = recorder.compare()
    assert [] == [call for call in found.values() if call.why is not None]
    for about, entry in entries.items():
        if entry is not None:
            kinds = {one.kind for one in found[entry].differences}
            if about in listed:
                assert kinds - {"other_headers"}, about
            else:
                assert not kinds - FORMS, (about, found[entry])
    forms = find_forms(found.values())
    if "other_fields" in {one.kind for one in found[reply].differences}:
        forms.add("the members of a reply")
    if "other_fields" in {one.kind for one in found[lists].differences}:
        forms.add("the members of the list of models")
    if "retry-after" in {one.where for one in found[str(entries["too many requests"])].differences}:
        forms.add("Retry-After at a limit")
    assert forms == listed & ABOUT_FORMS


FORMS: Final = {"other_headers", "other_fields", "other_usage"}
"""The kinds of differences that each answer of a gateway may have."""
ABOUT_FORMS: Final = set(differences._FORMS)


def find_forms(calls: Iterable[ComparedCall]) -> set[str]:
    """The rows of the table that are about every answer, or every refusal, as far as calls have such differences."""
    found = set()
    for call in calls:
        is_refusal = call.recorded.partition(" ")[0].rstrip(",:") != "200"
        if not {"too_lax", "too_strict"} & {one.kind for one in call.differences}:
            for one in call.differences:
                if one.kind == "other_fields" and is_refusal:
                    found.add("the members of a refusal")
                elif one.kind == "other_headers" and one.where == "content-type" and is_refusal:
                    found.add("the Content-Type of a refusal")
                elif one.kind == "other_headers" and one.where.endswith(("-request-id", "-version")):
                    found.add("the headers of every answer")
    return found


def write_refusals(folder: Path) -> str:
    """A scenario that refuses what the prompt names."""
    rules = "".join(f"  - when: {{prompt: 'refuse {kind}.'}}\n    answers: {{refuse: {kind}}}\n" for kind in SCRIPTED)
    path = folder / "refusals.yaml"
    path.write_text(f"rules:\n{rules}")
    return str(path)


WORDLESS = ("localai", "sd-cpp", "sglang", "vllm-omni")
"""Their refusals have no words of their own for each kind: which one a recorded refusal is, nobody can tell."""


@pytest.mark.parametrize(
    ("gateway", "behavior"),
    [
        *((one.name, "documented") for one in registry.load_gateways(())),
        *((name, "observed") for name in OBSERVED),  # the others have one behavior
    ],
)
def test_nothing_differs_between_equal_ones(
    gateway: str, behavior: str, serve: Callable[..., Served], tmp_path: Path
) -> None:
    """Links, Base64, edits with a mask, streams, lists, refusals of every kind: what is said is what was said."""
    recorder = Recorder(serve, tmp_path / "it", behavior=behavior, scenario=write_refusals(tmp_path))
    front = recorder.front
    base = front.base(gateway)
    key = {"authorization": f"Bearer {KEY}"}
    found_gateway = front.app.registry.gateways[gateway]
    for situation in SITUATIONS:
        send(front, found_gateway, situation)
    usual = found_gateway.find_usual_operation("generate")
    assert usual is not None
    url = f"{front.url}/{gateway}{usual.path}"
    bodies: list[dict[str, Any]] = []
    if gateway not in WORDLESS:
        bodies += [{"model": "dall-e-3", "prompt": f"refuse {kind}."} for kind in SCRIPTED]
    model = found_gateway.usual_model
    bodies += [{"model": model, "prompt": f"A cat, n: {n}", "n": n} for n in (0, 1, 2, "2", 1000)]
    for body in (
        *bodies,
        {"model": model, "prompt": "x", "size": "1x1"},
        {"model": "dall-e-3", "prompt": "A link"},
        {"model": "dall-e-3", "prompt": "Base64", "response_format": "b64_json"},
        {"model": "dall-e-2", "prompt": "Two", "n": 2, "size": "256x256"},
        {"model": "gpt-image-1", "prompt": "Clear", "background": "transparent", "output_format": "webp"},
        {"model": "gpt-image-1", "prompt": "A stream", "stream": True, "partial_images": 3},
        {"model": "cogview-4", "prompt": "猫"},
        {"model": model, "prompt": "A stream", "stream": True},
    ):
        httpx.post(url, json=body, headers=key, timeout=30)
    httpx.get(f"{base}/models", headers=key)
    httpx.get(f"{base}/models/dall-e-3", headers=key)
    with OpenAI(base_url=base, api_key=KEY, max_retries=0) as sdk:
        picture = ("a.png", draw_file(mode="RGBA"), "image/png")
        for model in ("gpt-image-1", "dall-e-2"):
            with suppress(APIStatusError):  # refusals are recorded as well
                sdk.images.edit(model=model, prompt="Night", image=picture, mask=picture)
    found = recorder.compare(behavior=behavior)
    assert len(found) >= 10
    assert [] == [call for call in found.values() if call.outcome != "same"]


FAULTS: Final = (
    "malformed_json", "garbage", "wrong_type", "empty_body", "duplicate_header", "slow_body",
    "duplicate_event", "missing_final_event",
)  # fmt: skip


def test_a_damaged_answer_is_no_difference(serve: Callable[..., Served], tmp_path: Path) -> None:
    """What breaks an answer on its way is not the gateway's contract; what can be read is compared."""
    rules = "".join(
        f"  - when: {{prompt: {fault}}}\n    answers: {{draw: {{}}, faults: [{fault}]}}\n" for fault in FAULTS
    )
    (tmp_path / "faults.yaml").write_text(f"rules:\n{rules}")
    recorder = Recorder(serve, tmp_path / "it", scenario=str(tmp_path / "faults.yaml"))
    whole = set()
    for fault in FAULTS:
        for body in ({"n": 1}, {"stream": True, "partial_images": 1}):
            recorder.front.generate("openai", {"model": "gpt-image-2", "prompt": fault, **body})
            entry = recorder.note()
            if entry is not None:
                whole.add(entry)
    found = recorder.compare()
    assert len(whole) == len(found) >= 8
    assert [] == [(call.entry, call.differences) for call in found.values() if call.differences]
    damaged = {call.why for call in found.values() if call.why is not None}
    assert 4 == len(damaged)
    assert "its stream was cut" in damaged


@pytest.mark.parametrize("gateway", ["geekai", "geeknow"])
def test_tasks(gateway: str, serve: Callable[..., Served], tmp_path: Path) -> None:
    """A task that was begun in the recording is asked for again, by the id that it has here; another one is told."""
    recorder = Recorder(serve, tmp_path / "it", front_behavior="observed", behavior="observed")
    base, key = recorder.front.base(gateway), {"authorization": f"Bearer {KEY}"}
    path, polled = "/images/generations", "/images"
    if gateway == "geeknow":
        path = polled = "/images/generations/async"
    body = {"model": "dall-e-3", "prompt": "A task", "async": True}
    begun = httpx.post(f"{base}{path}", json=body, headers=key).json()
    task = begun.get("task_id") or begun["id"]
    for name in (task, task, task, "7c9e6679-7425-40de-944b-e07fc1f90ae7"):
        httpx.get(f"{base}{polled}/{name}", headers=key)
    found = compare(recorder.path, behavior="observed")
    assert {"same", "not compared"} == {call.outcome for call in found.values()}
    assert ["its task was not begun in this recording"] == [call.why for call in found.values() if call.why]


def test_a_rate_limit_and_then_a_picture(serve: Callable[..., Served], tmp_path: Path) -> None:
    """The answers of one entry are compared each by itself; so are edits in JSON."""
    scenario = "rules:\n  - when: {operation: generate}\n    answers: [{refuse: rate_limit}, {draw: {}}]\n"
    (tmp_path / "limited.yaml").write_text(scenario)
    recorder = Recorder(serve, tmp_path / "it", scenario=str(tmp_path / "limited.yaml"))
    for _ in range(2):
        recorder.front.generate("openai", {"model": "gpt-image-2", "prompt": "A boat"})
    images = [{"image_url": data_url(draw_file())}]
    edit = {"model": "gpt-image-2", "prompt": "Night", "images": images}
    base = recorder.front.base("openai")
    assert 200 == httpx.post(f"{base}/images/edits", json=edit, headers={"authorization": "Bearer sk-test"}).status_code
    found = recorder.compare()
    assert ["0001:1", "0001:2", "0002:1"] == list(found)
    assert [] == [call for call in found.values() if call.outcome != "same"]
    assert found["0001:1"].recorded.startswith("429 rate_limit_exceeded")
