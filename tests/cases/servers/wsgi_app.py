from held import halves

VERSION = "1"


def app(environ, start_response):
    held = environ["PATH_INFO"] == "/hold"
    start_response("200 OK", [("Content-Type", "application/octet-stream" if held else "text/plain")])
    return halves() if held else [VERSION.encode()]


if __name__ == "__main__":
    import socket
    import sys

    import waitress

    if sys.argv[1] == "fd":
        waitress.serve(app, sockets=[socket.socket(fileno=int(sys.argv[2]))])
    else:
        waitress.serve(app, host="127.0.0.1", port=int(sys.argv[2]), threads=16)
