from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, StreamingResponse

from held import chunks

VERSION = "1"
app = FastAPI()


@app.get("/version")
async def version():
    return PlainTextResponse(VERSION)


@app.post("/chat")
async def chat():
    return StreamingResponse(chunks(), media_type="text/event-stream")
