"""What every server of these tests answers: its version, and a body whose second half comes once `data/release` exists."""
import os
import time

HALF = 2 << 20


def halves():
    yield b"a" * HALF
    released()
    yield b"b" * HALF


def chunks():
    """Twelve events. The fifth comes once `data/release` exists."""
    for number in range(1, 13):
        if number == 5:
            released()
        yield f"data: {number}\n\n"


def released():
    while not os.path.exists("data/release"):
        time.sleep(0.01)


def posted(path):
    with open("data/posts", "a") as posts:
        posts.write(path + "\n")
