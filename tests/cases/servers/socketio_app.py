import os

from flask import Flask
from flask_socketio import SocketIO, emit

from held import posted

VERSION = "1"
app = Flask(__name__)
# The server sends no ping during a test, so a poll hangs until there is a message or the proxy ends it.
socketio = SocketIO(app, async_mode="threading", ping_interval=600, ping_timeout=600)


@app.get("/version")
def version():
    return VERSION


@socketio.on("say")
def say(text):
    posted(text)
    emit("said", VERSION + " " + text)


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), allow_unsafe_werkzeug=True)
