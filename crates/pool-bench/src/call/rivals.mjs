// A pool of Node's: does so many calls, so many of them in flight, and prints how many nanoseconds that took.

import { fork } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const self = fileURLToPath(import.meta.url);

async function rounds(call, ops, depth, body) {
  for (let at = 0; at < depth; at += 1) await call(body);
  let left = ops;
  const start = process.hrtime.bigint();
  const one = async () => {
    while (left > 0) {
      left -= 1;
      await call(body);
    }
  };
  await Promise.all(Array.from({ length: depth }, one));
  return process.hrtime.bigint() - start;
}

function forked(size) {
  const children = Array.from({ length: size }, () => fork(self, ['answer']));
  const waiting = new Map();
  let next = 0;
  for (const child of children) {
    child.on('message', ({ id, result }) => {
      waiting.get(id)(result);
      waiting.delete(id);
    });
  }
  const call = (body) =>
    new Promise((resolve) => {
      next += 1;
      waiting.set(next, resolve);
      children[next % size].send({ id: next, body });
    });
  return { call, end: () => children.forEach((child) => child.disconnect()) };
}

async function piscina(size) {
  const require = createRequire(path.join(process.env.POOL_BENCH_NODE, 'x.js'));
  const { Piscina } = require('piscina');
  const filename = path.join(path.dirname(self), 'echo.mjs');
  const pool = new Piscina({ filename, name: 'echo', minThreads: size, maxThreads: size });
  return { call: (body) => pool.run(body), end: () => pool.destroy() };
}

if (process.argv[2] === 'answer') {
  process.on('message', ({ id, body }) => process.send({ id, result: body }));
} else {
  const name = process.argv[2];
  const [ops, size, depth, length] = process.argv.slice(3).map(Number);
  const { call, end } = name === 'child_process.fork' ? forked(size) : await piscina(size);
  console.log(String(await rounds(call, ops, depth, 'x'.repeat(length))));
  await end();
}
