import os

from flask import Flask, Response

from held import halves, posted

VERSION = "1"
app = Flask(__name__)


@app.get("/version")
def version():
    return Response(VERSION, mimetype="text/plain")


@app.post("/post/<number>")
def post(number):
    posted("/" + number)
    return "done"


@app.get("/hold")
def hold():
    return Response(halves(), mimetype="application/octet-stream")


if __name__ == "__main__":
    # A common setup: a fixed port, and no reloader.
    app.run(port=int(os.environ.get("HARD_PORT", os.environ.get("PORT", "5000"))), use_reloader=False)
