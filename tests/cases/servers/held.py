"""What every server of these tests answers: its version, and a body whose second half comes once `data/release` exists."""
import os
import time

HALF = 2 << 20


def halves():
    yield b"a" * HALF
    while not os.path.exists("data/release"):
        time.sleep(0.01)
    yield b"b" * HALF


def posted(path):
    with open("data/posts", "a") as posts:
        posts.write(path + "\n")
