"""Finds by the address of a call in a journal the operation that it went to, and the model that its path names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode

from emulator.gateway.gateway import Gateway, Operation
from emulator.session.sessions import split_path


class CalledAddress(NamedTuple):
    """Where a call went: `path` is the gateway's own, as the client spelled it, with these `variables` in it."""

    gateway: Gateway
    operation: Operation
    path: str
    variables: Mapping[str, str]

    @property
    def model(self) -> str | None:
        """The model that the path names; None where the body does."""
        if self.operation.names_model is None:
            return None
        return self.variables.get(self.operation.names_model)

    def describe(self, query: str) -> str | None:
        """Return method and path, and what the gateway reads of `query`; None where they are the usual ones."""
        path, pairs = quote(self.path, safe=_AS_SPELLED), []
        if self.operation.query is not None:
            pairs = parse_qsl(query, keep_blank_values=True)
            pairs = [pair for pair in pairs if pair[0] in self.operation.query.parameters]
        if pairs:
            path += f"?{urlencode(pairs)}"
        elif self.operation is self.gateway.find_usual_operation(self.operation.name):
            return None
        return f"{self.operation.method} {path}"


def find_address(gateway: Gateway, method: str, path: str) -> CalledAddress | None:
    """Return where a call to `gateway` went; None where the gateway has no such operation.

    `path` is the whole path of the call: a session and the gateway's name may stand before the gateway's own.
    """
    _, path = split_path(path)
    own_paths = [path]
    if path.startswith(f"/{gateway.name}/"):  # the name stands before the path, or begins it at the gateway's real host
        own_paths.append(path.removeprefix(f"/{gateway.name}"))
    elif path.startswith("/v1/"):
        own_paths.append(gateway.base + path.removeprefix("/v1"))  # the default gateway answers there too
    for own_path in own_paths:
        operations, variables = gateway.find_operations(own_path)
        if method in operations:
            return CalledAddress(gateway, operations[method], own_path, variables)
    return None


_AS_SPELLED: Final = "/%:@!$&'()*+,;="
"""The characters of a path that stay as the client spelled them; what it escaped is escaped once."""
