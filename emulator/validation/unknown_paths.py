"""Says what to mend about an address that means no operation: the gateway's name, the base URL, the path, the method.

The gateway's own answer to such a call says little, or nothing at all, so this is a finding of the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from emulator.core.suggestions import nearest_word
from emulator.findings import Finding
from emulator.gateway.gateway import Gateway
from emulator.messages import Request
from emulator.validation.registry import Route, look_up_host


def find_mistake(request: Request, route: Route, prefix: str | None, gateways: Mapping[str, Gateway]) -> Finding:
    """Return the finding about a call whose path or method its gateway does not know.

    `prefix` is the session that the path names, `gateways` are those of the server by name.
    """
    origin = request.origin
    if prefix is not None:
        origin += f"/s/{prefix}"
    path = request.path[:_LONGEST]
    asked = f"{request.method[:20]} {path}"
    if route.operations:
        return Finding("unknown_path", f"{asked}: the method is wrong; this path takes {', '.join(route.operations)}")
    gateway = route.gateway
    own = path
    if prefix is not None:
        own = path.removeprefix(f"/s/{prefix}")
    first = own.removeprefix("/").partition("/")[0]
    if own == route.path and first not in gateways:  # the path names no gateway, so that the default one answers
        named = _find_meant_gateway(first, own, gateways)
        if named is not None:
            base_url = f"{origin}/{named}{gateways[named].base}"
            return Finding("unknown_path", f"{asked}: no gateway is named {first!r}; {named}'s base URL is {base_url}")
    base_url = f"{origin}/{gateway.name}{gateway.base}"
    host = urlsplit(request.origin).hostname or ""
    if own == route.path and look_up_host(dict.fromkeys(gateway.hosts, gateway.name), host) is not None:
        base_url = f"{origin}{gateway.base}"  # at its real host a gateway needs no name
    mistake = _explain(gateway, route.path[:_LONGEST])
    end = f" The base URL is {base_url}" if mistake.endswith("?") else f"; the base URL is {base_url}"
    return Finding("unknown_path", f"{asked}: {mistake}{end}")


def _find_meant_gateway(first: str, path: str, gateways: Mapping[str, Gateway]) -> str | None:
    """Return the gateway that the first part of a path almost names, or that stands in a later part; None: no one."""
    for part in path.split("/")[2:]:
        if part in gateways:
            return part
    if first.lower() in _BASE_PARTS:
        return None
    return nearest_word(first, gateways)


def _explain(gateway: Gateway, path: str) -> str:
    """Return what is wrong with a path of `gateway` that means no operation."""
    base = gateway.base
    parts = path.strip("/").split("/")
    for begin in range(len(parts) + 1):
        end = "/" + "/".join(parts[begin:])
        beginning = "/".join(["", *parts[:begin]])
        if begin and not end.startswith(f"{base}/") and gateway.find_operations(end)[0]:  # known beside the base
            return f"{beginning} is too much before {end}"
        if begin < len(parts) and gateway.find_operations(base + end)[0]:
            if beginning == base:  # what differs is a slash at the end
                return f"did you mean {base}{end}?"
            return _explain_beginning(beginning, base)
    if path.strip("/") in ("", base.strip("/")):
        return "this is no operation; " + _list_operations(gateway)
    tail = _shorten(path, gateway)
    for other in _OTHER_APIS:
        if f"/{tail}".endswith(f"/{other}"):
            return f"{other} is another API, which is not answered here; " + _list_operations(gateway)
    nearest = _find_nearest(tail, gateway)
    if nearest is not None:
        return f"did you mean {nearest}?"
    return _list_operations(gateway)


def _shorten(path: str, gateway: Gateway) -> str:
    """Return a path without the parts that say nothing about which operation of `gateway` is meant."""
    dropped = {*_BASE_PARTS, *gateway.base.split("/"), gateway.name}
    return "/".join(part for part in path.strip("/").split("/") if part.lower() not in dropped)


def _explain_beginning(beginning: str, base: str) -> str:
    """Return what is wrong in front of a known operation: `beginning` stands in the place of `base`."""
    if not beginning:
        return f"{base} is missing before the operation"
    if beginning == base + base:
        return f"{base} is doubled"
    return f"the path begins with {beginning}, and should with {base}"


def _find_nearest(tail: str, gateway: Gateway) -> str | None:
    """Return the path of `gateway` that is most like the shortened path `tail`; None where none is like it."""
    import difflib  # 4 ms, and needed only for a message

    paths: dict[str, str] = {}
    for path in gateway.operations:
        if "{" not in path:
            paths.setdefault(_shorten(path, gateway), path.rstrip("/"))
    tail = tail.lower()
    for known, path in paths.items():
        if tail in known.split("/"):  # `images` or `generations` alone
            return path
    for known, path in paths.items():
        if tail.startswith(f"{known}/"):  # `images/generations` where `images` is the path
            return path
    nearest = difflib.get_close_matches(tail, paths, n=1, cutoff=_CLOSE_ENOUGH)
    if not nearest:
        return None
    return paths[nearest[0]]


def _list_operations(gateway: Gateway) -> str:
    """Return the paths that the gateway has; a path with a slash at its end is the same as one without."""
    paths = dict.fromkeys(path.rstrip("/") for path in gateway.operations)
    return f"{gateway.name} has the paths {', '.join(paths)}"


_LONGEST: Final = 200  # characters of a path that a message shows; it comes from the network
_CLOSE_ENOUGH: Final = 0.75  # `images/generate` is near `images/generations`, `chat/completions` is not
_OTHER_APIS: Final = ("chat/completions", "completions", "responses", "messages", "embeddings", "audio/speech")
"""How paths end at which some clients ask for pictures, or for what is not pictures; no gateway here has them."""
_BASE_PARTS: Final = ("v1", "api", "v2")
"""Parts of base paths; they say nothing about which operation is meant."""
