#!/usr/bin/env python3
"""devrun beside its peers: the same measurements of each tool from outside, in turns, on one machine.

    python3 benches/peers.py [MEASUREMENT]... [--bin DIR]... [--tools LIST] [--rounds N]

Every tool that is found on PATH (or in a --bin directory, which comes first) runs with its default settings in a
fresh tree, and restarts a tiny program that writes down when it began. What is not found is left out. `floor` is no
tool but the least that the kernel allows: a C program that waits on inotify, kills the child and starts it anew, with
no quiet time, no comparing, and no care for what the child has started.

Needs Linux, Python 3.9 and a C compiler; no other package, and leaves nothing behind. Figures of different machines,
or of different runs on a busy one, are not to be compared; ratios within a run are.
"""

import argparse
import contextlib
import math
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

MARK = "PEERS_RUN"
CHILD = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
/* child LOG SOURCE STOP_MS: says when it began and what SOURCE holds, then waits for the end. */
static volatile sig_atomic_t told;
static void tell(int number) { told = number; }
int main(int argc, char **argv) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    char text[64] = "", line[160];
    int source = open(argv[2], O_RDONLY);
    if (source >= 0) {
        ssize_t got = read(source, text, sizeof text - 1);
        text[got > 0 ? got : 0] = 0;
        text[strcspn(text, "\n")] = 0;
        close(source);
    }
    int log = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    int length = snprintf(line, sizeof line, "start %ld.%09ld %d %s\n", (long)now.tv_sec, now.tv_nsec, getpid(), text);
    if (write(log, line, length) < 0) return 1;
    alarm(600);
    int milliseconds = atoi(argv[3]);
    if (!milliseconds) for (;;) pause();
    int stops[] = {SIGTERM, SIGINT, SIGUSR2, SIGHUP};
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    sigdelset(&all, SIGALRM);
    for (int at = 0; at < 4; at++) { signal(stops[at], tell); sigdelset(&all, stops[at]); }
    while (!told) sigsuspend(&all);
    struct timespec pause_for = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    while (nanosleep(&pause_for, &pause_for)) {}
    if (write(log, "stopped\n", 8) < 0) return 1;
    return 0;
}
"""
FLOOR = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>
/* floor COMMAND...: restarts it whenever a file below the working directory was written or moved in. */
extern char **environ;
static int queue;
static void place(const char *dir) {
    inotify_add_watch(queue, dir, IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_MOVED_FROM);
    DIR *open = opendir(dir);
    if (!open) return;
    char path[4096];
    for (struct dirent *entry; (entry = readdir(open));) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.' || !strcmp(entry->d_name, "downloads")) continue;
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        place(path);
    }
    closedir(open);
}
static pid_t start(char **words) {
    pid_t child = vfork();
    if (!child) { execv(words[0], words); _exit(127); }
    return child;
}
int main(int argc, char **argv) {
    queue = inotify_init1(IN_CLOEXEC);
    place(".");
    pid_t child = start(argv + 1);
    char events[65536] __attribute__((aligned(8)));
    for (ssize_t got; (got = read(queue, events, sizeof events)) > 0;) {
        int counts = 0;
        for (char *at = events; at < events + got;) {
            struct inotify_event *event = (void *)at;
            counts |= event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO);
            at += sizeof *event + event->len;
        }
        if (!counts) continue;
        kill(child, SIGTERM);
        waitpid(child, 0, 0);
        child = start(argv + 1);
    }
}
"""
# Python servers restart a whole interpreter; its very first line tells when.
SITE = """
import os, sys, time
words = " ".join(getattr(sys, "orig_argv", sys.argv))
if "spawn_main" in words or (os.environ.get("WERKZEUG_RUN_MAIN") and "serve.py" in words):
    now = time.monotonic()
    try:
        text = open(os.environ["PEERS_SOURCE"]).readline().strip()
    except OSError:
        text = ""
    with open(os.environ["PEERS_LOG"], "a") as log:
        log.write(f"start {now:.9f} {os.getpid()} {text}\\n")
"""
APP = """
import socket
async def app(scope, receive, send):
    pass
"""
SERVE = """
import sys
from werkzeug.serving import run_simple
options = {"use_reloader": True, "reloader_type": sys.argv[1], "exclude_patterns": ["*/downloads/*"]}
run_simple("127.0.0.1", 0, lambda environ, start: [], **options)
"""
BACON = """
default_job = "peers"
[jobs.peers]
command = ["{child}", "{log}", "{source}", "{stop}"]
default_watch = false
watch = ["."]
need_stdout = false
background = false
on_change_strategy = "kill_then_restart"
{grace}
"""


class Run:
    """One run of one tool in one tree."""

    def __init__(self, bench, tool, tree, stop=0):
        self.bench, self.tree, self.kind = bench, tree, tool
        self.log, self.source = bench.scratch / f"log-{uuid.uuid4().hex}", tree / "src" / "app.py"
        self.mark = uuid.uuid4().hex
        child = [str(bench.child), str(self.log), str(self.source), str(stop)]
        environment = dict(
            os.environ, PEERS_LOG=str(self.log), PEERS_SOURCE=str(self.source), TERM="xterm", **{MARK: self.mark}
        )
        environment["PATH"] = os.pathsep.join([*bench.bins, environment["PATH"]])
        if tool.python:
            environment["PYTHONPATH"] = str(bench.site)
        (tree / "bacon.toml").write_text(
            BACON.format(child=child[0], log=child[1], source=child[2], stop=stop, grace=tool.extra)
        )
        self.launched = time.monotonic()
        self.tool = subprocess.Popen(
            tool.command(child, tree), shell=tool.shell, cwd=tree, env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )

    def lines(self):
        try:
            return self.log.read_text().splitlines()
        except FileNotFoundError:
            return []

    def starts(self):
        """When the child began, and what it saw."""
        lines = [line.split(" ", 3) for line in self.lines() if line.startswith("start ")]
        return [(float(words[1]), words[3] if len(words) > 3 else "") for words in lines]

    def wait(self, count, seconds):
        """Waits until the child has begun so often; gives the times or None."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            starts = self.starts()
            if len(starts) >= count:
                return starts
            time.sleep(0.002)
        return None

    def quiet(self, seconds):
        """Waits until the child has not begun anew for so long."""
        known = -1
        while len(self.starts()) != known:
            known = len(self.starts())
            time.sleep(seconds)
        return self.starts()

    def processes(self, child=False):
        """The tool's own processes: everything that has inherited the mark, but the child."""
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                environment = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
                program = os.readlink(f"/proc/{entry}/exe")
                words = Path(f"/proc/{entry}/cmdline").read_bytes()
            except OSError:
                continue
            serves = b"spawn_main" in words
            if f"{MARK}={self.mark}".encode() in environment:
                if child or not (serves or program == str(self.bench.child)):
                    found.append(int(entry))
        return found

    def used(self):
        """Milliseconds of CPU and context switches so far, of each thread of the tool."""
        used = {}
        for pid in self.processes():
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    place = Path(f"/proc/{pid}/task/{task}")
                    lines = (place / "status").read_text().splitlines()
                    switches = sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
                    used[task] = (int((place / "schedstat").read_text().split()[0]) / 1e6, switches)
            except OSError:
                pass
        return used

    def memory(self):
        """KiB that it uses, shared pages by their share."""
        total = 0
        for pid in self.processes():
            try:
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
            except OSError:
                pass
        return total

    def watches(self):
        """Watches in the kernel."""
        total = 0
        for pid in self.processes():
            try:
                for fd in os.listdir(f"/proc/{pid}/fd"):
                    if os.readlink(f"/proc/{pid}/fd/{fd}") == "anon_inode:inotify":
                        total += Path(f"/proc/{pid}/fdinfo/{fd}").read_text().count("inotify wd:")
            except OSError:
                pass
        return total

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.tool.poll() is None:
                self.tool.send_signal(number)
                try:
                    self.tool.wait(5)
                except subprocess.TimeoutExpired:
                    pass
        left = self.processes(child=True)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.log.unlink(missing_ok=True)


class Tool:
    """How a tool is told to restart the child for what counts in a tree; `downloads/` does not."""

    def __init__(self, name, program, words, *, shell=False, python=False, extra="", version="--version"):
        self.name, self.program, self.words = name, program, words
        self.shell, self.python, self.extra, self.version = shell, python, extra, version
        # Its reloader runs in the server's own process.
        self.inside = name.startswith("werkzeug")
        # The smallest debounce that it can be told: measured for its latency alone.
        self.is_variant = name.endswith(("-d 0ms", "-d 1ms", "without grace"))

    def command(self, child, tree):
        return self.words(child, tree)


def line(words):
    return " ".join(map(str, words))


def tools(bench):
    child_of = lambda *before: lambda child, tree: [*before, *child]
    entr = (
        "find . -path ./downloads -prune -o -path ./.git -prune -o -type f ! -name bacon.toml -print"
        " | exec entr -n -r {}"
    )
    uvicorn = ["uvicorn", "app:app", "--port", "0", "--reload", "--reload-include", "*", "--reload-exclude", "downloads"]
    watchfiles = ["watchfiles", "--ignore-paths", "downloads"]
    # The interpreter that flask was installed for.
    python = str(Path(shutil.which("flask", path=bench.path) or "flask").with_name("python"))
    werkzeug = lambda kind: lambda *_: [python, "serve.py", kind]
    nodemon = ["nodemon", "--watch", ".", "--ext", "py,txt", "--ignore", "downloads/", "--exec"]
    return [
        Tool("floor", str(bench.floor), child_of(str(bench.floor))),
        Tool("devrun", "devrun", child_of("devrun", "-q", "--")),
        Tool("devrun -d 1ms", "devrun", child_of("devrun", "-q", "-d", "1ms", "--")),
        Tool("devrun -d 0ms", "devrun", child_of("devrun", "-q", "-d", "0ms", "--")),
        Tool("bacon", "bacon", lambda *_: ["bacon", "--headless"]),
        Tool("bacon without grace", "bacon", lambda *_: ["bacon", "--headless"], extra='grace_period = "none"'),
        Tool("watchexec", "watchexec", child_of("watchexec", "-q", "-r", "--shell=none", "--")),
        Tool("watchexec -d 1ms", "watchexec", child_of("watchexec", "-q", "-r", "-d", "1ms", "--shell=none", "--")),
        Tool("nodemon", "nodemon", lambda child, tree: [*nodemon, line(child)]),
        Tool("entr", "entr", lambda child, tree: entr.format(line(child)), shell=True, version=""),
        Tool("watchfiles", "watchfiles", lambda child, tree: [*watchfiles, line(child), str(tree)]),
        Tool("uvicorn --reload", "uvicorn", lambda *_: uvicorn, python=True),
        Tool("werkzeug stat", "flask", werkzeug("stat"), python=True),
        Tool("werkzeug watchdog", "flask", werkzeug("watchdog"), python=True),
    ]


class Bench:
    def __init__(self, arguments, scratch):
        self.scratch, self.rounds = scratch, arguments.rounds
        self.bins = [str(Path(one).resolve()) for one in arguments.bin]
        self.path = os.pathsep.join([*self.bins, os.environ["PATH"]])
        self.child, self.floor, self.site = scratch / "child", scratch / "floor", scratch / "site"
        for text, program in ((CHILD, self.child), (FLOOR, self.floor)):
            subprocess.run(
                ["cc", "-O2", "-w", "-x", "c", "-", "-o", str(program)], input=text, text=True, check=True
            )
        self.site.mkdir()
        (self.site / "sitecustomize.py").write_text(SITE)
        wanted = arguments.tools.split(",") if arguments.tools else None
        self.tools = [
            tool for tool in tools(self) if self.found(tool) and (not wanted or tool.name in wanted)
        ]

    def found(self, tool):
        return shutil.which(tool.program, path=self.path)

    def tree(self, files=200, ignored=0):
        """`files` files that count and `ignored` ones in downloads/, twenty to a directory."""
        tree = Path(tempfile.mkdtemp(dir=self.scratch, prefix="tree-")).resolve()
        (tree / "src").mkdir()
        (tree / "downloads").mkdir()
        for top, count in (("src", files), ("downloads", ignored)):
            for at in range(math.ceil(count / 20)):
                directory = tree / top / f"d{at // 50}" / f"d{at}"
                directory.mkdir(parents=True)
                for number in range(20):
                    (directory / f"f{number}.py").write_text(f"# {at} {number}\n")
        (tree / ".gitignore").write_text("downloads/\n")
        # bacon reads .gitignore only where something is committed.
        for words in (["init", "-q"], ["add", ".gitignore"], ["-c", "user.name=p", "-c", "user.email=p@p", "commit", "-qm", "p"]):
            subprocess.run(["git", "-C", str(tree), *words], check=True)
        (tree / "src" / "app.py").write_text("v0\n")
        (tree / "app.py").write_text(APP)
        (tree / "serve.py").write_text(SERVE)
        return tree

    def run(self, tool, tree, settle=True, **more):
        run = Run(self, tool, tree, **more)
        if settle and not run.wait(1, 30):
            run.__exit__()
            raise TimeoutError(f"{tool.name} starts no child")
        if settle:
            time.sleep(1.5)
        return run


def cost(before, after):
    """What the threads that are still there have used between."""
    of = lambda at: sum(used[at] - before.get(task, (0, 0))[at] for task, used in after.items())
    return of(0), of(1)


def save(path, text):
    path.write_text(text)


def save_atomically(path, text):
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    os.replace(fresh, path)


def in_turns(bench, measure):
    """Each tool once per round, in another order each time; what it gives is gathered by tool."""
    tools = [tool for tool in bench.tools if not tool.is_variant]
    results = {tool.name: [] for tool in tools}
    for _ in range(bench.rounds):
        for tool in random.sample(tools, len(tools)):
            try:
                results[tool.name].append(measure(tool))
            except TimeoutError as error:
                print(f"  {error}", file=sys.stderr)
    return results


def flat(lists):
    return [one for some in lists for one in some]


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def median(values, digits=1):
    values = [value for value in values if value is not None]
    return f"{statistics.median(values):,.{digits}f}" if values else "-"


def spread(values):
    values = [value for value in values if value is not None]
    return f"{statistics.median(values):.1f} / {percentile(values, 0.95):.1f}" if values else "-"


def latency(bench):
    """ms from a save to the new child's first instruction, p50 / p95; what a restart costs the tool"""
    with contextlib.ExitStack() as stack:
        runs = {}
        for tool in bench.tools:
            try:
                runs[tool.name] = stack.enter_context(bench.run(tool, bench.tree()))
            except TimeoutError as error:
                print(f"  {error}: left out", file=sys.stderr)
        times = {name: ([], []) for name in runs}
        lost, before = dict.fromkeys(runs, 0), {name: run.used() for name, run in runs.items()}
        saves = 12 * bench.rounds
        # All run at once and are saved to in turns, so that what else the machine does meets all alike.
        for number in range(saves):
            for name, run in random.sample(list(runs.items()), len(runs)):
                known, began = len(run.quiet(0.03)), time.monotonic()
                (save, save_atomically)[number % 2](run.source, f"v{number + 1} {random.random()}\n")
                starts = run.wait(known + 1, 4)
                if starts:
                    times[name][number % 2].append((starts[known][0] - began) * 1000)
                lost[name] += starts is None
        rows = {}
        for name, run in runs.items():
            cpu, switches = (used / saves for used in cost(before[name], run.used()))
            # A server that is its own reloader is another process each time.
            costs = ["-", "-"] if run.kind.inside else [f"{cpu:.1f}", f"{switches:.0f}"]
            rows[name] = [*map(spread, times[name]), str(lost[name]), *costs]
    return ["save", "atomic save", "not seen", "ms of CPU", "context switches"], rows


def watching(bench, sizes=((1000, 0), (10_000, 0), (1_000, 9_000))):
    """ms from launch to all watches in place (to the child's start); watches; MB"""
    columns, rows = [], {tool.name: [] for tool in bench.tools if not tool.is_variant}
    for files, ignored in sizes:
        tree = bench.tree(files, ignored)

        def measure(tool):
            with bench.run(tool, tree, settle=False) as run:
                placed, last, before = run.launched, 0, run.launched
                while before < run.launched + 40 and not (run.starts() and before - placed > 3):
                    before = time.monotonic()
                    if (now := run.watches()) != last:
                        last, placed = now, before
                    time.sleep(max(0.001, time.monotonic() - before))
                starts = run.wait(1, 10) or [(math.nan, "")]
                return (placed - run.launched) * 1000, (starts[0][0] - run.launched) * 1000, last, run.memory() / 1024

        results = in_turns(bench, measure)
        columns.append(f"{files + ignored:,} files" + (", 90 % ignored" if ignored else ""))
        for name, runs in results.items():
            if runs:
                placed, started, watches, memory = (statistics.median(some) for some in zip(*runs))
                rows[name].append(f"{placed:,.0f} ({started:,.0f}); {watches:,.0f} w; {memory:.1f}")
            else:
                rows[name].append("-")
        shutil.rmtree(tree)
    return columns, rows


def watching_much(bench):
    """the same in large trees: ms from launch to all watches in place (to the child's start); watches; MB"""
    return watching(bench, ((100_000, 0), (10_000, 90_000)))


def idle(bench):
    """10 s without a change in 10,000 files: ms of CPU; context switches"""
    tree = bench.tree(10_000)

    def measure(tool):
        with bench.run(tool, tree) as run:
            time.sleep(3)
            before = run.used()
            time.sleep(10)
            return cost(before, run.used())

    results = in_turns(bench, measure)
    shutil.rmtree(tree)
    rows = {name: [median([run[0] for run in runs]), median([run[1] for run in runs], 0)] for name, runs in results.items()}
    return ["ms of CPU", "context switches"], rows


def storm(bench):
    """20,000 writes into an ignored directory: ms of CPU; context switches; restarts"""
    tree = bench.tree(200, 20)

    def measure(tool):
        with bench.run(tool, tree) as run:
            time.sleep(1)
            known, before = len(run.starts()), run.used()
            for number in range(20_000):
                (tree / "downloads" / f"part-{number % 2000}.py").write_bytes(b"x" * 512)
            time.sleep(2)
            return *cost(before, run.used()), len(run.starts()) - known

    results = in_turns(bench, measure)
    shutil.rmtree(tree)
    rows = {name: [median([run[at] for run in runs], 1 if at == 0 else 0) for at in range(3)] for name, runs in results.items()}
    return ["ms of CPU", "context switches", "restarts"], rows


def stopping(bench):
    """a child that needs 200 ms to stop: ms from the save to the new child; it got its time"""

    def measure(tool):
        tree, times = bench.tree(), []
        with bench.run(tool, tree, stop=200) as run:
            for number in range(5):
                time.sleep(0.5)
                known, began = len(run.quiet(0.1)), time.monotonic()
                save(run.source, f"v{number + 1}\n")
                starts = run.wait(known + 1, 10)
                times.append((starts[known][0] - began) * 1000 if starts else None)
            stopped = sum(text == "stopped" for text in run.lines())
        shutil.rmtree(tree)
        return times, stopped

    results = in_turns(bench, measure)
    rows = {
        name: [spread(flat(run[0] for run in runs)), f"{sum(run[1] for run in runs)} of {5 * len(runs)}"]
        for name, runs in results.items()
    }
    return ["ms", "stopped by itself"], rows


def burst(bench):
    """a formatter rewrites 500 files in about 300 ms: restarts; ms from the last write to the last start"""

    def measure(tool):
        tree = bench.tree(1000)
        files = sorted((tree / "src").rglob("f*.py"))[:500]
        with bench.run(tool, tree) as run:
            time.sleep(1)
            known, began = len(run.starts()), time.monotonic()
            for number, file in enumerate(files):
                save(file, f"formatted {random.random()}\n")
                ahead = began + number * 0.0006 - time.monotonic()
                if ahead > 0:
                    time.sleep(ahead)
            ended = time.monotonic()
            run.wait(known + 1, 20)
            starts = run.quiet(2.5)
            restarts = len(starts) - known
        shutil.rmtree(tree)
        return restarts, (starts[-1][0] - ended) * 1000 if restarts else None

    results = in_turns(bench, measure)
    rows = {name: [median([run[0] for run in runs], 0), median([run[1] for run in runs])] for name, runs in results.items()}
    return ["restarts", "ms"], rows


def lost(bench):
    """an edit within 0.3 s after the child began to load: the last child has not seen the last edit"""

    def measure(tool):
        tree, count = bench.tree(), 0
        with bench.run(tool, tree) as run:
            for number in range(6):
                known = len(run.quiet(0.3))
                save(run.source, f"first {number} {random.random()}\n")
                if not run.wait(known + 1, 5):
                    count += 1
                    continue
                time.sleep(random.random() * 0.3)
                last = f"last {number} {random.random()}"
                save(run.source, last + "\n")
                count += run.quiet(1.2)[-1][1] != last
        shutil.rmtree(tree)
        return count

    results = in_turns(bench, measure)
    return ["lost"], {name: [f"{sum(runs)} of {6 * len(runs)}"] for name, runs in results.items()}


def program(bench):
    """the program itself: ms for --version; ms for --help; MB"""
    rows = {}
    for tool in bench.tools:
        if tool.is_variant or tool.name == "floor" or tool.name.startswith("werkzeug"):
            continue
        path, times = bench.found(tool), {}
        for words in ("--version", "--help"):
            taken = []
            for _ in range(15 * bench.rounds):
                began = time.perf_counter()
                subprocess.run([path, words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                taken.append((time.perf_counter() - began) * 1000)
            times[words] = median(taken) if tool.version else "-"
        size = os.path.getsize(os.path.realpath(path)) / 1e6
        # What a package manager unpacked is more than the file that starts it.
        rows[tool.name] = [times["--version"], times["--help"], f"{size:.1f}" if size > 0.05 else "-"]
    return ["--version", "--help", "MB"], rows


MEASUREMENTS = [latency, watching, watching_much, idle, storm, stopping, burst, lost, program]


def version(bench, tool):
    words = [bench.found(tool), "--version"]
    if tool.name == "floor":
        return ""
    said = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    lines = [text for text in (said.stdout + said.stderr).splitlines() if any(letter.isdigit() for letter in text)]
    return lines[0].strip() if lines else "?"


def main():
    names = {measurement.__name__: measurement for measurement in MEASUREMENTS}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measurements", nargs="*", metavar="MEASUREMENT", help="of " + ", ".join(names))
    parser.add_argument("--bin", action="append", default=[], metavar="DIR", help="look for the tools here first")
    parser.add_argument("--tools", help="only these, by name, comma between")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    unknown = [name for name in arguments.measurements if name not in names]
    if unknown:
        parser.error(f"no such measurement: {', '.join(unknown)}")
    # Ended early, it cleans up too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="peers-") as scratch:
        bench = Bench(arguments, Path(scratch).resolve())
        for tool in bench.tools:
            print(f"{tool.name}: {version(bench, tool)}")
        for name in arguments.measurements or names:
            columns, rows = names[name](bench)
            print(f"\n### {name}: {names[name].__doc__}\n\n| | " + " | ".join(columns) + " |")
            print("|---" * (len(columns) + 1) + "|", flush=True)
            for tool, cells in rows.items():
                print(f"| {tool} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
