"""Finds the gateway that an address means, and the operation of it.

Three ways lead to a gateway: its name as the first part of the path, its real host name, or being the default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from emulator.core.data_folders import find_schemas
from emulator.core.light_dataclass import dataclass
from emulator.core.suggestions import describe_known
from emulator.core.yaml_file import InvalidFile
from emulator.gateway.errors import ErrorCatalogLoader
from emulator.gateway.gateway import (
    EDIT_LIMIT,
    GENERATE_LIMIT,
    Gateway,
    Operation,
    load_gateway,
    load_shipped_gateway,
)
from emulator.gateway.refusals import refuse_method, refuse_path
from emulator.messages import Behavior
from emulator.validation.validator import RequestValidator

LoadValidator = Callable[[str, Behavior], RequestValidator | None]
"""Loads the contract of a gateway in a behavior; None where the gateway has no such behavior."""

RESERVED: Final = ("_emulator", "pictures", "s")
"""Names that no gateway can have: the emulator's own first parts of a path."""

_EDITS: Final = "/images/edits"


@dataclass(frozen=True)
class Route:
    """Where a call goes: `path` is the gateway's own, `operations` are those under that path, by method.

    `variables` are the values of the variables in the path, such as a model's name.
    """

    validator: RequestValidator
    path: str
    operations: Mapping[str, Operation]
    variables: Mapping[str, str]

    @property
    def gateway(self) -> Gateway:
        """The gateway in its behavior."""
        return self.validator.gateway

    def limit(self, method: str) -> int:
        """How many bytes of a body are read before its operation is known.

        A gateway without edits may have them in its other behavior, which the body may choose; so edits count by path.
        """
        if method in self.operations:
            return self.operations[method].limit
        if self.path.rstrip("/").endswith(_EDITS):
            return EDIT_LIMIT
        return GENERATE_LIMIT

    def operation(self, method: str) -> Operation:
        """The operation that `method` means; raises GatewayError where there is none."""
        if method in self.operations:
            return self.operations[method]
        if not self.operations:
            raise refuse_path(method, self.path, "paths", "documented")
        raise refuse_method(method, self.path, self.operations, "documented")


class GatewayRegistry:
    """All gateways of one server."""

    def __init__(self, validators: Iterable[RequestValidator], default: str, load_validator: LoadValidator) -> None:
        """`default` names the gateway that answers where neither path nor host name one; raises InvalidFile."""
        self.validators = {validator.gateway.name: validator for validator in validators}
        if default not in self.validators:
            raise InvalidFile(f"--gateway {default!r} is unknown; {describe_known(default, self.validators)}")
        self.default = self.validators[default]
        self._load_validator = load_validator
        self._other_validators: dict[tuple[str, Behavior], RequestValidator] = {}
        self._by_host = {host: validator for validator in self.validators.values() for host in validator.gateway.hosts}

    def find_route(self, host: str, path: str) -> Route:
        """Find where a call to `path` at `host` goes."""
        _, first, *rest = path.split("/", 2)
        validator = self.validators.get(first)
        if validator is not None:
            return _build_route(validator, "/" + "".join(rest))
        validator = self._by_host.get(host.partition(":")[0].lower())
        if validator is not None:
            return _build_route(validator, path)
        base = self.default.gateway.base
        if base != "/v1" and path.startswith("/v1/"):
            path = base + path[3:]  # the default gateway answers under /v1 too, whatever its own base
        return _build_route(self.default, path)

    def has_host(self, host: str) -> bool:
        """Return whether `host` is the real host of a gateway."""
        return host.partition(":")[0].lower() in self._by_host

    def find_validator(self, name: str, behavior: Behavior) -> RequestValidator:
        """Find the contract of the gateway `name` in `behavior`; without such a behavior the documented one.

        Raises InvalidFile where a file of our own is at fault, which the tests rule out.
        """
        if behavior == "documented":
            return self.validators[name]
        validator = self._other_validators.get((name, behavior))
        if validator is None:  # loaded with the first call that wants it
            validator = self._load_validator(name, behavior) or self.validators[name]
            self._other_validators[name, behavior] = validator
        return validator

    def change_behavior(self, route: Route, behavior: Behavior) -> Route:
        """Return the same path of the same gateway in `behavior`."""
        if behavior == route.gateway.behavior:
            return route
        return _build_route(self.find_validator(route.gateway.name, behavior), route.path)


def load_behavior(name: str, behavior: Behavior) -> Gateway | None:
    """Load the gateway `name` in a behavior other than `documented`; None where it has none. Raises InvalidFile."""
    path = find_schemas() / behavior / f"{name}.yaml"
    if not path.is_file():
        return None
    return load_shipped_gateway(path, behavior)


def load_gateways(extra: Iterable[str]) -> list[Gateway]:
    """Load the gateways that ship, and those that the files `extra` describe; raises InvalidFile."""
    found: dict[str, Gateway] = {}
    catalog_loader = ErrorCatalogLoader()
    loaded = [(path, load_shipped_gateway(path)) for path in sorted(find_schemas().glob("*.yaml"))]
    loaded += [(path, load_gateway(path, catalog_loader)) for path in map(Path, extra)]
    for path, gateway in loaded:
        name = f"{path}: the gateway's name {gateway.name!r} (the file's stem)"
        if gateway.name in found:
            raise InvalidFile(f"{name} is taken by {found[gateway.name].document.file.path}")
        if gateway.name in RESERVED:
            raise InvalidFile(f"{name} is reserved")
        found[gateway.name] = gateway
    return list(found.values())


def _build_route(validator: RequestValidator, path: str) -> Route:
    operations, variables = validator.gateway.find_operations(path)
    return Route(validator, path, operations, variables)
