// The methods that the tests call, in Node.

import { execSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { setTimeout } from 'node:timers/promises';

if (poolWorker.config?.fail) throw new Error('no such model');

export const total = (numbers) => numbers.reduce((sum, number) => sum + number, 0);

export const nothing = () => null;

export const echo = (value) => value;

export function fail(message) {
  throw new RangeError(message, { cause: new Error('deeper') });
}

export function* count(to, job) {
  for (let number = 0; number < to; number += 1) {
    job.progress(number / to);
    yield number;
  }
  job.log('counted');
  return to;
}

export async function noise(text) {
  console.log(text);
  console.error(text);
  spawnSync('echo', [text], { stdio: 'inherit', shell: true });
  fs.writeSync(1, `${text}\n`);
  if (process.platform !== 'win32') execSync('read line || true', { stdio: 'inherit' });
  let read = '';
  for await (const piece of process.stdin) read += piece;
  return read;
}

export const configured = () => poolWorker.config;

export const pid = () => process.pid;

export async function sleep(seconds, job) {
  await setTimeout(seconds * 1000, undefined, { signal: job.signal });
  return seconds;
}

export function hang() {
  for (;;);
}

export const crash = () => process.abort();

export function leave(code) {
  console.error('this worker has had enough');
  process.exit(code);
}

/** Results and errors that are hard to send. */
export function odd(what, job) {
  switch (what) {
    case 'unspeakable':
      throw Object.create(null);
    case 'surrogate':
      throw new Error(`${'x'.repeat(1999)}😀`);
    case 'long name':
      throw Object.assign(new Error('m'.repeat(70000)), { name: 'N'.repeat(70000) });
    case 'nan':
      throw new Error('null, as JSON has it');
    case 'cycle': {
      const cycle = [];
      cycle.push(cycle);
      return cycle;
    }
    case 'object':
      return 10n;
    case 'generator exit':
      return Promise.reject();
    case 'log level':
      job.log('x', 30);
      throw new Error('logged');
    default:
      return new Uint8Array([97, 99, 101]).buffer;
  }
}

/** Tells something when it is over already. */
export function late(_, job) {
  setTimeout(10).then(() => {
    job.progress(1);
    job.chunk('x');
    throw new Error('a stray one');
  });
  return 'done';
}
