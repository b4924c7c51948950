// Child processes with deadlines, and the folder that a test file works in. Whatever happens to the test, no process
// outlives it; the folder stays only when the test failed.
import { spawn } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

const running = new Set();
let folder;

// Under the system's temporary folder because a Unix socket's path has room for 107 octets only.
export function temporaryFolder() {
  folder ??= mkdtempSync(path.join(os.tmpdir(), 'assertiond-e2e-'));
  return folder;
}

process.on('exit', (status) => {
  for (const child of running) child.kill('SIGKILL');
  if (!folder) return;
  if (status === 0) rmSync(folder, { recursive: true, maxRetries: 5, retryDelay: 20 });
  else process.stderr.write(`e2e: failed; logs and state are kept in ${folder}\n`);
});

// A moment after which waiting is a failure that says what was waited for.
export class Deadline {
  #end;
  #what;

  constructor(seconds, what) {
    this.#what = `waited ${seconds} s for ${what}`;
    this.#end = Date.now() + seconds * 1000;
  }

  // Settles as promise does, or fails at the deadline.
  async limit(promise) {
    let timer;
    const expiry = new Promise((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(this.#what)), this.#end - Date.now());
    });
    try {
      return await Promise.race([promise, expiry]);
    } finally {
      clearTimeout(timer);
    }
  }

  // Looks at condition(), or what it promises, until it is true.
  async until(condition) {
    while (!await condition()) {
      if (Date.now() > this.#end) throw new Error(this.#what);
      await new Promise((resolve) => { setTimeout(resolve, 5); });
    }
  }
}

// Starts a program that runs beside the test. Its standard error is kept in the file log; child.ended is a promise of
// { status, signal }. It does not keep the test process alive, and the kernel kills it when the test process dies.
export function startProcess(program, options, { env = process.env, log }) {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...options], { env, stdio: 'pipe' });
  running.add(child);
  child.log = log;
  child.stderr.on('data', (chunk) => appendFileSync(log, chunk));
  child.ended = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) => {
      running.delete(child);
      resolve({ status, signal });
    });
  });
  for (const handle of [child, child.stdin, child.stdout, child.stderr]) handle.unref();
  return child;
}

// The lines that a started program writes, in order.
export class Lines {
  #child;
  #arrived = [];
  #waiting = [];

  constructor(child, stream) {
    this.#child = child;
    createInterface({ input: child[stream] }).on('line', (line) => {
      const resolve = this.#waiting.shift();
      if (resolve) resolve(line); else this.#arrived.push(line);
    });
  }

  async next(deadline) {
    if (this.#arrived.length > 0) return this.#arrived.shift();
    let resolveLine;
    const line = new Promise((resolve) => { resolveLine = resolve; });
    this.#waiting.push(resolveLine);
    const ended = this.#child.ended.then(({ status, signal }) => {
      const command = this.#child.spawnargs.slice(3).join(' ');
      throw new Error(`${command}: ended with ${status ?? signal}; its log is ${this.#child.log}`);
    });
    try {
      return await deadline.limit(Promise.race([line, ended]));
    } finally {
      // A wait that failed must not swallow the line that somebody waits for later.
      this.#waiting = this.#waiting.filter((resolve) => resolve !== resolveLine);
    }
  }

  discard() {
    this.#arrived.length = 0;
  }
}

// Runs a program to its end, which must come within `seconds`. Returns { status, stdout, stderr }; status is the signal's
// name when one ended it.
export async function run(program, options, { env = process.env, cwd, input = '', encoding = 'utf8', seconds = 60 } = {}) {
  const child = spawn(program, options, { env, cwd, stdio: 'pipe' });
  running.add(child);
  const written = { stdout: [], stderr: [] };
  for (const stream of ['stdout', 'stderr']) child[stream].on('data', (chunk) => written[stream].push(chunk));
  child.stdin.on('error', () => {});  // a program may end without reading its input
  child.stdin.end(input);
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) => resolve(status ?? signal));
  });
  try {
    const status = await new Deadline(seconds, `the end of: ${path.basename(program)} ${options.join(' ')}`).limit(ended);
    const stdout = Buffer.concat(written.stdout);
    return {
      status,
      stdout: encoding === 'buffer' ? stdout : stdout.toString(encoding),
      stderr: Buffer.concat(written.stderr).toString(),
    };
  } finally {
    child.kill('SIGKILL');
    running.delete(child);
  }
}

// The lines of a file that somebody may be writing: the last one counts once it is whole.
export const wholeLines = (file) => readFileSync(file, 'utf8').split('\n').slice(0, -1);

// As run, for a program that must succeed. Returns its standard output.
export async function output(program, options, settings) {
  const { status, stdout, stderr } = await run(program, options, settings);
  if (status !== 0) throw new Error(`${path.basename(program)} ${options.join(' ')}: ended with ${status}: ${stderr}`);
  return stdout;
}

// As output, as root: others by sudo, as everywhere in this project's tests.
export const asRoot = (program, options, settings) =>
  (process.getuid() === 0 ? output(program, options, settings) : output('sudo', ['-n', program, ...options], settings));
