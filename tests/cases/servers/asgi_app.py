import asyncio
import os

VERSION = "1"
HALF = 2 << 20


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": VERSION})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    if scope["path"] != "/hold":
        await send({"type": "http.response.body", "body": VERSION.encode()})
        return
    await send({"type": "http.response.body", "body": b"a" * HALF, "more_body": True})
    while not os.path.exists("data/release"):
        await asyncio.sleep(0.01)
    await send({"type": "http.response.body", "body": b"b" * HALF})
