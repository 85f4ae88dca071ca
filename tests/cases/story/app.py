"""The portal of the story: Flask's development server, which saves each document chunk by chunk into the project."""
import http.client
import itertools
import json
import os
import pathlib
import sys

from flask import Flask, Response, request

EDITION = "1"
UPSTREAM = sys.argv[1]
DOWNLOADS, DATA, DEBUG = (pathlib.Path(name) for name in ("downloads", "data", "debug"))

app = Flask(__name__)
numbers = itertools.count()


@app.get("/api/version")
def version():
    return Response(json.dumps({"edition": EDITION}, separators=(",", ":")), mimetype="application/json")


def saved(tender, path):
    """Yields each chunk once it is saved, and writes what is known beside it."""
    upstream = http.client.HTTPConnection(UPSTREAM, timeout=60)
    upstream.request("GET", f"/documents/{tender}.zip")
    answer = upstream.getresponse()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        while chunk := answer.read1(65536):
            file.write(chunk)
            file.flush()
            yield chunk
    for folder, suffix in ((DATA, "json"), (DEBUG, "html")):
        folder.mkdir(exist_ok=True)
        (folder / f"{path.stem}.{suffix}").write_text(json.dumps({"tender": tender, "file": str(path)}))


@app.get("/api/tender/<tender>/download")
def download(tender):
    path = DOWNLOADS / tender / f"{os.getpid()}-{next(numbers)}.zip"
    chunks = saved(tender, path)
    if request.args.get("while") == "saving":
        return Response(chunks, mimetype="application/zip")
    for _ in chunks:
        pass
    return Response(path.read_bytes(), mimetype="application/zip")


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "5000")), threaded=True, use_reloader=False)
