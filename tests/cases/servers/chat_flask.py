from flask import Flask, Response

from held import chunks

VERSION = "1"
app = Flask(__name__)


@app.get("/version")
def version():
    return VERSION


@app.post("/chat")
def chat():
    return Response(chunks(), mimetype="text/event-stream")
