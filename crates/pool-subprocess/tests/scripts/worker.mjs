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
