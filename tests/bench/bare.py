"""The server beside which ours is measured: a bare aiohttp handler that reads JSON and returns 300 fixed bytes.

It does nothing that an emulator does (no contract, journal, session, picture), so it is what the library alone costs.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Final

from aiohttp import web


async def generate(request: web.Request) -> web.Response:
    """Read the body and answer."""
    await request.json()
    return web.Response(body=_REPLY, content_type="application/json")


async def serve() -> None:
    """Serve on a free port until SIGTERM; one line of JSON says where, as our own `serve --ready-json` does."""
    app = web.Application()
    app.router.add_post("/v1/images/generations", generate)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    print(json.dumps({"url": f"http://127.0.0.1:{port}", "port": port, "pid": os.getpid()}), flush=True)
    await asyncio.Event().wait()


_REPLY: Final = json.dumps({"created": 0, "data": [{"url": "x" * 261}]}).encode()  # 300 bytes

if __name__ == "__main__":
    asyncio.run(serve())
