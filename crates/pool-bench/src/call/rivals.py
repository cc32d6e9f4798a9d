"""A pool of Python's: does so many calls, so many of them in flight, and prints how many nanoseconds that took."""

import collections
import sys
import time


def echo(value):
    return value


def rounds(submit, result, ops, depth, body):
    for _ in range(depth):
        result(submit(body))
    flying = collections.deque()
    start = time.perf_counter_ns()
    for _ in range(ops):
        if len(flying) >= depth:
            result(flying.popleft())
        flying.append(submit(body))
    while flying:
        result(flying.popleft())
    return time.perf_counter_ns() - start


def main():
    name, ops, size, depth, length = sys.argv[1], *map(int, sys.argv[2:])
    body = b"x" * length
    if name == "ProcessPoolExecutor":
        from concurrent.futures import ProcessPoolExecutor

        pool = ProcessPoolExecutor(size)
        print(rounds(lambda b: pool.submit(echo, b), lambda f: f.result(), ops, depth, body))
        pool.shutdown()
    elif name == "loky":
        from loky import get_reusable_executor

        pool = get_reusable_executor(max_workers=size)
        print(rounds(lambda b: pool.submit(echo, b), lambda f: f.result(), ops, depth, body))
        pool.shutdown()
    else:
        from multiprocessing import Pool

        with Pool(size) as pool:
            if depth == 1:
                print(rounds(lambda b: pool.apply(echo, (b,)), lambda r: r, ops, depth, body))
            else:
                print(rounds(lambda b: pool.apply_async(echo, (b,)), lambda r: r.get(), ops, depth, body))


if __name__ == "__main__":
    main()
