"""What a capable programmer writes in forty lines: aiohttp in front and behind, uvloop underneath, no recording."""

import asyncio
import sys
from typing import Final

import uvloop
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web

HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"})


async def main(port: int, upstream: int) -> None:
    """Forward everything on ``port`` to ``upstream`` for ever."""
    session = ClientSession(
        connector=TCPConnector(limit=0),
        cookie_jar=DummyCookieJar(),
        timeout=ClientTimeout(total=None),
        auto_decompress=False,
    )

    async def forward(request: web.Request) -> web.StreamResponse:
        fields = [(name, value) for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP]
        url = f"http://127.0.0.1:{upstream}{request.raw_path}"
        async with session.request(request.method, url, headers=fields, data=await request.read()) as answer:
            response = web.StreamResponse(status=answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    response.headers.add(name, value)
            await response.prepare(request)
            async for data in answer.content.iter_any():
                await response.write(data)
            await response.write_eof()
            return response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", forward)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
