"""Python's asyncio.subprocess and its subprocess module, by the same cases as the Rust contenders."""

import asyncio
import os
import resource
import subprocess
import sys
import threading
import time

SOON = 2.0
PIPE = subprocess.PIPE
PUPPET = sys.argv[2]
with open("/proc/self/cmdline") as words:
    # What follows "-c": this text.
    SOURCE = words.read().split("\0")[2]


class Fails(Exception):
    pass


def need(holds, text):
    if not holds:
        raise Fails(text)


async def start(*argv, **options):
    options.setdefault("stdin", subprocess.DEVNULL)
    return await asyncio.create_subprocess_exec(*argv, stdout=PIPE, stderr=PIPE, **options)


async def output(*argv, data=None, timeout=None, **options):
    if data is not None:
        options["stdin"] = PIPE
    child = await start(*argv, **options)
    try:
        out, _ = await asyncio.wait_for(child.communicate(data), timeout)
    except asyncio.TimeoutError:
        child.kill()
        raise
    return out


async def number_after(child, word):
    words = (await child.stdout.readline()).split()
    need(word.encode() in words, f"printed {words}")
    return int(words[words.index(word.encode()) + 1])


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(") ", 1)[1][0] not in "ZX"
    except OSError:
        return False


def need_gone(pids):
    end = time.monotonic() + SOON
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.01)
    left = sum(map(alive, pids))
    need(left == 0, f"{left} of {len(pids)} processes live on")
    return "nothing is left"


async def leaked_pipe():
    begun = time.monotonic()
    out = await output(PUPPET, "hold-pipe", "6")
    need(b"holding" in out, f"printed {out}")
    need(time.monotonic() - begun < SOON, "the run waited for the grandchild")
    return "the run ended, its output kept"


async def unread_output():
    child = await start(PUPPET, "flood", "1000000")
    try:
        await asyncio.wait_for(child.wait(), SOON)
    except asyncio.TimeoutError:
        raise Fails("both wait for each other")
    return "it ended"


async def pid_after_timeout(script):
    path = f"/tmp/compare-python-{os.getpid()}"
    try:
        await output("/bin/sh", "-c", script.format(path=path), timeout=0.5)
        raise Fails("the timeout was not told")
    except asyncio.TimeoutError:
        pass
    with open(path) as said:
        pid = int(said.read())
    os.unlink(path)
    return pid


async def timeout_leader():
    return need_gone([await pid_after_timeout("echo $$ > {path}; exec sleep 30")])


async def timeout_tree():
    return need_gone([await pid_after_timeout("sleep 30 & echo $! > {path}; wait")])


async def escapee():
    return need_gone([await pid_after_timeout(PUPPET + " daemonise 30 > {path}; sleep 30")])


async def left_daemon():
    return need_gone([int(await output(PUPPET, "daemonise", "30"))])


def host_killed():
    host = subprocess.Popen([sys.executable, "-c", SOURCE, "host", PUPPET], stdout=PIPE)
    pids = [int(host.stdout.readline().split()[1]) for _ in range(3)]
    host.kill()
    host.wait()
    return need_gone(pids)


async def host():
    child = await start(PUPPET, "tree", "2")
    for _ in range(3):
        print("pid", await number_after(child, "pid"), flush=True)
    await asyncio.sleep(60)


def dropped_runtime():
    pids = []

    async def leave():
        child = await start(PUPPET, "tree", "2")
        pids.extend([await number_after(child, "pid") for _ in range(3)])
        asyncio.get_running_loop().kept = asyncio.ensure_future(child.wait())

    asyncio.run(leave())
    return need_gone(pids)


async def drop_tree():
    child = await start(PUPPET, "tree", "2")
    pids = [await number_after(child, "pid") for _ in range(3)]
    del child
    return need_gone(pids)


async def dead_thread():
    started = []

    def run():
        child = subprocess.Popen([PUPPET, "ready-sleep", "20"], stdout=PIPE)
        started.append((child, int(child.stdout.readline().split()[1])))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    need(alive(started[0][1]), "it died with the thread")
    return "it lives on"


async def end(child, grace):
    child.terminate()
    try:
        await asyncio.wait_for(child.wait(), grace)
    except asyncio.TimeoutError:
        child.kill()
        await child.wait()
    return child.returncode


async def term_ignored():
    child = await start(PUPPET, "ignore-term")
    pid = await number_after(child, "ready")
    code = await end(child, 0.3)
    need_gone([pid])
    raise Fails(f"killed by hand, and says only {code}")


async def stopped():
    child = await start("/bin/sh", "-c", 'trap "exit 7" TERM; echo ready $$; kill -STOP $$; sleep 20')
    pid = await number_after(child, "ready")
    while open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1][0] != "T":
        await asyncio.sleep(0)
    code = await end(child, SOON)
    need(code == 7, f"it was killed without having heard: {code}")
    return "it ended by its own handler"


async def large_host():
    pages = 65536
    memory = bytearray(pages * 4096)

    def touch():
        for page in range(0, len(memory), 4096):
            memory[page] = (memory[page] + 1) % 256

    touch()
    await output("true", env={}, start_new_session=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    touch()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    need(faults < 1000, f"{faults} faults on {pages} pages after it: they had been copied")
    return f"{faults} faults on {pages} pages after it"


async def reused_pid():
    child = await start(PUPPET, "ready-sleep", "0")
    pid = await number_after(child, "ready")
    await child.wait()
    for _ in range(100):
        with open("/proc/sys/kernel/ns_last_pid", "w") as last:
            last.write(str(pid - 1))
        heir = subprocess.Popen(["/bin/sh", "-c", "read line; exit 5"], stdin=PIPE, start_new_session=True)
        if heir.pid == pid:
            try:
                child.kill()
            except ProcessLookupError:
                pass
        heir.stdin.close()
        code = heir.wait()
        if heir.pid == pid:
            need(code == 5, "it killed whoever has the number")
            return "whoever has the number lives on"
    raise Fails("the number was not given out again")


def zombies():
    async def leave():
        return [await start(PUPPET, "sleep", "20") for _ in range(20)]

    children = asyncio.run(leave())
    for child in children:
        try:
            child.kill()
        except (ProcessLookupError, RuntimeError):
            pass
    del children
    end = time.monotonic() + SOON
    while True:
        states = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as stat:
                    fields = stat.read().rsplit(") ", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == os.getpid():
                states.append(fields[0])
        if not states:
            return "none is left"
        if time.monotonic() > end:
            raise Fails(f"{states.count('Z')} zombies of 20 and {len(states) - states.count('Z')} that run are left")
        time.sleep(0.01)


async def unread_input():
    await output(PUPPET, "close-stdin-exit", data=b"x" * (1 << 20))
    return "the run succeeds"


async def flood_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await output(PUPPET, "flood", "400000000")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    need(grown < 64, f"400 MB of output take {grown} MiB")
    return f"400 MB of output take {grown} MiB"


async def missing_dir():
    texts = []
    for argv, cwd in [((PUPPET, "exit", "0"), "/no/such/directory"), (("/no/such/program",), None)]:
        try:
            await output(*argv, cwd=cwd)
        except OSError as error:
            texts.append(str(error))
    need("/no/such/directory" in texts[0] and "/no/such/program" in texts[1], f"{texts}")
    return texts[0]


async def descriptors():
    foreign = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(foreign, True)
    out = (await output(PUPPET, "fds")).decode().split()
    need(not out, f"has {out}")
    return "none"


async def signals():
    out = await output("/bin/grep", "-E", "Sig(Blk|Ign)", "/proc/self/status")
    masks = [word for word in out.decode().split() if not word.endswith(":")]
    need(all(int(mask, 16) == 0 for mask in masks), f"blocks and ignores {' and '.join(masks)}")
    return "none"


def main():
    case = globals()[sys.argv[1].replace("-", "_")]
    try:
        said = asyncio.run(case()) if asyncio.iscoroutinefunction(case) else case()
        print(f"passes: {said}", flush=True)
    except Fails as fails:
        print(f"fails: {fails}", flush=True)
    except Exception as error:
        print(f"fails: {type(error).__name__}: {error}", flush=True)
    # What a case left behind is not waited for.
    os._exit(0)


main()
