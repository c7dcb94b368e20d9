"""Which gateway, and which of its operations, an address means.

Three ways lead to a gateway: its name as the first part of the path, its real host name, or being the default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emulator.core import yaml_file
from emulator.gateway import gateway as dialect
from emulator.gateway.errors import ErrorCatalogLoader
from emulator.gateway.gateway import Gateway
from emulator.gateway.operation import EDIT_LIMIT, GENERATE_LIMIT, Operation
from emulator.messages import Behavior, GatewayError
from emulator.validation.validator import RequestValidator

Others = Callable[[str, Behavior], RequestValidator | None]

_EDITS: Final = "/images/edits"
RESERVED: Final = ("_emulator", "pictures", "s")
"""Names that no gateway can have: the emulator's own first parts of a path."""


@dataclass(frozen=True)
class Route:
    """Where a call goes: `path` is the gateway's own, `operations` what can be done there, by method.

    `variables` are the values of those that the path has, such as a model's name.
    """

    validator: RequestValidator
    path: str
    operations: Mapping[str, Operation]
    variables: Mapping[str, str]

    @property
    def gateway(self) -> Gateway:
        """The gateway's behavior."""
        return self.validator.gateway

    def limit(self, method: str) -> int:
        """How many bytes of body are read before somebody says how many may come.

        Who does not know edits may know them in other behavior, and those are chosen by what has to be read first.
        """
        if method in self.operations:
            return self.operations[method].limit
        return EDIT_LIMIT if self.path.rstrip("/").endswith(_EDITS) else GENERATE_LIMIT

    def operation(self, method: str) -> Operation:
        """The operation that `method` means; raises GatewayError where there is none."""
        if method in self.operations:
            return self.operations[method]
        facts = {"method": method[:20], "path": self.path[:500]}
        if not self.operations:
            raise GatewayError("not_found", facts=facts, rule="paths", source="documented")
        allowed = ", ".join((*self.operations, "OPTIONS"))
        headers = (("Allow", allowed),)
        raise GatewayError("wrong_method", facts=facts, rule=f"paths: {allowed}", source="documented", headers=headers)


class GatewayRegistry:
    """All gateways of one server."""

    def __init__(self, validators: Iterable[RequestValidator], default: str, others: Others) -> None:
        """`default` names the gateway that answers where neither path nor host say which; raises InvalidFile.

        `others` makes the contract of a gateway in other behavior than the documented ones, None where it has none.
        """
        self._others = others
        self._in_behavior: dict[tuple[str, Behavior], RequestValidator] = {}
        self.validators = {validator.gateway.name: validator for validator in validators}
        if default not in self.validators:
            raise yaml_file.InvalidFile(f"--gateway {default!r} is unknown; known are {', '.join(self.validators)}")
        self.default = self.validators[default]
        self._by_host = {host: validator for validator in self.validators.values() for host in validator.gateway.hosts}

    def find(self, host: str, path: str) -> Route:
        """Where a call to `path` at `host` goes."""
        _, first, *rest = path.split("/", 2)
        validator = self.validators.get(first)
        if validator is not None:
            return _route(validator, "/" + "".join(rest))
        validator = self._by_host.get(host.partition(":")[0].lower())
        if validator is not None:
            return _route(validator, path)
        base = self.default.gateway.base
        if base != "/v1" and path.startswith("/v1/"):
            path = base + path[3:]  # the default gateway answers under /v1 too, whatever its own base
        return _route(self.default, path)

    def validator(self, name: str, behavior: Behavior) -> RequestValidator:
        """The contract of the gateway `name` in `behavior`; a gateway that has no other behavior keeps the documented.

        Raises InvalidFile where a file of our own is at fault, which the tests rule out.
        """
        if behavior == "documented":
            return self.validators[name]
        known = self._in_behavior.get((name, behavior))
        if known is None:  # read with the first call that wants it
            known = self._in_behavior[name, behavior] = self._others(name, behavior) or self.validators[name]
        return known

    def in_behavior(self, route: Route, behavior: Behavior) -> Route:
        """The same place of the gateway in `behavior`."""
        if behavior == route.gateway.behavior:
            return route
        return _route(self.validator(route.gateway.name, behavior), route.path)


def other(name: str, behavior: Behavior, catalog_loader: ErrorCatalogLoader | None = None) -> Gateway | None:
    """The gateway `name` in `behavior` , None where it has no such behavior; raises InvalidFile."""
    path = yaml_file.schemas() / behavior / f"{name}.yaml"
    return dialect.read(path, catalog_loader, behavior) if path.is_file() else None


def read(extra: Iterable[str]) -> list[Gateway]:
    """The gateways that ship, and those that the files `extra` describe; raises InvalidFile."""
    found: dict[str, Gateway] = {}
    catalog_loader = ErrorCatalogLoader()
    shipped = sorted(path for path in yaml_file.schemas().glob("*.yaml"))
    for path in (*shipped, *map(Path, extra)):
        gateway = dialect.read(path, catalog_loader)
        if gateway.name in RESERVED or gateway.name in found:
            why = f"is taken by {found[gateway.name].document.source.path}" if gateway.name in found else "is reserved"
            raise yaml_file.InvalidFile(f"{path}: the gateway's name {gateway.name!r} (the file's stem) {why}")
        found[gateway.name] = gateway
    return list(found.values())


def _route(validator: RequestValidator, path: str) -> Route:
    return Route(validator, path, *validator.gateway.at(path))
