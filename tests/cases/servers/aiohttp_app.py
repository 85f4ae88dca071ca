import asyncio
import os
import socket
import sys

from aiohttp import web

VERSION = "1"
HALF = 2 << 20


async def version(_):
    return web.Response(text=VERSION)


async def hold(request):
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"a" * HALF)
    while not os.path.exists("data/release"):
        await asyncio.sleep(0.01)
    await response.write(b"b" * HALF)
    return response


app = web.Application()
app.add_routes([web.get("/version", version), web.get("/hold", hold)])
if sys.argv[1] == "fd":
    web.run_app(app, sock=socket.socket(fileno=int(sys.argv[2])))
else:
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[2]))
