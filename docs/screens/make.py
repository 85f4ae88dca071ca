#!/usr/bin/env python3
"""Makes the pictures of docs/screens from the real program: runs it on a terminal in a small project, draws what it wrote.

    cargo build --examples && python3 docs/screens/make.py target/debug/devrun
"""
import html
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
DEVRUN = pathlib.Path(sys.argv[1]).resolve()
PORTAL = DEVRUN.parent / "examples" / "portal"
COLUMNS = 96
COLOURS = {30: "#6b7280", 31: "#f2867f", 32: "#6fcf97", 33: "#e9c46a", 34: "#7aa7f7", 35: "#c792ea", 36: "#66d9d9", 37: "#e6edee"}


class Terminal:
    """One program on a terminal of its own."""

    def __init__(self, directory, arguments):
        environment = {"PATH": f"{DEVRUN.parent}:{os.environ['PATH']}", "HOME": str(directory.parent), "TERM": "xterm-256color",
                       "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "COLUMNS": str(COLUMNS), "RUST_LOG": "warn", "DEVRUN_NO_TITLE": "true"}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            os.execvpe(arguments[0], arguments, environment)
        subprocess.run(["stty", "cols", str(COLUMNS), "rows", "40"], stdin=self.fd, check=False)
        self.text = ""

    def read(self, until, seconds=60):
        """Reads until the text shows `until`, a regular expression; None: until the program ends."""
        deadline = time.monotonic() + seconds
        while until is None or not re.search(until, self.text):
            if time.monotonic() > deadline:
                raise SystemExit(f"{until!r} never came:\n{self.text}")
            if not select.select([self.fd], [], [], 0.1)[0]:
                continue
            try:
                chunk = os.read(self.fd, 65536)
            except OSError:
                chunk = b""
            if not chunk:
                if until is not None:
                    raise SystemExit(f"ended before {until!r}:\n{self.text}")
                break
            self.text += chunk.decode(errors="replace")

    def stop(self):
        os.kill(self.pid, signal.SIGINT)
        self.read(None)
        os.waitpid(self.pid, 0)


def lines_of(text):
    """What is left on the screen: a carriage return begins a line anew, an erasure empties it."""
    lines = []
    for line in text.replace("\r\n", "\n").split("\n"):
        for part in line.split("\r"):
            shown = re.split(r"\x1b\[[0-2]?K", part)[-1]
            line = shown if shown else line
        lines.append(re.sub(r"\x1b\[[0-9;?]*[A-Za-ln-z]", "", line.split("\r")[-1]))
    while lines and not re.sub(r"\x1b\[[0-9;]*m", "", lines[-1]).strip():
        lines.pop()
    return lines


def wrapped(line):
    """The rows that a line takes on the terminal; colours go on from row to row."""
    rows, row, width, colour = [], "", 0, ""
    for part in re.findall(r"\x1b\[[0-9;]*m|.", line):
        if len(part) > 1:
            colour = "" if part == "\x1b[0m" else colour + part
        elif width == COLUMNS:
            rows.append(row)
            row, width = colour, 0
        row += part
        width += len(part) == 1
    return rows + [row]


def spans(line):
    style = {}
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if part.startswith("\x1b["):
            for code in (int(code or 0) for code in part[2:-1].split(";")):
                if code == 0:
                    style = {}
                elif code == 1:
                    style["font-weight"] = "bold"
                elif code == 2:
                    style["opacity"] = ".65"
                elif code in COLOURS or code - 60 in COLOURS:
                    style["fill"] = COLOURS.get(code) or COLOURS[code - 60]
        elif part:
            rules = "".join(f' {key}="{value}"' for key, value in style.items())
            yield f"<tspan{rules}>{html.escape(part)}</tspan>"


def draw(name, title, text):
    lines = [row for line in lines_of(text) for row in wrapped(line)]
    height = 22 * len(lines) + 64
    rows = "".join(f'<text x="18" y="{58 + 22 * row}" xml:space="preserve">{"".join(spans(line))}</text>' for row, line in enumerate(lines))
    (HERE / f"{name}.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{COLUMNS * 8 + 36}" height="{height}" role="img" aria-label="{html.escape(title)}">'
        f'<rect width="100%" height="100%" rx="10" fill="#10161a"/>'
        '<circle cx="22" cy="20" r="6" fill="#f2867f"/><circle cx="42" cy="20" r="6" fill="#e9c46a"/><circle cx="62" cy="20" r="6" fill="#6fcf97"/>'
        f'<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="13.2" fill="#e6edee">{rows}</g></svg>\n')
    print(f"docs/screens/{name}.svg: {len(lines)} lines")


def prompt(command):
    return f"\x1b[32m$\x1b[0m \x1b[1m{command}\x1b[0m\r\n"


def ask(project, name, command):
    """A command that ends by itself."""
    terminal = Terminal(project, command.split())
    terminal.read(None)
    os.waitpid(terminal.pid, 0)
    draw(name, command, prompt(command) + terminal.text)


with tempfile.TemporaryDirectory() as directory:
    project = pathlib.Path(directory).resolve() / "portal"
    (project / "src").mkdir(parents=True)
    (project / ".watchignore").write_text("# saved by the server\n/downloads/\n/data/\n/debug/\n")
    shutil.copy(HERE.parent.parent / "examples/portal/tenders.json", project / "src/tenders.json")
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    shutil.copy(PORTAL, project / "portal")

    command = "devrun --proxy 5870 -- ./portal --content src --document-time 2"
    terminal = Terminal(project, command.split())
    terminal.read("ready in")
    # An edit so soon after a start is taken for one of many.
    time.sleep(2)
    download = subprocess.Popen(["curl", "-s", "-o", "/dev/null", "http://127.0.0.1:5870/api/tender/118/download"])
    while not list(project.glob("downloads/**/*.part")):
        time.sleep(0.02)
    source = project / "src/tenders.json"
    source.write_text(source.read_text().replace('"edition": "1"', '"edition": "2"'))
    terminal.read("edition 2")
    download.wait()
    time.sleep(1)
    terminal.stop()
    draw("run", "an edit while a download is in flight", prompt(command) + terminal.text)

    # The status line is there as long as something takes long: each picture is of a moment.
    (project / "build.sh").write_text("echo '   Compiling server v0.1.0'\nsleep 3\necho '    Finished in 3.0 s'\n")
    command = ["devrun", "--build", "sh build.sh", "--proxy", "5870", "--", "./portal", "--content", "src", "--document-time", "8"]
    shown = "devrun --build 'sh build.sh' --proxy 5870 -- ./portal --content src --document-time 8"
    terminal = Terminal(project, command)
    terminal.read(r"building.*2\.\d s")
    draw("building", "the status line while a build runs", prompt(shown) + terminal.text)
    terminal.read("ready")
    download = subprocess.Popen(["curl", "-s", "-o", "/dev/null", "http://127.0.0.1:5870/api/tender/118/download?while=saving"])
    while not list(project.glob("downloads/**/*.part")):
        time.sleep(0.02)
    source.write_text(source.read_text().replace('"edition": "2"', '"edition": "3"'))
    terminal.read(r"waiting for 1 response, [1-9].*\(2\.\d s")
    draw("waiting", "the status line while a download is waited for", prompt(shown) + terminal.text)
    download.wait()
    terminal.stop()

    command = "devrun --proxy 5870 -- ./portal --content src"
    terminal = Terminal(project, command.split())
    terminal.read("ready")
    time.sleep(2)
    text = source.read_text()
    source.write_text(text.replace(",", ";", 1))
    terminal.read("goes on serving")
    time.sleep(3)
    source.write_text(text.replace('"edition": "3"', '"edition": "4"'))
    terminal.read("edition 4[^$]*ready in")
    terminal.stop()
    draw("crash", "an edit that does not start, and its mending", prompt(command) + terminal.text)

    (project / "downloads").mkdir(exist_ok=True)
    (project / "build.sh").unlink()
    ask(project, "explain", "devrun explain downloads/118/boq.zip src/tenders.json .git/index")
    ask(project, "list", "devrun list")
    (project / ".watchignore").write_text("/downloads/\n!/downloads/keep.py\nsrc/*.{json,html}\n[a-\n/downloads/\n")
    ask(project, "check", "devrun check --expect-ignored data/118.json")
