"""The worker's side of the pool-subprocess worker protocol, version 1. Python 3.8 or later, standard library only.

A pool runs `pool_worker.py SCRIPT [ARGUMENT...]`, or `pool_worker.py -m MODULE [ARGUMENT...]`. The methods are the
functions that are marked with @method, or, if none is, all public functions of the script. What the script does when it
is imported, it does once, before the first call; the pool's configuration is in `config` by then.

The thread that runs the methods reads the channel itself while it has nothing to do: a thread that reads for it would
double a small round trip. During a call that lasts, the attendant reads.
"""

import atexit
import errno
import functools
import importlib
import importlib.util
import inspect
import io
import json
import os
import queue
import struct
import sys
import threading
import time
import traceback
import types

__all__ = [
    "method", "config", "job", "progress", "chunk", "log", "cancelled", "check_cancelled", "retire", "serve",
    "Cancelled", "TooLong",
]

VERSION = 1
MAGIC = b"PW1\0"
HEAD = struct.Struct(">4sBBHQII")
MAX_HEADER = 64 * 1024
MAX_BODY = 64 << 20

HELLO, INIT, READY, REQUEST, RESULT, ERROR, CHUNK, PROGRESS, LOG, CANCEL, PING, PONG, DRAIN, SHUTDOWN, RETIRE = range(1, 16)
JSON, RAW = 0, 1

# How long a call has the worker to itself, in seconds; after so many of these without a call, the attendant sleeps.
TICK = 0.05
IDLE_TICKS = 20

# So many times nobody looks for a request before it waits, at most.
LONGEST_PAUSE = 256

# What is copied behind its head, and what one read asks for, in bytes.
COPIED = 16 * 1024
READ_AHEAD = 256 * 1024

# What the pool's workers are told when they load.
config = None


class Cancelled(Exception):
    """Nobody waits for the answer any more."""


class TooLong(Exception):
    """A result, or a part of one, is longer than the host accepts."""


class ProtocolError(Exception):
    """What comes by the channel is not what should."""


# What methods use.


def method(function=None, *, name=None, spread=False):
    """Marks a function as a method. It is called with one argument: what the caller sent, from JSON, or bytes. With
    spread, a list is spread over its arguments, and an object over its keywords."""

    def mark(function):
        _methods[name or function.__name__] = _Method(function, spread)
        return function

    return mark if function is None else mark(function)


def job():
    """The call that this thread answers, with `id`, `method`, `trace`, `deadline` (of time.monotonic, or None),
    `cancelled`, and progress(), chunk(), log() and check_cancelled(); None outside of calls, and in threads that a method
    has started: give it to them."""
    return getattr(_local, "job", None)


def progress(value):
    """Tells the caller how far the call is."""
    _current("progress").progress(value)


def chunk(value):
    """Sends a part of the result. A method that is a generator does so with each value that it yields."""
    _current("chunk").chunk(value)


def log(message, level="info"):
    """Adds a record to the host's log: debug, info, warning or error."""
    current = job()
    _log(current.id if current else 0, message, level)


def cancelled():
    """Whether nobody waits for the answer any more. A worker that goes on is killed after a while."""
    current = job()
    return current is not None and current.cancelled


def check_cancelled():
    """Raises Cancelled if nobody waits for the answer any more."""
    if cancelled():
        raise Cancelled("nobody waits for it")


def retire(reason=""):
    """Asks to be replaced when the current call is answered."""
    if _worker is not None:
        _worker.link.send(RETIRE, 0, header=_json({"reason": _text(reason, 1000)}))


def _current(what):
    current = job()
    if current is None:
        raise RuntimeError("%s() outside of a call: in a thread of your own, use that of the call's job()" % what)
    return current


def _log(id, message, level):
    if _worker is not None:
        _worker.link.send(LOG, id, header=_json({"level": _text(level, 20), "message": _text(message, 8000)}))


def serve(concurrency=1024):
    """Serves the marked functions: for scripts that are not run by pool_worker.py. Returns when the host has had
    enough."""
    _start(concurrency)
    _worker.ready()


_methods = {}
_local = threading.local()
_worker = None


class _Method:
    def __init__(self, function, spread):
        self.function = function
        self.spread = spread
        self.takes_nothing = not spread and _takes_nothing(function)
        if inspect.iscoroutinefunction(function):
            self.function = functools.partial(_run_coroutine, function)

    def __call__(self, argument):
        if self.takes_nothing and argument is None:
            return self.function()
        if self.spread and isinstance(argument, list):
            return self.function(*argument)
        if self.spread and isinstance(argument, dict):
            return self.function(**argument)
        return self.function(argument)


def _takes_nothing(function):
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    required = [p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return not required


def _run_coroutine(function, *arguments, **keywords):
    import asyncio

    if not hasattr(_local, "loop"):
        _local.loop = asyncio.new_event_loop()
    return _local.loop.run_until_complete(function(*arguments, **keywords))


def _tolist(value):
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError("a result of type %s is neither JSON nor bytes" % type(value).__name__)


_json_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_tolist)


def _json(value):
    return _json_encoder.encode(value).encode("utf-8", "replace")


def _text(value, most):
    """Of anything, whatever it does when it is asked for its text."""
    try:
        text = str(value)[:most]
    except Exception as error:
        text = "<its text fails with %s>" % type(error).__name__
    # Half a character is no JSON.
    return text.encode("utf-8", "replace").decode()


def _encoded(value):
    """The format and the bytes of a body, which the host accepts."""
    if isinstance(value, (bytes, bytearray)):
        format, body = RAW, value
    elif isinstance(value, memoryview):
        format, body = RAW, value.cast("B") if value.c_contiguous else value.tobytes()
    else:
        format, body = JSON, _json(value)
    if len(body) > _worker.max_body:
        raise TooLong("%d bytes, where the host accepts %d" % (len(body), _worker.max_body))
    return format, body


# The channel.


class _Link:
    """Reads and writes frames. The reader is locked by whoever reads, the writer by whoever sends."""

    def __init__(self, reader, writer, max_body=MAX_BODY):
        self.reader = reader
        self.writer = writer
        self.max_body = max_body
        self.reading = threading.Lock()
        self.writing = threading.Lock()
        self.buffer = memoryview(bytearray(READ_AHEAD))
        self.start = 0
        self.end = 0
        # How long it looks before it waits, in seconds; and how often it does not, after that was in vain.
        self.spin = 0
        self.pause = self.last_pause = 0

    def send(self, kind, id, format=JSON, header=b"", body=b""):
        head = HEAD.pack(MAGIC, kind, format, 0, id, len(header), len(body))
        with self.writing:
            if len(body) <= COPIED:
                self._write(b"".join((head, header, body)))
            else:
                self._write_both(head + header, body)

    def _write_both(self, head, body):
        # At once, so that the host is woken once.
        written = os.writev(self.writer.fileno(), (head, body)) if hasattr(os, "writev") else 0
        if written == len(head) + len(body):
            return
        if written < len(head):
            self._write(head[written:])
            written = len(head)
        self._write(memoryview(body)[written - len(head):])

    def _write(self, data):
        written = self.writer.write(data)
        if written != len(data):
            data = memoryview(data)
            while written < len(data):
                written += self.writer.write(data[written:])

    def receive(self):
        """The next frame: kind, id, format, header, body. None at the end. To be called with `reading` held."""
        while True:
            frame = self.buffered() if self.start < self.end else None
            if frame is not None:
                return frame
            if self.spin:
                self._look()
            if not self.fill():
                if self.end > self.start:
                    raise ProtocolError("the channel ended within a frame")
                return None

    def _look(self):
        """For a while, before it waits: whoever sends then need not wake this thread."""
        if self.pause:
            self.pause -= 1
            return
        until = time.monotonic() + self.spin
        while time.monotonic() < until:
            if self.wait(0):
                self.last_pause = 0
                return
            # The host may be on this processor.
            _yield()
        self.pause = self.last_pause = min(max(self.last_pause * 4, 4), LONGEST_PAUSE)

    def fill(self):
        """Reads what is there, and waits for it if there is nothing. How much it was; 0 is the end."""
        if self.start == self.end:
            self.start = self.end = 0
        elif self.end == len(self.buffer):
            # At the front again.
            rest = bytes(self.buffer[self.start:self.end])
            self.buffer[:len(rest)] = rest
            self.start, self.end = 0, len(rest)
        try:
            count = self.reader.readinto(self.buffer[self.end:]) or 0
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                raise
            count = 0
        self.end += count
        return count

    def buffered(self):
        """The frame that has come, if one has. Of a long one, the rest is waited for."""
        filled = self.end - self.start
        if filled < HEAD.size:
            if self.buffer[self.start:self.end][:4] != MAGIC[:filled]:
                raise ProtocolError("not a frame: %r" % bytes(self.buffer[self.start:self.end]))
            return None
        magic, kind, format, zero, id, header_length, body_length = HEAD.unpack_from(self.buffer, self.start)
        if magic != MAGIC:
            raise ProtocolError("not a frame: %r" % bytes(self.buffer[self.start:self.start + 64]))
        if zero or format > RAW or not HELLO <= kind <= RETIRE:
            raise ProtocolError("a frame of unknown kind %d with format %d" % (kind, format))
        if header_length > MAX_HEADER or body_length > self.max_body:
            raise ProtocolError("a header of %d bytes and a body of %d: too long" % (header_length, body_length))
        length = HEAD.size + header_length + body_length
        if length <= filled:
            at = self.start + HEAD.size
            header = bytes(self.buffer[at:at + header_length])
            body = bytes(self.buffer[at + header_length:self.start + length])
            self.start += length
            return kind, id, format, header, body
        if self.start + length <= len(self.buffer):
            return None
        return self._long(kind, id, format, header_length, body_length)

    def _long(self, kind, id, format, header_length, body_length):
        rest = bytearray(header_length + body_length)
        view = memoryview(rest)
        at = min(self.end - self.start - HEAD.size, len(rest))
        view[:at] = self.buffer[self.start + HEAD.size:self.start + HEAD.size + at]
        self.start = self.end = 0
        while at < len(rest):
            count = self.reader.readinto(view[at:])
            if not count:
                raise ProtocolError("the channel ended within a frame")
            at += count
        return kind, id, format, bytes(view[:header_length]), bytes(view[header_length:])

    def wait(self, seconds):
        """Whether there is something to read, or the end, within this time."""
        if os.name == "nt":
            return _wait_for_pipe(self.reader.fileno(), seconds)
        import select

        poll = select.poll()
        poll.register(self.reader.fileno(), select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def abandon(self):
        """In a child that was forked: it is not its channel, and nobody there gives back what was locked."""
        global _worker
        _worker = None
        self.reading, self.writing = threading.Lock(), threading.Lock()
        for end in {self.reader, self.writer}:
            try:
                end.close()
            except OSError:
                pass


_yield = getattr(os, "sched_yield", functools.partial(time.sleep, 0))


def _wait_for_pipe(descriptor, seconds):
    import _winapi
    import msvcrt

    handle = msvcrt.get_osfhandle(descriptor)
    until = time.monotonic() + seconds
    while True:
        try:
            if _winapi.PeekNamedPipe(handle, 0)[0]:
                return True
        except OSError:
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(0.005)


def _open_link():
    """Takes the channel away from where everything else in this process would find it."""
    place = os.environ.get("POOL_WORKER_CHANNEL")
    if place is None:
        raise SystemExit("POOL_WORKER_CHANNEL is not set: a pool has to start this worker")
    if place.startswith("pipe:"):
        name = place[len("pipe:"):]
        reader = open(r"\\.\pipe\%s-in" % name, "rb", buffering=0)
        writer = open(r"\\.\pipe\%s-out" % name, "wb", buffering=0)
        return _Link(reader, writer)
    nothing = os.open(os.devnull, os.O_RDONLY)
    if place == "fd:0":
        reader = writer = io.FileIO(os.dup(0), "r+")
    elif place == "stdio":
        reader, writer = io.FileIO(os.dup(0), "r"), io.FileIO(os.dup(1), "w")
        os.dup2(2, 1)
    else:
        raise SystemExit("unknown place for a worker's channel: %r" % place)
    os.dup2(nothing, 0)
    os.close(nothing)
    return _Link(reader, writer)


# The calls.


class _Job:
    __slots__ = ("id", "method", "trace", "deadline", "cancelled", "is_begun", "is_done")

    def __init__(self, id, header, is_begun):
        self.is_begun = is_begun
        self.is_done = False
        self.id = id
        self.method = header.get("method")
        self.trace = header.get("trace")
        milliseconds = header.get("deadline_ms")
        self.deadline = None if milliseconds is None else time.monotonic() + milliseconds / 1000
        self.cancelled = False

    def progress(self, value):
        self._send(PROGRESS, value)

    def chunk(self, value):
        self._send(CHUNK, value)

    def log(self, message, level="info"):
        _log(self.id, message, level)

    def check_cancelled(self):
        if self.cancelled:
            raise Cancelled("nobody waits for it")

    def _send(self, kind, value):
        # After the answer it would be the worker's end; and in a forked child there is no channel.
        if _worker is None:
            return
        format, body = _encoded(value)
        with _worker.answering:
            if not self.is_done:
                _worker.link.send(kind, self.id, format=format, body=body)


class _Worker:
    """From the hello to the end."""

    def __init__(self, link, concurrency):
        self.link = link
        self.jobs = {}
        self.later = []
        self.draining = False
        self.max_body = MAX_BODY
        # The last request's header, and what it says: mostly the next one has the same.
        self.known = (None, {})
        # Between an answer and what comes before it.
        self.answering = threading.Lock()
        self.concurrency = concurrency

    def greet(self):
        """Says who it is, and takes the configuration."""
        global config
        hello = {
            "protocol": VERSION,
            "pid": os.getpid(),
            "language": "python",
            "version": "%d.%d.%d" % sys.version_info[:3],
            "concurrency": self.concurrency,
            "capabilities": ["cancel", "ping"],
            "max_body": MAX_BODY,
        }
        if "POOL_WORKER_TOKEN" in os.environ:
            hello["token"] = os.environ["POOL_WORKER_TOKEN"]
        self.link.send(HELLO, 0, header=_json(hello))
        with self.link.reading:
            frame = self.link.receive()
        if frame is None or frame[0] in (SHUTDOWN, DRAIN):
            raise SystemExit(0)
        kind, _, _, header, body = frame
        if kind != INIT:
            raise ProtocolError("a frame of kind %d before the init" % kind)
        init = json.loads(header)
        self.concurrency = min(self.concurrency, init["concurrency"])
        self.max_body = min(init.get("max_body", MAX_BODY), 0xFFFFFFFF)
        self.link.spin = init.get("spin_us", 0) / 1e6
        config = json.loads(body) if body else None

    def ready(self):
        """Serves to the end."""
        self.link.send(READY, 0)
        if self.concurrency > 1:
            self._serve_with_threads()
        else:
            self._serve_alone()

    def _serve_alone(self):
        attendant = _Attendant(self)
        attendant.start()
        link, reading = self.link, self.link.reading
        while True:
            with reading:
                if self.later:
                    frame = self.later.pop(0)
                elif self.draining:
                    return
                else:
                    frame = link.receive()
            if frame is None:
                return
            if frame[0] != REQUEST:
                self.note(frame)
                continue
            attendant.call = frame[1]
            if attendant.asleep:
                attendant.wake()
            self.run(frame)
            attendant.call = 0

    def _serve_with_threads(self):
        requests = queue.SimpleQueue()

        def work():
            while True:
                try:
                    self.run(requests.get())
                except BaseException:
                    traceback.print_exc()
                    os._exit(1)
                if self.draining and not self.jobs:
                    _end(0)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(self.concurrency)]
        for thread in threads:
            thread.start()
        while not self.draining or self.jobs:
            with self.link.reading:
                frame = self.link.receive()
            if frame is None:
                return
            if frame[0] != REQUEST:
                self.note(frame)
            elif not self.draining:
                self.begin(frame)
                requests.put(frame)

    def note(self, frame):
        """Does what a frame asks for that is no request."""
        kind, id = frame[:2]
        if kind == CANCEL:
            self._cancel(id)
        elif kind == PING:
            self.link.send(PONG, id)
        elif kind == DRAIN:
            self.draining = True
        elif kind == SHUTDOWN:
            self.draining = True
            for current in list(self.jobs.values()):
                current.cancelled = True
        else:
            raise ProtocolError("an unexpected frame of kind %d" % kind)

    def _cancel(self, id):
        current = self.jobs.get(id)
        if current is None:
            return
        with self.answering:
            current.cancelled = True
            waits = not current.is_begun and not current.is_done
            current.is_done |= waits
        if waits:
            # At once, and not when it would have its turn.
            self.link.send(ERROR, id, header=_error_header(Cancelled("nobody waits for it")))

    def begin(self, frame, is_begun=False):
        _, id, _, header, _ = frame
        known = self.known
        if known[0] != header:
            known = self.known = (header, _fields(header))
        current = self.jobs[id] = _Job(id, known[1], is_begun)
        return current

    def run(self, frame):
        """Runs a call to its answer."""
        _, id, format, _, body = frame
        current = self.jobs.get(id) or self.begin(frame, True)
        if not current.is_begun:
            # It has waited, and may have been cancelled meanwhile.
            with self.answering:
                current.is_begun = True
            if current.is_done:
                self.jobs.pop(id, None)
                return
        header = None
        try:
            _local.job = current
            if current.cancelled:
                raise Cancelled("nobody waits for it")
            function = _methods.get(current.method)
            if function is None:
                known = ", ".join(sorted(_methods))
                raise _UnknownMethod("there is no method %r: there are %s" % (current.method, known))
            if format == JSON:
                body = json.loads(body.decode()) if body else None
            result = function(body)
            if isinstance(result, types.GeneratorType):
                result = _send_all(result)
            answer = _encoded(result)
        except SystemExit as exit:
            # It means the process, on whichever thread it is raised.
            _end(exit.code if isinstance(exit.code, int) else 0 if exit.code is None else 1)
        except BaseException as error:
            header = _error_header(error)
        _local.job = None
        with self.answering:
            current.is_done = True
        # Known until it is answered, so that a drain waits for it.
        if header is not None:
            self.link.send(ERROR, id, header=header)
        else:
            self.link.send(RESULT, id, format=answer[0], body=answer[1])
        self.jobs.pop(id, None)


class _UnknownMethod(Exception):
    pass


def _fields(header):
    try:
        fields = json.loads(header.decode())
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _send_all(generator):
    """Each value that it yields as a chunk; what it returns is the result."""
    current = job()
    while True:
        try:
            value = next(generator)
        except StopIteration as end:
            return end.value
        current.chunk(value)
        if current.cancelled:
            generator.close()
            raise Cancelled("nobody waits for it")


_NAMES = {Cancelled: "Cancelled", TooLong: "TooLong", _UnknownMethod: "UnknownMethod"}


def _name(error):
    kind = type(error)
    if kind in _NAMES or kind.__module__ == "builtins":
        return _NAMES.get(kind, kind.__name__)
    return "%s.%s" % (kind.__module__, kind.__qualname__)


def _error_header(error):
    causes, cause = [], _cause(error)
    while cause is not None and len(causes) < 8:
        causes.append({"type": _text(_name(cause), 200), "message": _text(cause, 500)})
        cause = _cause(cause)
    header = {"type": _text(_name(error), 200), "message": _text(error, 2000)}
    if causes:
        header["cause"] = causes
    if getattr(error, "retryable", False):
        header["retryable"] = True
    try:
        lines = traceback.format_exception(type(error), error, error.__traceback__)
    except Exception:
        lines = traceback.format_tb(error.__traceback__)
    encoded = _json(dict(header, traceback=_text("".join(lines)[-20000:], 20000)))
    return encoded if len(encoded) <= MAX_HEADER else _json(header)


def _cause(error):
    if error.__cause__ is not None or error.__suppress_context__:
        return error.__cause__
    return error.__context__


class _Attendant(threading.Thread):
    """Reads the channel during calls that last, so that pings are answered and cancels seen."""

    def __init__(self, worker):
        super().__init__(name="pool-attendant", daemon=True)
        self.worker = worker
        self.call = 0
        self.asleep = False
        self.bell = threading.Lock()
        self.bell.acquire()

    def wake(self):
        self.asleep = False
        if self.bell.locked():
            self.bell.release()

    def run(self):
        last, idle = 0, 0
        while True:
            time.sleep(TICK)
            call = self.call
            if call and call == last:
                self._read_during(call)
            idle = idle + 1 if call == last == 0 else 0
            last = call
            if idle >= IDLE_TICKS:
                # Whoever begins a call sets it first and looks then: one of the two sees the other.
                self.asleep = True
                if not self.call:
                    self.bell.acquire()
                self.asleep = False
                idle = 0

    def _read_during(self, call):
        link = self.worker.link
        # What came with the request is in the buffer, and the channel tells nothing of it.
        is_buffered = True
        while self.call == call:
            if not is_buffered and not link.wait(TICK):
                continue
            if not link.reading.acquire(False):
                # Whoever serves has nothing to do again.
                return
            try:
                if self.call != call:
                    return
                if not is_buffered and link.wait(0) and not link.fill():
                    # Nobody is there to answer to; or the host has said that it goes.
                    _end(0 if self.worker.draining else 1)
                is_buffered = False
                self._take_apart(link)
            except Exception:
                traceback.print_exc()
                os._exit(1)
            finally:
                link.reading.release()

    def _take_apart(self, link):
        for frame in iter(link.buffered, None):
            if frame[0] == REQUEST:
                # It can be cancelled from now on.
                self.worker.begin(frame)
                self.worker.later.append(frame)
            else:
                self.worker.note(frame)


def _start(concurrency):
    global _worker
    link = _open_link()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=link.abandon)
    _worker = _Worker(link, concurrency)
    _worker.greet()


def _load(arguments):
    """Imports the script or the module, and finds its methods."""
    if arguments[0] == "-m":
        sys.path.insert(0, os.getcwd())
        sys.argv = arguments[1:]
        module = importlib.import_module(arguments[1])
    else:
        path = os.path.abspath(arguments[0])
        sys.path.insert(0, os.path.dirname(path))
        sys.argv = list(arguments)
        # By its own name: a process that is started anew by multiprocessing imports it by that.
        name = os.path.splitext(os.path.basename(path))[0]
        if name in sys.modules:
            name = "__worker__"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError("%s is not a Python script" % path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    if not _methods:
        for name, value in vars(module).items():
            is_own = getattr(value, "__module__", None) == module.__name__
            if inspect.isfunction(value) and is_own and not name.startswith("_"):
                _methods[name] = _Method(value, False)
    if not _methods:
        raise ImportError("%s has no public function, and marks none as a method" % arguments[-1])


# Scripts import this module by its name, and mean this one.
sys.modules["pool_worker"] = sys.modules[__name__]


def _end(code):
    """Ends the process, whatever threads it has."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    os._exit(code & 0xFF)


def _main():
    if len(sys.argv) < 2:
        raise SystemExit("usage: pool_worker.py SCRIPT [ARGUMENT...] | -m MODULE [ARGUMENT...]")
    # Not its own directory: nothing else in it is meant to be imported.
    sys.path.pop(0)
    _start(1024)
    try:
        _load(sys.argv[1:])
    except Exception as error:
        _worker.link.send(ERROR, 0, header=_error_header(error))
        traceback.print_exc()
        raise SystemExit(1)
    _worker.ready()
    # What the script wants at its end, and then the end, even if a thread of its own goes on.
    atexit._run_exitfuncs()
    _end(0)


if __name__ == "__main__":
    _main()
