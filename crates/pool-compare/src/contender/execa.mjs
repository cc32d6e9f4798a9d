// execa, by the same cases as the Rust contenders. What JavaScript has not (a handle that is dropped, threads, zombies)
// has no case here.

import {spawn} from 'node:child_process';
import {readFileSync, unlinkSync} from 'node:fs';
import {createInterface} from 'node:readline';
import {execa} from 'execa';

const SOON = 2000;
const [name, puppet] = process.argv.slice(2);

class Fails extends Error {}

const need = (holds, text) => {
	if (!holds) throw new Fails(text);
};

const alive = pid => {
	try {
		return !'ZX'.includes(readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)[0]);
	} catch {
		return false;
	}
};

const pause = ms => new Promise(done => setTimeout(done, ms));

async function needGone(pids) {
	const end = Date.now() + SOON;
	while (pids.some(alive) && Date.now() < end) await pause(10);
	const left = pids.filter(alive).length;
	need(left === 0, `${left} of ${pids.length} processes live on`);
	return 'nothing is left';
}

async function numbersAfter(stream, word, count) {
	const numbers = [];
	for await (const line of createInterface({input: stream})) {
		const [first, number] = line.trim().split(/\s+/);
		if (first === word) numbers.push(Number(number));
		if (numbers.length === count) break;
	}
	return numbers;
}

// The pid that a script wrote into a file, after a timeout has ended it.
async function pidAfterTimeout(script) {
	const path = `/tmp/compare-execa-${process.pid}`;
	const result = await execa('/bin/sh', ['-c', script(path)], {timeout: 500, reject: false});
	need(result.timedOut, 'the timeout was not told');
	const pid = Number(readFileSync(path, 'latin1').trim());
	unlinkSync(path);
	return pid;
}

const cases = {
	async 'leaked-pipe'() {
		const begun = Date.now();
		const {stdout} = await execa(puppet, ['hold-pipe', '6']);
		need(stdout.includes('holding'), `printed ${stdout}`);
		need(Date.now() - begun < SOON, 'the run waited for the grandchild');
		return 'the run ended, its output kept';
	},
	async 'unread-output'() {
		await execa(puppet, ['flood', '1000000']);
		return 'it ended';
	},
	async 'timeout-leader'() {
		return needGone([await pidAfterTimeout(path => `echo $$ > ${path}; exec sleep 30`)]);
	},
	async 'timeout-tree'() {
		return needGone([await pidAfterTimeout(path => `sleep 30 & echo $! > ${path}; wait`)]);
	},
	async escapee() {
		return needGone([await pidAfterTimeout(path => `${puppet} daemonise 30 > ${path}; sleep 30`)]);
	},
	async 'left-daemon'() {
		const {stdout} = await execa(puppet, ['daemonise', '30']);
		return needGone([Number(stdout.trim())]);
	},
	async 'host-killed'() {
		const host = spawn(process.execPath, [process.argv[1], 'host', puppet]);
		const pids = await numbersAfter(host.stdout, 'pid', 3);
		host.kill('SIGKILL');
		return needGone(pids);
	},
	async 'term-ignored'() {
		const child = execa(puppet, ['ignore-term'], {forceKillAfterDelay: 300, reject: false});
		const [pid] = await numbersAfter(child.stdout, 'ready', 1);
		child.kill();
		const result = await child;
		await needGone([pid]);
		need(result.isForcefullyTerminated, 'says nothing of the kill');
		return result.shortMessage;
	},
	async 'unread-input'() {
		await execa(puppet, ['close-stdin-exit'], {input: 'x'.repeat(1 << 20)});
		return 'the run succeeds';
	},
	async 'flood-memory'() {
		const before = process.memoryUsage.rss();
		await execa(puppet, ['flood', '400000000']);
		const grown = Math.round((process.memoryUsage.rss() - before) / (1 << 20));
		need(grown < 64, `400 MB of output take ${grown} MiB`);
		return `400 MB of output take ${grown} MiB`;
	},
	async 'missing-dir'() {
		const dir = await execa('true', {cwd: '/no/such/directory', reject: false});
		const program = await execa('/no/such/program', {reject: false});
		const [one, other] = [dir.shortMessage, program.shortMessage];
		need(one.includes('directory') && other.includes('/no/such/program'), `${one} and ${other}`);
		return one.replaceAll('\n', ' ');
	},
	async signals() {
		const {stdout} = await execa('grep', ['-E', 'Sig(Blk|Ign)', '/proc/self/status']);
		const masks = stdout.split(/\s+/).filter(word => !word.endsWith(':'));
		need(masks.every(mask => /^0+$/.test(mask)), `blocks and ignores ${masks.join(' and ')}`);
		return 'none';
	},
};

// Runs a tree and waits to be killed.
async function host() {
	execa(puppet, ['tree', '2'], {stdout: 'inherit', reject: false});
	await pause(60_000);
}

if (name === 'host') {
	await host();
} else if (name in cases) {
	try {
		console.log(`passes: ${await cases[name]()}`);
	} catch (error) {
		const text = (error.shortMessage ?? error.message).replaceAll('\n', ' ');
		console.log(`fails: ${text.replaceAll(puppet, 'puppet')}`);
	}
} else {
	console.log('skipped: there is no such thing');
}
process.exit(0);
