// The worker's side of the pool-subprocess worker protocol, version 1. Node 18 or later, nothing to install.
//
// A pool runs `node pool-worker.mjs SCRIPT [ARGUMENT...]`. The methods are the functions that the script exports, each
// called with the caller's argument (from JSON, or a Buffer) and its job; they may be async, and generators send what
// they yield as chunks. The pool's configuration is `poolWorker.config` when the script is loaded.

import net from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';

const VERSION = 1;
const MAGIC = 0x50573100; // "PW1\0"
const HEAD = 24;
const MAX_HEADER = 64 * 1024;
const MAX_BODY = 64 * 1024 * 1024;
const COPIED = 16 * 1024;
const [HELLO, INIT, READY, REQUEST, RESULT, ERROR, CHUNK, PROGRESS, LOG, CANCEL, PING, PONG, DRAIN, SHUTDOWN, RETIRE] =
  Array.from({ length: 15 }, (_, at) => at + 1);
const [JSON_BODY, RAW] = [0, 1];
const NOTHING = Buffer.alloc(0);

const jobs = new Map();
let methods = {};
let draining = false;
let maxBody = MAX_BODY;
let reader;
let writer;

/** What scripts find as the global `poolWorker`. */
const poolWorker = {
  config: undefined,
  /** Adds a record to the host's log: debug, info, warning or error. */
  log(message, level = 'info') {
    send(LOG, 0, JSON_BODY, { level: text(level, 20), message: text(message, 8000) });
  },
  /** Asks to be replaced when the calls in flight are answered. */
  retire(reason = '') {
    send(RETIRE, 0, JSON_BODY, { reason: text(reason, 1000) });
  },
};
globalThis.poolWorker = poolWorker;

/** A call that runs. */
class Job {
  #abort;
  cancelled = false;
  /** Answered: what would come after that would be the worker's end. */
  done = false;

  constructor(id, header) {
    this.id = id;
    this.method = header.method;
    this.trace = header.trace;
    this.deadline = header.deadline_ms === undefined ? undefined : performance.now() + header.deadline_ms;
  }

  /** Aborted when nobody waits for the answer any more. */
  get signal() {
    this.#abort ??= new AbortController();
    if (this.cancelled) this.#abort.abort();
    return this.#abort.signal;
  }

  cancel() {
    this.cancelled = true;
    this.#abort?.abort();
  }

  /** Tells the caller how far it is. */
  progress(value) {
    if (!this.done) send(PROGRESS, this.id, ...encoded(value));
  }

  /** Sends a part of the result. Resolves when there is room for more. */
  chunk(value) {
    const [format, , body] = encoded(value);
    if (this.done || send(CHUNK, this.id, format, undefined, body)) return Promise.resolve();
    return new Promise((resolve) => writer.once('drain', resolve));
  }

  /** Adds a record to the host's log. */
  log(message, level = 'info') {
    send(LOG, this.id, JSON_BODY, { level: text(level, 20), message: text(message, 8000) });
  }
}

/** Of anything, whatever it does when it is asked for its text; half a character is no JSON. */
function text(value, most) {
  let all;
  try {
    all = String(value);
  } catch {
    all = 'something without a text';
  }
  return all.slice(0, most).replace(/\p{Surrogate}/gu, '\ufffd');
}

/** The format, no header, and the bytes of a body, which the host accepts. */
function encoded(value) {
  let [format, body] = [JSON_BODY, NOTHING];
  if (ArrayBuffer.isView(value)) {
    [format, body] = [RAW, Buffer.from(value.buffer, value.byteOffset, value.byteLength)];
  } else if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) {
    [format, body] = [RAW, Buffer.from(value)];
  } else if (value !== undefined) {
    body = Buffer.from(JSON.stringify(value) ?? '');
  }
  if (body.length > maxBody) {
    const error = new RangeError(`${body.length} bytes, where the host accepts ${maxBody}`);
    throw Object.assign(error, { poolWorkerType: 'TooLong' });
  }
  return [format, undefined, body];
}

function send(kind, id, format = JSON_BODY, header = undefined, body = NOTHING) {
  const text = header === undefined ? NOTHING : Buffer.from(JSON.stringify(header));
  const copied = body.length <= COPIED ? body.length : 0;
  const frame = Buffer.allocUnsafe(HEAD + text.length + copied);
  frame.writeUInt32BE(MAGIC, 0);
  frame[4] = kind;
  frame[5] = format;
  frame.writeUInt16BE(0, 6);
  frame.writeUInt32BE(Math.floor(id / 2 ** 32), 8);
  frame.writeUInt32BE(id % 2 ** 32, 12);
  frame.writeUInt32BE(text.length, 16);
  frame.writeUInt32BE(body.length, 20);
  text.copy(frame, HEAD);
  if (body.length <= COPIED) {
    body.copy(frame, HEAD + text.length);
    return writer.write(frame);
  }
  writer.cork();
  writer.write(frame);
  const room = writer.write(body);
  writer.uncork();
  return room;
}

/** Gives each frame of what comes to whoever takes frames. */
class Frames {
  #pieces = [];
  #length = 0;
  #wanted = HEAD;

  *add(piece) {
    this.#pieces.push(piece);
    this.#length += piece.length;
    while (this.#length > 0) {
      this.#checkMagic();
      if (this.#length < this.#wanted) return;
      const bytes = this.#joined();
      const header = bytes.readUInt32BE(16);
      const body = bytes.readUInt32BE(20);
      const [kind, format] = [bytes[4], bytes[5]];
      if (format > RAW || kind < HELLO || kind > RETIRE || bytes.readUInt16BE(6) !== 0) {
        throw new Error(`a frame of unknown kind ${kind} with format ${format}`);
      }
      if (header > MAX_HEADER || body > MAX_BODY) {
        throw new Error(`a header of ${header} bytes and a body of ${body}: too long`);
      }
      const length = HEAD + header + body;
      this.#wanted = length;
      if (bytes.length < length) return;
      this.#pieces = bytes.length > length ? [bytes.subarray(length)] : [];
      this.#length -= length;
      this.#wanted = HEAD;
      yield {
        kind,
        format,
        id: bytes.readUInt32BE(8) * 2 ** 32 + bytes.readUInt32BE(12),
        header: bytes.subarray(HEAD, HEAD + header),
        body: bytes.subarray(HEAD + header, length),
      };
    }
  }

  /** What is no frame is told at its first bytes. */
  #checkMagic() {
    if (this.#wanted > HEAD) return;
    const start = this.#pieces[0].length >= 4 ? this.#pieces[0] : this.#joined();
    for (let at = 0; at < Math.min(4, start.length); at += 1) {
      if (start[at] !== ((MAGIC >>> (24 - 8 * at)) & 0xff)) {
        throw new Error(`not a frame: ${JSON.stringify(start.subarray(0, 64).toString('latin1'))}`);
      }
    }
  }

  #joined() {
    if (this.#pieces.length > 1) this.#pieces = [Buffer.concat(this.#pieces, this.#length)];
    return this.#pieces[0];
  }
}

/** Of anything that was thrown: it may throw itself when it is looked at. */
function errorHeader(error) {
  const header = { type: typeof error, message: 'something that cannot be shown' };
  try {
    const isError = error instanceof Error;
    header.message = text(isError ? error.message : error, 2000);
    header.type = text(error?.poolWorkerType ?? (isError ? error.name : typeof error), 200);
    if (isError && error.stack) header.traceback = text(error.stack, 8000);
    if (error?.retryable) header.retryable = true;
    const cause = [];
    for (let next = error?.cause; next !== undefined && cause.length < 8; next = next?.cause) {
      cause.push({ type: text(next?.name ?? typeof next, 200), message: text(next?.message ?? next, 500) });
    }
    if (cause.length > 0) header.cause = cause;
  } catch {
    // What is there so far will do.
  }
  return header;
}

function cancelledError() {
  return Object.assign(new Error('nobody waits for it'), { poolWorkerType: 'Cancelled' });
}

async function sendAll(job, generator) {
  for (;;) {
    const { value, done } = await generator.next();
    if (done) return value;
    await job.chunk(value);
    if (job.cancelled) {
      await generator.return?.();
      throw cancelledError();
    }
  }
}

function requestHeader(frame) {
  try {
    return Object(JSON.parse(frame.header.toString()));
  } catch {
    return {};
  }
}

async function run(frame) {
  const job = new Job(frame.id, requestHeader(frame));
  jobs.set(job.id, job);
  let answer;
  try {
    const method = Object.hasOwn(methods, job.method) ? methods[job.method] : undefined;
    if (method === undefined) {
      const known = Object.keys(methods).sort().join(', ');
      const error = new Error(`there is no method ${JSON.stringify(job.method)}: there are ${known}`);
      throw Object.assign(error, { poolWorkerType: 'UnknownMethod' });
    }
    let argument = frame.body;
    if (frame.format === JSON_BODY) argument = argument.length > 0 ? JSON.parse(argument.toString()) : undefined;
    let result = method(argument, job);
    if (typeof result?.then === 'function') result = await result;
    if (typeof result?.next === 'function') result = await sendAll(job, result);
    answer = [RESULT, job.id, ...encoded(result)];
  } catch (error) {
    let aborted = false;
    try {
      aborted = job.cancelled && error?.name === 'AbortError';
    } catch {
      // Of an error that throws when it is looked at.
    }
    answer = [ERROR, job.id, JSON_BODY, errorHeader(aborted ? cancelledError() : error)];
  }
  job.done = true;
  send(...answer);
  jobs.delete(job.id);
  if (draining && jobs.size === 0) end(0);
}

/** When what was written is on its way. */
function end(code) {
  writer.end(() => process.exit(code));
}

function take(frame) {
  switch (frame.kind) {
    case REQUEST:
      run(frame);
      break;
    case CANCEL:
      jobs.get(frame.id)?.cancel();
      break;
    case PING:
      send(PONG, frame.id);
      break;
    case DRAIN:
    case SHUTDOWN:
      draining = true;
      if (frame.kind === SHUTDOWN) for (const job of jobs.values()) job.cancel();
      if (jobs.size === 0) end(0);
      break;
    default:
      throw new Error(`an unexpected frame of kind ${frame.kind}`);
  }
}

async function load(script) {
  const module = await import(pathToFileURL(path.resolve(script)).href);
  const exported = { ...(typeof module.default === 'object' ? module.default : {}), ...module };
  methods = Object.fromEntries(Object.entries(exported).filter(([, value]) => typeof value === 'function'));
  if (Object.keys(methods).length === 0) throw new Error(`${script} exports no function`);
}

function greet() {
  send(HELLO, 0, JSON_BODY, {
    protocol: VERSION,
    token: process.env.POOL_WORKER_TOKEN,
    pid: process.pid,
    language: 'node',
    version: process.versions.node,
    concurrency: 1024,
    capabilities: ['cancel'],
    max_body: MAX_BODY,
  });
}

async function init(frame) {
  if (frame.kind === SHUTDOWN || frame.kind === DRAIN) return end(0);
  if (frame.kind !== INIT) throw new Error(`a frame of kind ${frame.kind} before the init`);
  maxBody = JSON.parse(frame.header.toString()).max_body ?? MAX_BODY;
  if (frame.body.length > 0) poolWorker.config = JSON.parse(frame.body.toString());
  const [, self, script, ...rest] = process.argv;
  process.argv = [process.argv[0], script, ...rest];
  try {
    if (script === undefined) throw new Error(`usage: ${path.basename(self)} SCRIPT [ARGUMENT...]`);
    await load(script);
  } catch (error) {
    console.error(error);
    send(ERROR, 0, JSON_BODY, errorHeader(error));
    return end(1);
  }
  send(READY, 0);
}

function open() {
  const place = process.env.POOL_WORKER_CHANNEL;
  if (place === undefined) throw new Error('POOL_WORKER_CHANNEL is not set: a pool has to start this worker');
  if (place.startsWith('pipe:')) {
    const name = place.slice('pipe:'.length);
    reader = net.connect(`\\\\.\\pipe\\${name}-in`);
    writer = net.connect(`\\\\.\\pipe\\${name}-out`);
  } else if (place.startsWith('fd:')) {
    reader = writer = new net.Socket({ fd: Number(place.slice('fd:'.length)), readable: true, writable: true });
  } else {
    throw new Error(`unknown place for a worker's channel: ${place}`);
  }
  // Whoever reads its input finds nothing there, and not the channel.
  Object.defineProperty(process, 'stdin', { value: Readable.from([]) });
}

function main() {
  open();
  // Of one call, and no reason to lose all the others.
  process.on('unhandledRejection', (error) => console.error('unhandled rejection:', error));
  const frames = new Frames();
  let greeted = false;
  const fail = (error) => {
    console.error(error);
    process.exit(1);
  };
  reader.on('data', (piece) => {
    try {
      for (const frame of frames.add(piece)) {
        if (greeted) {
          take(frame);
        } else {
          greeted = true;
          init(frame).catch(fail);
        }
      }
    } catch (error) {
      fail(error);
    }
  });
  // The host is gone, or has had enough.
  reader.on('end', () => process.exit(jobs.size > 0 && !draining ? 1 : 0));
  for (const channel of new Set([reader, writer])) channel.on('error', fail);
  greet();
}

main();
