"""Writes a call as text that people paste: curl, the openai clients, a scenario's rule, and a verification."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from shlex import quote
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from emulator.core.light_dataclass import dataclass
from emulator.messages import KINDS
from emulator.session.replay import find_holder


class CannotWrite(Exception):
    """A call that a client cannot make; the message is one line that says why."""


class KeyHeader(NamedTuple):
    """The header of a gateway in which a key is sent: behind `scheme`, or alone where that is None."""

    name: str
    scheme: str | None


@dataclass(frozen=True)
class CallText:
    """A call as JournalEntry.to_json shows it, without any credential; `origin` is the server's address.

    `path_model` is the model that the call's path names; None where the body does. `key_header` is None where the
    gateway takes no key. `own_prompt` is the gateway's own name for the prompt; None where that is OpenAI's.
    """

    call: Mapping[str, Any]
    origin: str
    path_model: str | None = None
    key_header: KeyHeader | None = KeyHeader("authorization", "bearer")
    own_prompt: str | None = None

    @property
    def given(self) -> Mapping[str, Any]:
        """The parameters as they came; none where the body was no object."""
        given = self.call["given"]
        if isinstance(given, Mapping):
            return given
        return {}

    @property
    def is_form(self) -> bool:
        """Whether the call was a form."""
        return self.find_header(self.call["headers"], "content-type").lower().startswith("multipart/")

    @property
    def url(self) -> str:
        """The whole address of the call."""
        url = f"{self.origin}{self.call['path']}"
        if self.call["query"]:
            url += f"?{self.call['query']}"
        return url

    @property
    def base_url(self) -> str:
        """The address that a client of OpenAI's would be given; raises CannotWrite for a call that none makes."""
        self.find_operation()
        return self.origin + re.sub(_OPERATION_PATH, "", self.call["path"])

    def find_operation(self) -> str:
        """Return the operation by the path that a client of OpenAI's asks for; raises CannotWrite where none does."""
        method, path = self.call["method"], self.call["path"]
        if self.own_prompt is not None:
            line = f"the openai client cannot make this call: it sends a prompt, which is {self.own_prompt!r} here"
            raise CannotWrite(f"{line}. As curl it is whole")
        for operation, (own_method, ending) in _CLIENT_PATHS.items():
            if method == own_method and path.rstrip("/").endswith(ending):
                return operation
        known = ", ".join(f"{own_method} …{ending}" for own_method, ending in _CLIENT_PATHS.values())
        line = f"the openai client cannot make this call, which is {method[:_LONGEST_METHOD]} {path[:_LONGEST_PATH]}"
        raise CannotWrite(f"{line}: it has {known}. As curl it is whole")

    @property
    def own_key_header(self) -> str | None:
        """The header of a key that no client of OpenAI's sends by itself; None where there is no such header."""
        if self.key_header is None or self.key_header.scheme is not None:
            return None
        return self.key_header.name

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters of the query, such as api-version, but for credentials."""
        pairs = parse_qsl(self.call["query"], keep_blank_values=True)
        return {name: value for name, value in pairs if "***" not in value}

    @property
    def own_headers(self) -> Mapping[str, str]:
        """The headers for the emulator: the session, and what the call asked for."""
        headers = self.call["headers"].items()
        return {name: value for name, value in headers if name.lower() in _OWN_HEADERS and value != "***"}

    @staticmethod
    def find_header(headers: Mapping[str, str], wanted: str) -> str:
        """Return the value of a header, "" where there is none; `wanted` is in lower case."""
        return next((value for name, value in headers.items() if name.lower() == wanted), "")

    def list_files(self) -> Sequence[tuple[str, str, str]]:
        """Return parameter, file name and the address of its bytes for each file of the call."""
        at = f"{self.origin}/_emulator/sessions/{self.call['session']}/uploads"
        files = []
        for upload in self.call["uploads"]:
            ending = upload["format"] or "bin"
            plain = re.sub(r"[^A-Za-z0-9._-]+", "-", upload["filename"] or "").strip("-.")
            name = plain or f"{re.sub(r'[^A-Za-z0-9]+', '-', upload['name']).strip('-')}.{ending}"
            files.append((upload["name"], name, f"{at}/{upload['sha256']}"))
        return files


def write_curl(text: CallText) -> str:
    """Return the call as commands of a shell: one that gets each file back, and the call itself."""
    call = text.call
    words = [f"curl {quote(text.url)}"]
    if call["method"] != "POST":
        words.append(f"-X {quote(call['method'])}")
    if text.own_key_header is not None:
        words.append(f'-H {quote(f"{text.own_key_header}: ")}"$OPENAI_API_KEY"')
    elif text.key_header is not None:
        words.append('-H "Authorization: Bearer $OPENAI_API_KEY"')
    words += [f"-H {quote(f'{name}: {value}')}" for name, value in text.own_headers.items()]
    before = []
    if text.is_form and call["unreadable"] is None:
        for name, value in _list_texts(text.given):
            words.append(f"--form-string {quote(f'{name}={value}')}")
        for name, file, url in text.list_files():
            before.append(f"curl -sS -o {quote(file)} {quote(url)}\n")
            words.append(f"-F {quote(f'{name}=@{file}')}")
    elif call["unreadable"] is not None:
        content_type = text.find_header(call["headers"], "content-type")
        words.append(f"-H {quote(f'Content-Type: {content_type}')}")
        words.append(f"--data-binary {quote(call['unreadable']['beginning'])}")
    elif call["given"] is not None:
        words.append("-H 'Content-Type: application/json'")
        before, body = _write_json_body(text)
        words.append(body)
    return "".join(before) + " \\\n  ".join(words) + "\n"


def _write_json_body(text: CallText) -> tuple[list[str], str]:
    """Return the commands that come before curl, and how it gets a JSON body, with its pictures in their places.

    A picture in Base64 may be longer than a word of a command: the body comes through a pipe.
    """
    given, files = copy.deepcopy(text.call["given"]), text.list_files()
    plain = _format_json(given)
    if not files:
        return [], f"-d {quote(plain)}"
    mark = "@picture "
    while mark in plain:
        mark = f"@{mark}"
    for index, upload in enumerate(text.call["uploads"]):
        holder, last = find_holder(given, upload["name"])
        if not str(holder[last]).startswith(("http://", "https://")):  # what a link leads to stays a link
            prefix = f"data:{upload['media_type']};base64," if upload["media_type"] else ""
            holder[last] = f"{prefix}{mark}{index}@"
    before = []
    first, *others = _format_json(given).split(mark)
    lines = [f"printf %s {quote(first)}"]
    for other in others:
        number, _, behind = other.partition("@")
        _, file, url = files[int(number)]
        before.append(f"curl -sS -o {quote(file)} {quote(url)}\n")
        lines += [f"base64 < {quote(file)} | tr -d '\\n'", f"printf %s {quote(behind)}"]
    before.append("{\n  " + "\n  ".join(lines) + "\n} | ")
    return before, "--data-binary @-"


def write_python(text: CallText) -> str:
    """Return the call as a program for the package `openai` of Python."""
    setup = [f"base_url={_to_python(text.base_url)}", 'api_key=os.environ["OPENAI_API_KEY"]']
    if text.query:
        setup.append(f"default_query={_to_python(text.query)}")
    headers = [f"{_to_python(name)}: {_to_python(value)}" for name, value in text.own_headers.items()]
    if text.own_key_header is not None:
        headers.append(f'{_to_python(text.own_key_header)}: os.environ["OPENAI_API_KEY"]')
    if headers:
        setup.append(f"default_headers={{{', '.join(headers)}}}")
    lines = ["import os", "", "from openai import OpenAI", "", f"client = OpenAI({', '.join(setup)})"]
    method = _PYTHON_METHODS[text.find_operation()]
    known, further = _split_parameters(text)
    arguments = [f"    {name}={_to_python(value)},\n" for name, value in known.items()]
    for name, files in _group_files(text).items():
        opened = [f'open({_to_python(file)}, "rb")' for file in files]
        arguments.append(f"    {name}={_join(opened)},\n")
    if further:
        arguments.append(f"    extra_body={_to_python(further)},\n")
    call = f"answer = client.{method}()"
    if arguments:
        call = f"answer = client.{method}(\n{''.join(arguments)})"
    return "\n".join([*lines, call, "print(answer)\n"])


def write_node(text: CallText) -> str:
    """Return the call as a program for the package `openai` of npm."""
    setup = [f"baseURL: {json.dumps(text.base_url)}", "apiKey: process.env.OPENAI_API_KEY"]
    if text.query:
        setup.append(f"defaultQuery: {_format_json(text.query)}")
    headers = [f"{_format_json(name)}: {_format_json(value)}" for name, value in text.own_headers.items()]
    if text.own_key_header is not None:
        headers.append(f"{_format_json(text.own_key_header)}: process.env.OPENAI_API_KEY")
    if headers:
        setup.append(f"defaultHeaders: {{{', '.join(headers)}}}")
    lines = ['import OpenAI from "openai";', "", f"const client = new OpenAI({{ {', '.join(setup)} }});"]
    known, further = _split_parameters(text)
    arguments = [f"  {json.dumps(name)}: {_format_json(value)},\n" for name, value in {**known, **further}.items()]
    for name, files in _group_files(text).items():
        opened = [f"fs.createReadStream({json.dumps(file)})" for file in files]
        arguments.append(f"  {name}: {_join(opened)},\n")
    if text.call["uploads"]:
        lines.insert(0, 'import fs from "node:fs";')
    method = _NODE_METHODS[text.find_operation()]
    call = f"const answer = await client.{method}();"
    if arguments:
        call = f"const answer = await client.{method}({{\n{''.join(arguments)}}});"
    return "\n".join([*lines, call, "console.log(answer);\n"])


def write_rule(text: CallText) -> str:
    """Return a scenario whose rule gives calls such as this one the same answer."""
    name = f"call-{text.call['number']}"
    when = [f"      {field}: {_format_json(value)}\n" for field, value in _list_fields(text).items()]
    lines = [f"scenario: {name}\nrules:\n  - name: {name}\n    when:\n", *when, "    answers:\n"]
    lines.append(f"      - {_write_answer(text.call)}\n")
    if text.call["latency"]:
        lines.append(f"        latency: {text.call['latency']:g}s\n")
    return "".join(lines)


def write_verify(text: CallText) -> str:
    """Return the verification, in Python, that such a call came and was answered like this one."""
    fields = {**_list_fields(text), "status": text.call["status"]}
    if text.call["refused"] is not None:
        fields["refused"] = text.call["refused"]["kind"]
    fields = {name: value for name, value in fields.items() if value is not None}
    further = {name: value for name, value in fields.items() if name not in _VERIFIED_WORDS}
    arguments = [f"    {name}={_to_python(value)},\n" for name, value in fields.items() if name in _VERIFIED_WORDS]
    if further:  # a parameter that only some gateways have
        arguments.append(f"    when={_to_python(further)},\n")
    return f"image_api.verify(\n    at_least=1,\n{''.join(arguments)})\n"


def _write_answer(call: Mapping[str, Any]) -> str:
    refused, response = call["refused"], call["response"]
    if refused is not None and refused["kind"] in KINDS:
        return f"refuse: {refused['kind']}"
    if response is None:
        return "draw: {}"
    body = response["body"]
    if call["pictures"]:
        revised = None
        if isinstance(body, Mapping) and isinstance(body.get("data"), list) and body["data"]:
            revised = body["data"][0].get("revised_prompt")
        if isinstance(revised, str):
            return f"draw: {{revised_prompt: {_format_json(revised.replace('{', '{{').replace('}', '}}'))}}}"
        return "draw: {}"
    content_type = CallText.find_header(response["headers"], "content-type") or "application/json"
    content = f"json: {_format_json(body)}"
    if isinstance(body, str) or body is None:
        content = f"text: {_format_json(body or '')}"
    return f"canned: {{status: {response['status']}, content_type: {_format_json(content_type)}, {content}}}"


def _list_fields(text: CallText) -> dict[str, Any]:
    """Return the fields by which a rule or a verification knows this call again."""
    call = text.call
    fields: dict[str, Any] = {"operation": call["operation"], "gateway": call["gateway"]}
    for name, value in text.given.items():
        is_plain = isinstance(value, str | int | float) and re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) is not None
        if is_plain and name not in _NO_FIELDS and "***" not in str(value):
            fields[name] = value
    if text.path_model is not None:
        fields["model"] = text.path_model
    return {name: value for name, value in fields.items() if value is not None}


def _split_parameters(text: CallText) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters that the clients know, and the others; pictures in JSON are files here."""
    in_json = {name.partition("[")[0].partition(".")[0] for name, _, _ in text.list_files()}
    given = {name: value for name, value in text.given.items() if text.is_form or name not in in_json}
    if text.path_model is not None:
        given.setdefault("model", text.path_model)
    known = {name: value for name, value in given.items() if name in _CLIENT_PARAMETERS}
    return known, {name: value for name, value in given.items() if name not in known}


def _group_files(text: CallText) -> dict[str, list[str]]:
    """Return the names of files by the parameter that the clients have for them."""
    grouped: dict[str, list[str]] = {}
    for name, file, _ in text.list_files():
        parameter = re.split(r"[\[.]", name, maxsplit=1)[0]
        grouped.setdefault({"images": "image"}.get(parameter, parameter), []).append(file)
    return grouped


def _list_texts(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, str(value))
        for name, values in given.items()
        for value in (values if isinstance(values, list) else [values])
    ]


def _join(values: Sequence[str]) -> str:
    if len(values) == 1:
        return values[0]
    return f"[{', '.join(values)}]"


def _format_json(value: Any) -> str:
    """Return JSON, which is YAML too: no character that YAML does not take stays as it is."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]", _escape_character, text)


def _escape_character(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _to_python(value: Any) -> str:
    if isinstance(value, str):
        return _format_json(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_format_json(str(name))}: {_to_python(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_to_python, value))}]"
    return repr(value)


WRITERS: Final[Mapping[str, Callable[[CallText], str]]] = {
    "curl": write_curl,
    "python": write_python,
    "node": write_node,
    "rule": write_rule,
    "verify": write_verify,
}
"""The kinds of text, and what writes each."""
_OPERATION_PATH: Final = r"/(images/[a-z]+|models)/?$"
_CLIENT_PATHS: Final[Mapping[str, tuple[str, str]]] = {
    "generate": ("POST", "/images/generations"),
    "edit": ("POST", "/images/edits"),
    "vary": ("POST", "/images/variations"),
    "models": ("GET", "/models"),
}
"""The paths of the calls that the programs make."""
_LONGEST_METHOD: Final = 20  # characters of a method in a message; it comes from the network
_LONGEST_PATH: Final = 200  # characters of a path in a message
_OWN_HEADERS: Final = frozenset({"x-emulator", "x-emulator-session"})
_CLIENT_PARAMETERS: Final = frozenset({
    "prompt", "model", "n", "size", "quality", "style", "background", "moderation", "output_compression",
    "output_format", "partial_images", "response_format", "stream", "user", "input_fidelity",
})  # fmt: skip
"""The parameters that both openai clients have; Python's takes others in `extra_body`."""
_VERIFIED_WORDS: Final = _CLIENT_PARAMETERS | {"operation", "gateway", "status", "refused"}
"""The fields that `verify` takes as words of their own; others stand in its `when`."""
_PYTHON_METHODS: Final = {
    "generate": "images.generate", "edit": "images.edit", "vary": "images.create_variation", "models": "models.list",
}  # fmt: skip
_NODE_METHODS: Final = {
    "generate": "images.generate", "edit": "images.edit", "vary": "images.createVariation", "models": "models.list",
}  # fmt: skip
_NO_FIELDS: Final = frozenset(
    {"stream", "operation", "gateway", "status", "state", "rule", "turn", "headers", "uploads"}
)
"""Parameters that are no fields of a rule: the names of a call's own fields are not looked up in its body."""
