"""A portal that saves each document chunk by chunk, and archives, documents and notes about it, while the client waits."""
import http.client
import itertools
import json
import os
import pathlib
import sqlite3

from flask import Flask, Response, request

EDITION = "1"
UPSTREAM = os.environ["UPSTREAM"]
DOWNLOADS, DATA, DEBUG = (pathlib.Path(name) for name in ("downloads", "data", "debug"))

app = Flask(__name__)
numbers = itertools.count()


@app.get("/api/version")
def version():
    return Response(json.dumps({"edition": EDITION}, separators=(",", ":")), mimetype="application/json")


def record(tender, path):
    """Writes what is known about a download into a database in the project."""
    with sqlite3.connect("tenders.db", timeout=60) as database:
        database.execute("create table if not exists downloads (tender text, path text)")
        database.execute("insert into downloads values (?, ?)", (tender, str(path)))


def saved(tender, path):
    """Yields each chunk once it is saved, and writes what is known beside it."""
    record(tender, path)
    upstream = http.client.HTTPConnection(UPSTREAM, timeout=60)
    upstream.request("GET", f"/documents/{tender}.zip")
    answer = upstream.getresponse()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        while chunk := answer.read1(65536):
            file.write(chunk)
            file.flush()
            yield chunk
    path.with_suffix(".pdf").write_bytes(b"%PDF-1.7\n")
    for folder, suffix in ((DATA, "json"), (DEBUG, "html")):
        folder.mkdir(exist_ok=True)
        (folder / f"{path.stem}.{suffix}").write_text(json.dumps({"tender": tender, "file": str(path)}))
    record(tender, path.with_suffix(".pdf"))


@app.get("/api/tender/<tender>/download")
def download(tender):
    path = DOWNLOADS / tender / f"{os.getpid()}-{next(numbers)}.zip"
    chunks = saved(tender, path)
    if request.args.get("while") == "saving":
        return Response(chunks, mimetype="application/zip")
    for _ in chunks:
        pass
    return Response(path.read_bytes(), mimetype="application/zip")
