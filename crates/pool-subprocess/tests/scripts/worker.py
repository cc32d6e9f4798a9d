"""The methods that the tests call, in Python."""

import ctypes
import os
import sys
import time

import pool_worker

if pool_worker.config and pool_worker.config.get("fail"):
    raise RuntimeError("no such model")


def total(numbers):
    return sum(numbers)


def nothing():
    return None


def echo(value):
    return value


def fail(message):
    try:
        raise KeyError("deeper")
    except KeyError as error:
        raise ValueError(message) from error


def count(to):
    for number in range(to):
        pool_worker.progress(number / to)
        yield number
    pool_worker.log("counted")
    return to


def noise(text):
    print(text)
    print(text, file=sys.stderr)
    os.system("echo " + text)
    try:
        libc = ctypes.CDLL(None)
        libc.puts(text.encode())
        libc.fflush(None)
    except OSError:
        pass
    os.system("read line")
    return sys.stdin.read()


def configured():
    return pool_worker.config


def pid():
    return os.getpid()


def sleep(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pool_worker.check_cancelled()
        time.sleep(0.005)
    return seconds


def pid_at(path):
    while not os.path.exists(path):
        sleep(0.001)
    return os.getpid()


def hang():
    while True:
        pass


def crash():
    ctypes.string_at(0)


def leave(code):
    print("this worker has had enough", file=sys.stderr)
    sys.exit(code)


def eat(size):
    return len(bytearray(os.urandom(1024)) * (size // 1024))


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("not even this")


def odd(what):
    """Results and errors that are hard to send."""
    if what == "unspeakable":
        raise Unspeakable()
    if what == "surrogate":
        raise ValueError(os.fsdecode(b"bad \xff name"))
    if what == "long name":
        raise type("N" * 70000, (Exception,), {})("m" * 70000)
    if what == "generator exit":
        raise GeneratorExit()
    if what == "nan":
        return float("nan")
    if what == "cycle":
        cycle = []
        cycle.append(cycle)
        return cycle
    if what == "object":
        return object()
    if what == "log level":
        pool_worker.log("x", 30)
        raise ValueError("logged")
    return memoryview(b"abcdef")[::2]


def late():
    """Tells something when it is over already."""
    import threading

    job = pool_worker.job()

    def tell():
        while not job.is_done:
            time.sleep(0.001)
        job.progress(1)
        job.chunk(b"x")

    threading.Thread(target=tell).start()
    return "done"


def doubled(number):
    return 2 * number


def map_doubled(numbers):
    """In processes of its own, which import this script anew."""
    import multiprocessing

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.map(doubled, numbers)


def spam():
    while True:
        print("spam")
