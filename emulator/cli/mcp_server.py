"""The command `mcp`: a server of the Model Context Protocol on standard input and output.

Its tools are the operations of a running emulator's admin API; it needs none to begin and to list them. Each line of
the input is a JSON-RPC message, and each line of the output answers one. It ends with its input.

Facts: https://modelcontextprotocol.io/specification/2025-11-25/basic (handshake, stdio, errors) and
https://modelcontextprotocol.io/specification/2026-07-28/basic (no handshake; each request names its version). The
library `mcp` would do the same and starts in 0.7 s; this loop and its tools start in 0.2 s.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Final

from emulator.cli.main import NAME
from emulator.cli.mcp_tools import Tool, make_tools
from emulator.client.connection import Connection, EmulatorError
from emulator.core.strict_json import BadJson, format_json, parse_json
from emulator.core.suggestions import describe_unknown
from emulator.core.version import VERSION
from emulator.settings import UsageError, load_settings

log = logging.getLogger("emulator")


def run_mcp(options: argparse.Namespace) -> int:
    """Answer the messages on standard input until it ends; raises UsageError for what is no address."""
    token = load_settings({"admin_token": options.admin_token}).admin_token
    try:
        connection = Connection(options.url, token)
    except EmulatorError as error:
        raise UsageError(f"--url: {error}") from None
    server = McpServer(connection, make_tools(), VERSION)
    server.answer_lines(sys.stdin.buffer, sys.stdout.buffer)
    return 0


class RpcError(Exception):
    """A message that is answered with a JSON-RPC error: its code, its text, and perhaps its data."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class McpServer:
    """Answers messages one after the other; each call of a tool is a request to the emulator at `connection`."""

    def __init__(self, connection: Connection, tools: Mapping[str, Tool], version: str) -> None:
        self._connection = connection
        self._tools = tools
        self._info = {"name": NAME, "title": "Image API Emulator", "version": version}
        self._methods: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
            "initialize": self._initialize,
            "server/discover": self._discover,
            "ping": self._ping,
            "tools/list": self._list_tools,
            "tools/call": self._call_tool,
        }

    def answer_lines(self, lines: BinaryIO, output: BinaryIO) -> None:
        """Write one line to `output` for each message in `lines` that wants an answer."""
        line = lines.readline(_LONGEST_LINE)
        while line:
            if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
                _skip_line(lines)
                answer = _format_error(None, RpcError(INVALID_REQUEST, f"a line of {_LONGEST_LINE} bytes or more"))
            else:
                answer = self.answer_line(line)
            if answer is not None:
                output.write(format_json(answer).encode("utf-8", "replace") + b"\n")
                output.flush()
            line = lines.readline(_LONGEST_LINE)

    def answer_line(self, line: bytes) -> Any:
        """Return the answer to a line: an object, a list of them for a list, or None where none is due."""
        if not line.strip():
            return None
        try:
            message, _ = parse_json(line)
        except BadJson as error:
            return _format_error(None, RpcError(PARSE_ERROR, f"the line is no JSON: {error}"))
        if isinstance(message, list) and message:  # the revision of 2025-03-26 has lists, and no other
            answers = [self._answer_message(one) for one in message]
            return [answer for answer in answers if answer is not None] or None
        return self._answer_message(message)

    def _answer_message(self, message: Any) -> Mapping[str, Any] | None:
        """Return the answer to one message; None to a notification, or to an answer, of which none is expected."""
        message_id = None
        try:
            if not isinstance(message, Mapping) or message.get("jsonrpc") != "2.0":
                raise RpcError(INVALID_REQUEST, 'the message is no object with "jsonrpc": "2.0"')
            if "method" not in message and ("result" in message or "error" in message):
                return None
            if "id" in message:
                message_id = _check_id(message["id"])
            method = message.get("method")
            if not isinstance(method, str):
                raise RpcError(INVALID_REQUEST, "the message has no method")
            if message_id is None:
                return None
            return {"jsonrpc": "2.0", "id": message_id, "result": self._answer_request(method, message.get("params"))}
        except RpcError as error:
            return _format_error(message_id, error)
        except Exception:  # a bug of ours; the client can still ask for something else
            log.exception("a message failed")
            return _format_error(message_id, RpcError(INTERNAL_ERROR, "the message failed; standard error says why"))

    def _answer_request(self, method: str, params: Any) -> Mapping[str, Any]:
        """Return the result of a request; raises RpcError."""
        if method not in self._methods:
            raise RpcError(METHOD_NOT_FOUND, describe_unknown("method", method, self._methods))
        if params is None:
            params = {}
        if not isinstance(params, Mapping):
            raise RpcError(INVALID_PARAMS, "params is no object")
        version = _read_version_in_meta(params)
        if version is not None and version not in STATELESS_VERSIONS:
            data = {"supported": [*STATELESS_VERSIONS], "requested": version}
            raise RpcError(UNSUPPORTED_VERSION, f"unsupported protocol version {version[:_LONGEST_NAME]!r}", data)
        result = self._methods[method](params)
        if version is None:
            return result
        return {**result, "resultType": "complete", "_meta": {_SERVER_INFO: self._info}}

    def _initialize(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        version = params.get("protocolVersion")
        if version not in HANDSHAKE_VERSIONS:
            version = HANDSHAKE_VERSIONS[-1]  # the client decides whether that will do
        return {"protocolVersion": version, "serverInfo": self._info, **self._describe()}

    def _discover(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"supportedVersions": [*STATELESS_VERSIONS], **self._describe(), **_CACHEABLE}

    def _describe(self) -> Mapping[str, Any]:
        instructions = _INSTRUCTIONS.format(address=self._connection.address)
        return {"capabilities": {"tools": {}}, "instructions": instructions}

    def _ping(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        return {}

    def _list_tools(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        if params.get("cursor") is not None:
            raise RpcError(INVALID_PARAMS, "unknown cursor; all tools are on one page")
        return {"tools": [tool.listed for tool in self._tools.values()], **_CACHEABLE}

    def _call_tool(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        name = params.get("name")
        if not isinstance(name, str):
            raise RpcError(INVALID_PARAMS, "name is missing, or no text")
        if name not in self._tools:
            raise RpcError(INVALID_PARAMS, describe_unknown("tool", name, self._tools))
        arguments = params.get("arguments")
        if arguments is None:
            arguments = {}
        if not isinstance(arguments, Mapping):
            raise RpcError(INVALID_PARAMS, "arguments is no object")
        try:
            return {"content": self._tools[name].call(self._connection, arguments), "isError": False}
        except (ValueError, EmulatorError) as error:
            text = str(error)
            if isinstance(error, EmulatorError) and error.status is None:
                text += f"; `{NAME} serve` starts one, and `{NAME} mcp --url URL` asks another"
            return {"content": [{"type": "text", "text": text}], "isError": True}


def _skip_line(lines: BinaryIO) -> None:
    """Read to the end of a line, without keeping it."""
    line = b" "
    while line and not line.endswith(b"\n"):
        line = lines.readline(_LONGEST_LINE)


def _check_id(message_id: Any) -> str | int:
    """Return the id of a message; raises RpcError where it is neither a text nor an integer."""
    if isinstance(message_id, str | int) and not isinstance(message_id, bool):
        return message_id
    raise RpcError(INVALID_REQUEST, "id is neither a text nor an integer")


def _read_version_in_meta(params: Mapping[str, Any]) -> str | None:
    """Return the protocol version that a request without a handshake names; None for any other request."""
    meta = params.get("_meta")
    if not isinstance(meta, Mapping) or _PROTOCOL_VERSION not in meta:
        return None
    return str(meta[_PROTOCOL_VERSION])


def _format_error(message_id: str | int | None, error: RpcError) -> Mapping[str, Any]:
    told = {"code": error.code, "message": str(error)}
    if error.data is not None:
        told["data"] = error.data
    return {"jsonrpc": "2.0", "id": message_id, "error": told}


PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
UNSUPPORTED_VERSION: Final = -32022
HANDSHAKE_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Revisions of the protocol that begin with `initialize`, the oldest first."""
STATELESS_VERSIONS: Final = ("2026-07-28",)
"""Revisions whose requests name the revision in `_meta`."""
_PROTOCOL_VERSION: Final = "io.modelcontextprotocol/protocolVersion"
_SERVER_INFO: Final = "io.modelcontextprotocol/serverInfo"
_LONGEST_LINE: Final = 2**22  # bytes; a server takes bodies of 1 MiB, and escapes in a text lengthen them
_LONGEST_NAME: Final = 100  # characters of a word of the client's that an error repeats
_CACHEABLE: Final = {"ttlMs": 0, "cacheScope": "private"}
"""Needed since 2026-07-28: the tools are those of this process, and another may have others."""
_INSTRUCTIONS: Final = (
    "Tools for the image API emulator at {address}, which stands in for image-generation gateways. Each of its "
    "sessions has its own calls, scenario and time; the session `latest` is the one used last. `calls` and `call` show "
    "what a client has sent, why a call was refused and which rule answered; `finding` explains a code; `playScenario` "
    "decides what goes wrong next; `verify` holds the calls against what was expected; `portability` says which other "
    "gateways would accept them; `coverage` shows which rules no call has met; `reset` begins a session again."
)
