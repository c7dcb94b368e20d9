"""A client of the emulator's own paths that holds every reply against their description, as the server shows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.conftest import Served


class Described:
    """Asks a server; `headers` go with each request."""

    def __init__(self, served: Served, **headers: str) -> None:
        self._base = f"{served.url}/_emulator"
        self._client = httpx.Client(headers=headers, verify=False)
        document: Mapping[str, Any] = self._client.get(f"{self._base}/openapi.json").json()
        self.paths: Mapping[str, Any] = document["paths"]
        self._document = document
        self._registry: Registry[Any] = Registry().with_resource("urn:api", DRAFT202012.create_resource(document))

    def __call__(self, method: str, path: str, json: Any = None, **more: Any) -> httpx.Response:
        """Ask for `path`, which begins behind /_emulator; a reply that is not as described fails."""
        reply = self._client.request(method, self._base + path, json=json, **more)
        assert "no-store" == reply.headers["cache-control"]
        assert "access-control-allow-origin" not in reply.headers
        self._hold(method, path.partition("?")[0], reply)
        return reply

    def get(self, path: str) -> Any:
        """What a GET of `path` shows; anything but 200 fails."""
        reply = self("GET", path)
        assert 200 == reply.status_code, reply.text
        return reply.json()

    def error(self, method: str, path: str, json: Any = None, **more: Any) -> tuple[int, str | None, str]:
        """Status, param and message of a request that must be refused, in one line."""
        reply = self(method, path, json, **more)
        body = reply.json()
        assert ["error"] == list(body), body
        assert ["message", "type", "param", "code"] == list(body["error"])
        assert ("emulator_error", None) == (body["error"]["type"], body["error"]["code"])
        assert "\n" not in body["error"]["message"]
        return reply.status_code, body["error"]["param"], body["error"]["message"]

    def _hold(self, method: str, path: str, reply: httpx.Response) -> None:
        """Fail unless the description has this status, this content type and this body."""
        if reply.status_code == 405 or (reply.status_code in (401, 403, 404) and not self._template(path)):
            schema: Any = {"$ref": "urn:api#/components/schemas/Error"}
        else:
            operation = self.paths[self._template(path)][{"HEAD": "get"}.get(method, method.lower())]
            response = operation["responses"][str(reply.status_code)]
            if "$ref" in response:
                response = self._document["components"]["responses"][response["$ref"].rpartition("/")[2]]
            kind = reply.headers["content-type"].partition(";")[0]
            schema = response["content"][kind]["schema"]
            if kind != "application/json":
                return
            schema = _absolute(schema)
        if method != "HEAD":
            Draft202012Validator(schema, registry=self._registry).validate(reply.json())

    def _template(self, path: str) -> str:
        """The path of the description that `path` is one of, "" where there is none."""
        for template in self.paths:
            pattern = re.sub(r"\\{[a-z]+\\}", "[^/]*", re.escape(template))
            if re.fullmatch(pattern, "/_emulator" + path):
                return template
        return ""


def _absolute(node: Any) -> Any:
    """`node` with its references leading into the description, from wherever it is used."""
    if isinstance(node, Mapping):
        return {k: f"urn:api{v}" if k == "$ref" else _absolute(v) for k, v in node.items()}
    return [_absolute(part) for part in node] if isinstance(node, list) else node
