"""Finds the gateway that an address means, and the operation of it.

Three ways lead to a gateway: its name as the first part of the path, its real host name, or being the default. A path
of its own at its real host counts before a gateway's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from emulator.core.data_folders import find_schemas
from emulator.core.light_dataclass import dataclass
from emulator.core.shared_property import shared_property
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
from emulator.image.link_query import LinkQuery
from emulator.messages import Behavior
from emulator.validation.validator import RequestValidator

MakeValidator = Callable[[Gateway], RequestValidator]
"""Makes the contract of a gateway."""

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


def load_behavior(name: str, behavior: Behavior) -> Gateway | None:
    """Load the gateway `name` in a behavior other than `documented`; None where it has none. Raises InvalidFile."""
    path = find_schemas() / behavior / f"{name}.yaml"
    if not path.is_file():
        return None
    return load_shipped_gateway(path, behavior)


class Gateways(Mapping[str, Gateway]):
    """Gateways by name. One that ships is loaded when it is first asked for: most runs use one or two of them.

    The names are known without that, and so is whether a name is one.
    """

    def __init__(self, shipped: Mapping[str, Path], own: Mapping[str, Gateway]) -> None:
        """`shipped` are the files of those that ship, by name; `own` are the user's, which are loaded already."""
        self.own = own
        self._shipped = shipped

    def __getitem__(self, name: str) -> Gateway:
        """Return the gateway `name`; raises KeyError where there is none."""
        if name in self.own:
            return self.own[name]
        return load_shipped_gateway(self._shipped[name])

    def __contains__(self, name: object) -> bool:  # the one that is inherited loads the gateway
        return name in self.own or name in self._shipped

    def __iter__(self) -> Iterator[str]:
        yield from self._shipped
        yield from self.own

    def __len__(self) -> int:
        return len(self._shipped) + len(self.own)


class Validators(Mapping[str, RequestValidator]):
    """The contracts of gateways by name, each made when it is first asked for."""

    def __init__(self, gateways: Mapping[str, Gateway], make_validator: MakeValidator) -> None:
        self._gateways = gateways
        self._make_validator = make_validator
        self.made: dict[str, RequestValidator] = {}
        """Those that have been asked for."""

    def __getitem__(self, name: str) -> RequestValidator:
        """Return the contract of the gateway `name`; raises KeyError where there is none."""
        validator = self.made.get(name)
        if validator is None:
            # Of two threads that ask at a time, both get the same object, which caches verdicts by identity.
            validator = self.made.setdefault(name, self._make_validator(self._gateways[name]))
        return validator

    def __contains__(self, name: object) -> bool:  # the one that is inherited loads the gateway
        return name in self._gateways

    def __iter__(self) -> Iterator[str]:
        return iter(self._gateways)

    def __len__(self) -> int:
        return len(self._gateways)


class GatewayRegistry:
    """All gateways of one server."""

    def __init__(
        self,
        gateways: Gateways,
        default: str,
        make_validator: MakeValidator,
        load_other: Callable[[str, Behavior], Gateway | None] = load_behavior,
    ) -> None:
        """`default` names the gateway that answers where neither path nor host name one; raises InvalidFile.

        `load_other` loads a gateway in a behavior other than `documented`; None where it has none.
        """
        self.gateways = gateways
        self._load_other = load_other
        self.validators = Validators(gateways, make_validator)
        if default not in self.validators:
            raise InvalidFile(f"--gateway {default!r} is unknown; {describe_known(default, self.validators)}")
        self._make_validator = make_validator
        self._other_validators: dict[tuple[str, Behavior], RequestValidator] = {}
        self.default = self.validators[default]
        for name in gateways.own:
            sum(self.validators[name].compile_schemas())  # the user's files are checked before anything is answered

    def find_route(self, host: str, path: str) -> Route:
        """Find where a call to `path` at `host` goes.

        At a gateway's real host its own paths come before the names of gateways.
        """
        _, first, *rest = path.split("/", 2)
        validator = self.validators.get(first)
        if validator is not None and not self._is_path_of_host(host, path):
            return _build_route(validator, "/" + "".join(rest))
        name = self._find_by_host(host)
        if name is not None:
            return _build_route(self.validators[name], path)
        base = self.default.gateway.base
        if base != "/v1" and path.startswith("/v1/"):
            path = base + path[3:]  # the default gateway answers under /v1 too, whatever its own base
        return _build_route(self.default, path)

    def _is_path_of_host(self, host: str, path: str) -> bool:
        """Return whether `path` is one of the gateway whose real host `host` is.

        An address of this machine is no real host here: all gateways are at it, by their names.
        """
        if _is_this_machine(host):
            return False
        name = self._find_by_host(host)
        return name is not None and self.gateways[name].has_path(path)

    def has_host(self, host: str) -> bool:
        """Return whether `host` is the real host of a gateway."""
        return self._find_by_host(host) is not None

    def find_link_query(self, name: str) -> LinkQuery | None:
        """Return the query that links to pictures of the gateway `name` have; None where they have none."""
        gateway = self.gateways.get(name)
        return None if gateway is None else gateway.link_query

    def find_validator(self, name: str, behavior: Behavior) -> RequestValidator:
        """Find the contract of the gateway `name` in `behavior`; without such a behavior the documented one.

        Raises InvalidFile where a file of our own is at fault, which the tests rule out.
        """
        if behavior == "documented":
            return self.validators[name]
        validator = self._other_validators.get((name, behavior))
        if validator is None:  # loaded with the first call that wants it
            gateway = self._load_other(name, behavior)
            validator = self.validators[name]
            if gateway is not None:
                validator = self._make_validator(gateway)
            validator = self._other_validators.setdefault((name, behavior), validator)
        return validator

    def change_behavior(self, route: Route, behavior: Behavior) -> Route:
        """Return the same path of the same gateway in `behavior`."""
        if behavior == route.gateway.behavior:
            return route
        return _build_route(self.find_validator(route.gateway.name, behavior), route.path)

    def _find_by_host(self, host: str) -> str | None:
        """Return the gateway whose real host `host` is; None where it is no one's."""
        name = host.partition(":")[0].lower()
        found = look_up_host(self._own_hosts, name)
        if found is None and _is_domain(name):  # only then are the files of all gateways read
            found = look_up_host(self._hosts, name)
        return found

    @shared_property
    def _own_hosts(self) -> Mapping[str, str]:
        """The hosts of the user's own gateways."""
        return {host: name for name, gateway in self.gateways.own.items() for host in gateway.hosts}

    @shared_property
    def _hosts(self) -> Mapping[str, str]:
        """The hosts of all gateways."""
        return {host: name for name, gateway in self.gateways.items() for host in gateway.hosts}


def find_gateways(extra: Iterable[str]) -> Gateways:
    """Return the gateways that ship, and those that the files `extra` describe, which it loads; raises InvalidFile."""
    shipped = {path.stem: path for path in sorted(find_schemas().glob("*.yaml"))}
    own: dict[str, Gateway] = {}
    catalog_loader = ErrorCatalogLoader()
    for path in map(Path, extra):
        gateway = load_gateway(path, catalog_loader)
        name = f"{path}: the gateway's name {gateway.name!r} (the file's stem)"
        taken = shipped.get(gateway.name)
        if gateway.name in own:
            taken = own[gateway.name].document.file.path
        if taken is not None:
            raise InvalidFile(f"{name} is taken by {taken}")
        if gateway.name in RESERVED:
            raise InvalidFile(f"{name} is reserved")
        own[gateway.name] = gateway
    return Gateways(shipped, own)


def load_gateways(extra: Iterable[str]) -> list[Gateway]:
    """Load the gateways that ship, and those that the files `extra` describe; raises InvalidFile."""
    return list(find_gateways(extra).values())


def look_up_host(gateways: Mapping[str, str], host: str) -> str | None:
    """Return the gateway of a host, or of all hosts of its domain, which `*.` stands for; None where there is none.

    `gateways` are names by host.
    """
    return gateways.get(host) or gateways.get(f"*.{host.partition('.')[2]}")


def _is_domain(host: str) -> bool:
    """Whether a host may be a gateway's real one, which has a domain: no IP address, and no name of this machine's."""
    _, dot, last = host.rpartition(".")
    return bool(dot) and not last.isdecimal()


def _is_this_machine(host: str) -> bool:
    """Whether a host is `localhost` or an IP address."""
    name = host.partition(":")[0].lower()
    return name == "localhost" or name[:1] == "[" or name.rpartition(".")[2].isdecimal()


def _build_route(validator: RequestValidator, path: str) -> Route:
    operations, variables = validator.gateway.find_operations(path)
    return Route(validator, path, operations, variables)
