"""The command `mcp`, asked by the library `mcp` as a process, and with lines that no client would send."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pkgutil import resolve_name
from typing import Any, Final

import httpx
import pytest
from jsonschema import Draft202012Validator
from mcp import Client, StdioServerParameters, stdio_client
from mcp_types import BlobResourceContents, CallToolResult, EmbeddedResource, ImageContent, TextContent

from emulator.admin import description
from emulator.cli import mcp_server
from emulator.cli.main import COMMANDS, NAME, build_parser
from emulator.cli.mcp_server import McpServer
from emulator.cli.mcp_tools import make_tools
from emulator.client.connection import Connection
from emulator.core import yaml_file
from emulator.core.data_folders import find_docs
from tests.conftest import Served
from tests.process import environment

COMMAND: Final = ("-m", "emulator", "mcp")
MODES: Final = ("legacy", "auto")
"""With the handshake of the revisions until 2025-11-25, and without it as in that of 2026-07-28."""


@asynccontextmanager
async def _connect(url: str, mode: str = "auto") -> AsyncIterator[Client]:
    """A client of the command, which asks the emulator at `url`."""
    parameters = StdioServerParameters(command=sys.executable, args=[*COMMAND, "--url", url], env=environment())
    async with Client(stdio_client(parameters), mode=mode) as client:
        yield client


def _read_text(result: CallToolResult) -> str:
    content = result.content[0]
    assert isinstance(content, TextContent)
    text: str = content.text
    return text


async def _ask(client: Client, tool: str, **arguments: Any) -> Any:
    """The JSON that a tool answers; fails where it answers an error."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, _read_text(result)
    return json.loads(_read_text(result))


@pytest.fixture
def dead() -> str:
    """An address where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"


@pytest.mark.parametrize("mode", MODES)
async def test_it_needs_no_server_to_begin(dead: str, mode: str) -> None:
    """A client gets the tools though no emulator runs; a call then says which address did not answer."""
    async with _connect(dead, mode) as client:
        assert client.server_info is not None
        assert ("image-api-emulator", True) == (client.server_info.name, dead in (client.instructions or ""))
        listed = await client.list_tools()
        assert {"calls", "call", "playScenario", "verify", "portability", "reset"} <= {one.name for one in listed.tools}
        result = await client.call_tool("calls", {"id": "latest"})
        assert (True, True) == (result.is_error, f"no emulator answers at {dead}: " in _read_text(result))


@pytest.mark.parametrize("mode", MODES)
async def test_a_session_from_play_to_reset(server: Served, mode: str) -> None:
    """A scenario is played, calls are read, explained, verified and held against other gateways, and forgotten."""
    session = f"mcp-{mode}"
    async with _connect(server.url, mode) as client:
        rules = [{"when": {"prompt": {"contains": "weapon"}}, "answers": {"refuse": "moderation"}}]
        played = await _ask(client, "playScenario", id=session, body={"rules": rules})
        assert (session, "rule-1") == (played["session"], played["rules"][0]["name"])
        for prompt in ("A weapon", "A cat", "猫"):
            server.generate("ezmodel", {"prompt": prompt}, **{"x-emulator-session": session})
        page = await _ask(client, "calls", id=session, refused="moderation")
        assert [1] == [call["number"] for call in page["calls"]]
        call = await _ask(client, "call", id=session, number=3)
        assert ("猫", 200) == (call["given"]["prompt"], call["status"])
        assert (await _ask(client, "verify", id=session, body={"when": {"status": 200}, "times": 2}))["ok"]
        verdict = await _ask(client, "verify", id=session, body={"when": {"prompt": "A cat"}, "never": True})
        assert (False, [2]) == (verdict["ok"], verdict["matched"])
        report = await _ask(client, "portability", body={"session": session})
        assert 3 == len(report["calls"])
        assert (await _ask(client, "finding", code="duplicate_key"))["text"]
        picture = (await client.call_tool("picture", {"id": session, "number": 3, "index": 0})).content[0]
        assert isinstance(picture, ImageContent)
        assert ("image/png", b"\x89PNG") == (picture.mime_type, base64.b64decode(picture.data)[:4])
        assert {"session": session, "calls": 0} == await _ask(client, "reset", id=session)
        assert [] == (await _ask(client, "calls", id=session))["calls"]


async def test_a_scenario_may_be_yaml(server: Served) -> None:
    """As over HTTP; what it says wrong is told with its line."""
    async with _connect(server.url) as client:
        text = "rules:\n- answers: {refuse: rate_limit}\n"
        assert "rule-1" in (await client.call_tool("playScenario", {"id": "mcp-yaml", "body": text})).model_dump_json()
        result = await client.call_tool("playScenario", {"id": "mcp-yaml", "body": "rules:\n- answer: {draw: {}}\n"})
        assert result.is_error
        assert "scenario:2: unknown key 'answer'" in _read_text(result)


async def test_an_upload_comes_back(server: Served) -> None:
    """A file that is no picture is a resource with its bytes."""
    async with httpx.AsyncClient() as gateway_client:
        await gateway_client.post(
            f"{server.base('openai')}/images/edits",
            data={"prompt": "A hat", "model": "gpt-image-1"},
            files={"image": ("notes.png", b"no picture", "image/png")},
            headers={"authorization": "Bearer sk-test", "x-emulator-session": "mcp-upload"},
        )
    async with _connect(server.url) as client:
        digest = hashlib.sha256(b"no picture").hexdigest()
        block = (await client.call_tool("upload", {"id": "mcp-upload", "digest": digest})).content[0]
        assert isinstance(block, EmbeddedResource)
        assert isinstance(block.resource, BlobResourceContents)
        assert b"no picture" == base64.b64decode(block.resource.blob)


async def test_a_token_is_sent(serve: Callable[..., Served]) -> None:
    """With --admin-token or its variable; without it the server's own sentence comes back."""
    url = serve(admin_token="mcp-4711").url
    for flags, fails in (((), True), (("--admin-token", "mcp-4711"), False)):
        arguments = [*COMMAND, "--url", url, *flags]
        parameters = StdioServerParameters(command=sys.executable, args=arguments, env=environment())
        async with Client(stdio_client(parameters)) as client:
            result = await client.call_tool("sessions", {})
            assert (fails, fails) == (result.is_error, "a token is needed here" in _read_text(result))


def test_each_operation_is_a_tool() -> None:
    """All that answer JSON or a picture, but the description itself; each schema is a JSON Schema, its examples too."""
    paths = yaml_file.load_yaml(description.PATH).root["paths"]
    known = {
        operation["operationId"]
        for item in paths.values()
        for method, operation in item.items()
        if method in description.METHODS
    }
    tools = make_tools()
    left_out = known - set(tools)
    assert {"events", "metrics", "openapi"} <= left_out
    assert {"calls", "finding", "playScenario", "verify", "portability", "coverage", "reset", "replay"} <= set(tools)
    for name, tool in tools.items():
        schema = tool.listed["inputSchema"]
        Draft202012Validator.check_schema(schema)
        assert "$ref" not in json.dumps(schema), name
        assert "x-emulator" not in json.dumps(tool.listed), name
        assert tool.listed["description"]
        body = schema["properties"].get("body", {})
        for example in body.get("examples", ()):
            Draft202012Validator(body).validate(example)


@pytest.mark.parametrize(("tool", "reads"), [("calls", True), ("verify", True), ("reset", False), ("forget", False)])
def test_a_tool_says_whether_it_changes_something(tool: str, reads: bool) -> None:
    """A client asks its user before a call that forgets something."""
    hints = make_tools()[tool].listed["annotations"]
    assert (reads, not reads) == (hints["readOnlyHint"], hints["destructiveHint"])


@pytest.fixture
def mcp(dead: str) -> McpServer:
    """The server of the command, without a process; it has no emulator."""
    return McpServer(Connection(dead), make_tools(), "1")


def _call(tool: str, **arguments: Any) -> Mapping[str, Any]:
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "id is missing"),
        ({"id": "a", "idd": 1}, "unknown argument 'idd'; did you mean 'id'?"),
        ({"id": ".."}, "id is '..'; expected one such as my-test"),
        ({"id": "a/../b"}, "id is 'a/../b'; expected one such as my-test"),
        ({"id": "a?b"}, "expected one such as my-test"),
        ({"id": ["a"]}, 'id is ["a"]; expected a text or an integer'),
        ({"id": "a", "limit": {}}, "limit is {}; expected a text or an integer"),
    ],
)
def test_wrong_arguments_are_told(mcp: McpServer, arguments: Mapping[str, Any], told: str) -> None:
    """As the answer of the tool, which a model reads, with the nearest known name; nothing is asked."""
    answer = mcp.answer_line(json.dumps(_call("calls", **arguments)).encode())
    assert (True, True) == (answer["result"]["isError"], told in answer["result"]["content"][0]["text"])
    assert "no emulator answers" not in json.dumps(answer)


@pytest.mark.parametrize("body", ["rules: []", 5, ["a"]])
def test_a_body_is_an_object(mcp: McpServer, body: Any) -> None:
    """But for a scenario, which may be YAML."""
    answer = mcp.answer_line(json.dumps(_call("verify", id="a", body=body)).encode())
    assert "expected an object" in answer["result"]["content"][0]["text"]


REQUEST: Final = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


def _spell(**members: Any) -> bytes:
    """The line of a request with other members."""
    return json.dumps({**REQUEST, **members}).encode()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"nonsense", mcp_server.PARSE_ERROR),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping"', mcp_server.PARSE_ERROR),
        (b"\xff\xfe", mcp_server.PARSE_ERROR),
        (b'"\\ud800"', mcp_server.PARSE_ERROR),
        (b"NaN", mcp_server.PARSE_ERROR),
        (b"[" * 100_000, mcp_server.PARSE_ERROR),
        (b'{"jsonrpc": "2.0", "id": ' + b"9" * 5000 + b', "method": "ping"}', mcp_server.PARSE_ERROR),
        (b"[]", mcp_server.INVALID_REQUEST),
        (b"null", mcp_server.INVALID_REQUEST),
        (b"{}", mcp_server.INVALID_REQUEST),
        (_spell(id=None), mcp_server.INVALID_REQUEST),
        (_spell(id=True), mcp_server.INVALID_REQUEST),
        (_spell(method=5), mcp_server.INVALID_REQUEST),
        (_spell(jsonrpc="1.0"), mcp_server.INVALID_REQUEST),
        (_spell(method="tools/lst"), mcp_server.METHOD_NOT_FOUND),
        (_spell(params=[1]), mcp_server.INVALID_PARAMS),
        (_spell(method="tools/list", params={"cursor": "x"}), mcp_server.INVALID_PARAMS),
        (_spell(method="tools/call"), mcp_server.INVALID_PARAMS),
        (_spell(method="tools/call", params={"name": "verfy"}), mcp_server.INVALID_PARAMS),
        (_spell(method="tools/call", params={"name": "reset", "arguments": 5}), mcp_server.INVALID_PARAMS),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_bad_line_has_an_error(mcp: McpServer, line: bytes, code: int) -> None:
    """Its code is JSON-RPC's, and the next line is answered."""
    output = io.BytesIO()
    mcp.answer_lines(io.BytesIO(line + b"\n" + json.dumps({**REQUEST, "id": "next"}).encode()), output)
    answers = [json.loads(one) for one in output.getvalue().splitlines()]
    assert (2, code) == (len(answers), answers[0]["error"]["code"])
    assert {"jsonrpc": "2.0", "id": "next", "result": {}} == answers[1]


def test_a_line_without_an_end_is_dropped(mcp: McpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line over the bound is told once, and none of it is kept or taken for another line."""
    monkeypatch.setattr(mcp_server, "_LONGEST_LINE", 1000)
    output = io.BytesIO()
    mcp.answer_lines(io.BytesIO(b" " * 5500 + b"\n" + json.dumps(REQUEST).encode() + b"\n"), output)
    first, second = [json.loads(one) for one in output.getvalue().splitlines()]
    assert (mcp_server.INVALID_REQUEST, {}) == (first["error"]["code"], second["result"])


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"  \r\n",
        b'{"jsonrpc": "2.0", "method": "notifications/initialized"}',
        b'{"jsonrpc": "2.0", "method": "tools/nothing"}',
        b'{"jsonrpc": "2.0", "id": 7, "result": {}}',
        b'[{"jsonrpc": "2.0", "method": "notifications/cancelled"}]',
    ],
)
def test_what_wants_no_answer_gets_none(mcp: McpServer, line: bytes) -> None:
    """Blank lines, notifications, and answers to what was never asked."""
    assert mcp.answer_line(line) is None


def test_a_batch_is_answered(mcp: McpServer) -> None:
    """The revision of 2025-03-26 has lists of messages."""
    answers = mcp.answer_line(json.dumps([REQUEST, {**REQUEST, "id": 2}, 5]).encode())
    assert [1, 2, None] == [answer["id"] for answer in answers]


@pytest.mark.parametrize(
    ("asked", "chosen"), [("2024-11-05", "2024-11-05"), ("1999-01-01", "2025-11-25"), (None, "2025-11-25")]
)
def test_the_version_is_negotiated(mcp: McpServer, asked: str | None, chosen: str) -> None:
    """One that is known is kept; for any other the newest that has a handshake is offered."""
    answer = mcp.answer_line(_spell(method="initialize", params={"protocolVersion": asked}))
    assert chosen == answer["result"]["protocolVersion"]


def test_an_unknown_version_without_a_handshake(mcp: McpServer) -> None:
    """The error names the versions that will do."""
    params = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2099-01-01"}}
    error = mcp.answer_line(_spell(method="tools/list", params=params))["error"]
    expected = (mcp_server.UNSUPPORTED_VERSION, {"supported": ["2026-07-28"], "requested": "2099-01-01"})
    assert expected == (error["code"], error["data"])


def test_the_documented_configuration_starts_it() -> None:
    """What the page gives to a client is a command line that this program takes."""
    (text,) = re.findall(r"```json\n(.*mcpServers.*)\n```", (find_docs() / "server.md").read_text("utf-8"))
    (server,) = json.loads(text)["mcpServers"].values()
    assert NAME == server["command"]
    name, *flags = server["args"]
    (command,) = [one for one in COMMANDS if one.name == name]
    assert callable(resolve_name(command.function))
    assert vars(build_parser(command).parse_args(flags))


def test_it_ends_with_its_input() -> None:
    """Exit code 0; nothing but messages is on standard output."""
    ended = subprocess.run(
        [sys.executable, *COMMAND], input=json.dumps(REQUEST), env=environment(), capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert (0, "") == (ended.returncode, ended.stderr)
    assert {} == json.loads(ended.stdout)["result"]


def test_a_bad_address_is_told_at_the_start() -> None:
    """One line, exit code 2."""
    flags = ["--url", "http://127.0.0.1:1/v1"]
    ended = subprocess.run(
        [sys.executable, *COMMAND, *flags], env=environment(), capture_output=True, text=True, timeout=60
    )
    assert (2, "", 1) == (ended.returncode, ended.stdout, len(ended.stderr.splitlines()))
    assert "--url: 'http://127.0.0.1:1/v1' is no server's address" in ended.stderr
