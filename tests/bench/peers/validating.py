"""A small server that judges calls by the contract, as people write one: `validating.py PORT jsonschema|jsonschema-rs`.

With jsonschema it is plain aiohttp; with jsonschema-rs it has uvloop too, which is as fast as such a server gets.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web


def make_check(library: str, schema: dict[str, Any]) -> Callable[[Any], bool]:
    """Return what tells whether a body is valid."""
    if library == "jsonschema":
        import jsonschema

        check: Callable[[Any], bool] = jsonschema.Draft202012Validator(schema).is_valid
        return check
    import jsonschema_rs

    return jsonschema_rs.Draft202012Validator(schema).is_valid


def make_app(library: str) -> web.Application:
    """An application that answers valid calls with 200, and others with 400."""
    contract = json.loads(Path(__file__).with_name("contract.json").read_text())
    ((path, item),) = contract["paths"].items()
    good, bad = (
        json.dumps(item["post"]["responses"][status]["content"]["application/json"]["example"]).encode()
        for status in ("200", "400")
    )
    is_valid = make_check(library, contract["components"]["schemas"]["DallE3"])

    async def answer(request: web.Request) -> web.Response:
        """Judge the body."""
        if is_valid(await request.json()):
            return web.Response(body=good, content_type="application/json")
        return web.Response(body=bad, content_type="application/json", status=400)

    app = web.Application()
    app.router.add_post(path, answer)
    return app


async def serve(port: int, library: str) -> None:
    """Serve until the process is ended."""
    runner = web.AppRunner(make_app(library), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


def main(port: int, library: str) -> None:
    """Serve with uvloop where the library is jsonschema-rs."""
    if library == "jsonschema-rs":
        import uvloop

        uvloop.run(serve(port, library))
    else:
        asyncio.run(serve(port, library))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
