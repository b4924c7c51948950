// Every command on every page: the shell blocks run, in order, in the world of their page (page_worlds.mjs), or the page says
// which other test runs them or why nothing can (page_blocks.mjs). Commands in a sentence are checked against --help.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { ROOT, blocksOf, commandsOf, isShell, pageText, pages } from './page_blocks.mjs';
import { worldOf } from './page_worlds.mjs';
import { Deadline, Lines, output, run, startProcess, temporaryFolder } from './process.mjs';

const BIN = process.env.E2E_BIN_DIR;
const MOST_NOT_RUN = 5;   // blocks that nothing here can run: what raises this number needs a reason as good as theirs

const blocks = pages().flatMap((page) => blocksOf(page).map((block) => ({ ...block, page })));
const shell = blocks.filter(isShell);
const runs = ({ tests, reason }) => !tests && !reason;

describe('the blocks of the pages', () => {
  it('say which language they are in', () => {
    for (const { at, text, language } of blocks) {
      assert.ok(language !== '' || !/^ *(?:sudo +)?(?:assertion(?:ctl|d)|deploy\/\S+|curl)\b/m.test(text),
        `${at}: commands in a block without a language`);
    }
  });

  it('run, or another test runs them, or few cannot', () => {
    for (const { at, tests = [] } of shell) {
      for (const file of tests) assert.ok(existsSync(path.join(ROOT, file)), `${at}: run by ${file}, which does not exist`);
    }
    const not = shell.filter(({ reason }) => reason).map(({ at }) => at);
    assert.ok(not.length <= MOST_NOT_RUN, `blocks that are not run: ${not.join(' ')}`);
    assert.ok(shell.filter(runs).length > 40, 'blocks are found');
  });

  it('the test that a page names for a block knows its commands', () => {
    for (const { at, text, tests } of shell.filter((block) => block.tests)) {
      const known = tests.map((file) => readFileSync(path.join(ROOT, file), 'utf8')).join('\n');
      const words = [...commandsOf('assertionctl', text).flatMap((words) => words.slice(0, 2)),
        ...[...text.matchAll(/(?:deploy|tests)\/[\w/]+\/?([\w-]+\.(?:sh|py))/g)].map(([, name]) => name)];
      const unknown = words.filter((word) => !word.startsWith('-') && !known.includes(word));
      assert.deepEqual(unknown, [], `${at}: ${tests.join(', ')} lack these`);
    }
  });
});

// The options of a verb, or of what stands before it: every --name of its --help.
const helps = new Map();
async function helpOf(program, words) {
  const key = [program, ...words].join(' ');
  if (!helps.has(key)) helps.set(key, await run(path.join(BIN, program), [...words, '--help']));
  return helps.get(key);
}

// What is wrong with a command, if anything. The help of a noun that lacks the verb is the noun's.
async function fault(program, words) {
  const named = words.slice(0, words.findIndex((word) => !/^[a-z][a-z0-9-]*$/.test(word)) >>> 0)
    .slice(0, words[2] === 'verify' ? 3 : 2);
  if (program === 'assertiond') named.length = 0;
  const { status, stdout } = await helpOf(program, named);
  const usage = /^Usage: (?:\S*\/)?(.*)$/m.exec(stdout)?.[1] ?? '';
  const called = [program, ...named].join(' ');
  const isPositional = named.length === 2 && usage.startsWith(`${program} ${named[0]} `) && !usage.includes('SUBCOMMAND');
  if (status !== 0 || !(`${usage} `.startsWith(`${called} `) || isPositional)) return `there is no ${called}`;
  const end = words.indexOf('--');
  const options = words.slice(0, end === -1 ? undefined : end).filter((word) => /^--[a-z]/.test(word))
    .map((word) => word.replace(/=.*|[^a-z0-9-].*$/s, ''));
  const general = (await helpOf(program, [])).stdout;
  const unknown = options.filter((option) => option !== '--help' && ![stdout, general].some((text) =>
    new RegExp(`${option}\\b(?!-)`).test(text)));
  return unknown.length > 0 ? `${called} has no ${unknown.join(', ')}` : undefined;
}

describe('the commands in the sentences and blocks of a page', () => {
  for (const page of pages()) {
    it(`${page}: programs, verbs and options exist`, async () => {
      const text = pageText(page);
      const spans = [...text.matchAll(/`(assertion(?:ctl|d)\s[^`]+)`/g)].map(([, span]) => span.replace(/\s*\n\s*/g, ' '));
      const code = [...spans, ...blocksOf(page).filter(isShell).map((block) => block.text)].join('\n');
      const faults = [];
      for (const program of ['assertionctl', 'assertiond']) {
        for (const words of commandsOf(program, code)) faults.push(await fault(program, words.filter((word) => word !== '…')));
      }
      assert.deepEqual(faults.filter(Boolean), []);
    });
  }
});

const READER = `cd "$1"
while read -r block; do
  source "$block" </dev/null >>"$2" 2>&1
  echo done
done`;

// A shell that keeps its variables from block to block, as a reader's does.
class Reader {
  #shell;
  #lines;
  #folder = mkdtempSync(path.join(temporaryFolder(), 'page-'));
  #count = 0;

  constructor(world) {
    this.world = world;
    this.written = path.join(this.#folder, 'written');
    writeFileSync(this.written, '');
    this.#shell = startProcess('bash', ['-euo', 'pipefail', '-c', READER,
      'reader', world.cwd, this.written], { env: world.environment, log: path.join(this.#folder, 'shell.log') });
    this.#lines = new Lines(this.#shell, 'stdout');
  }

  async run({ at, text }) {
    const file = path.join(this.#folder, `block-${this.#count++}`);
    writeFileSync(file, text);
    this.#shell.stdin.write(`${file}\n`);
    try {
      await this.#lines.next(new Deadline(this.world.seconds, `the block ${at}`));
    } catch (error) {
      throw new Error(`${at}: ${error.message}\n${readFileSync(this.written, 'utf8').slice(-3000)}`);
    }
  }

  close() { this.#shell.kill('SIGKILL'); }
}

// Runs blocks in a world; returns the words of `places` and `before` that none of them has.
async function runBlocks(world, blocks) {
  const reader = new Reader(world);
  const used = new Set();
  try {
    for (const block of blocks) {
      for (const [text, act] of world.before.filter(([words]) => block.text.includes(words))) {
        used.add(text);
        await act();
      }
      let { text } = block;
      for (const [there, here] of world.places) {
        if (text.includes(there)) used.add(there);
        text = text.replaceAll(there, here);
      }
      await reader.run({ ...block, text });
    }
  } finally {
    reader.close();
    await world.close();
  }
  return [...world.places, ...world.before].map(([text]) => text).filter((text) => !used.has(text));
}

for (const page of new Set(shell.filter(runs).map((block) => block.page))) {
  const own = shell.filter((block) => block.page === page && runs(block));
  it(`${page}: its ${own.length} blocks run`, async () => {
    assert.deepEqual(await runBlocks(await worldOf(page), own), [], 'what the world has and the page does not mention');
  });
}

describe('the emergency of deploy/rotation.md', () => {
  const page = 'deploy/rotation.md';
  const line = (block) => Number(block.at.split(':').at(-1));
  const heading = pageText(page).split('\n').indexOf('## The emergency');
  const own = shell.filter((block) => block.page === page && runs(block) && line(block) > heading);

  const keysOf = async (deployment) => JSON.parse(await deployment.ctl('key', 'list', '--json')).keys
    .filter(({ client_id: id }) => id === 'reports');

  for (const [what, next, algorithm] of [
    ['with a next key: that one takes over', true, 'RS256'],
    ['without a next key: one is made, and the old one is gone', false, 'RS256'],
    ['with a key of another kind than the configuration names: one of that kind is made', false, 'ES256'],
  ]) {
    it(what, async () => {
      const world = await worldOf(`${page}#the-emergency`);
      const { deployment } = world;
      const keys = () => keysOf(deployment);
      if (algorithm !== 'RS256') {
        await deployment.ctl('key', 'rotate', '--client-id', 'reports', '--algorithm', algorithm, '--sign-from', 'now', '--force', 'reports');
      }
      const old = await keys();
      if (next) await deployment.ctl('key', 'rotate', '--client-id', 'reports');
      const published = (await keys()).find(({ state }) => state === 'published')?.kid;
      const end = world.close.bind(world);
      let left;
      world.close = async () => {
        left = await keys();
        await end();
      };
      await runBlocks(world, own);
      assert.deepEqual(left.map((key) => [key.state, key.algorithm]), [['signing', algorithm]]);
      assert.ok(old.every(({ kid }) => kid !== left[0].kid));
      if (next) assert.equal(left[0].kid, published);
    });
  }

  it('its look at the JWK Set says nothing good of a bad key, and of a set that it did not get', async () => {
    const world = await worldOf(`${page}#the-emergency`);
    const { deployment, environment } = world;
    const { text } = own.find((block) => block.text.includes('published now:'));
    try {
      const [{ kid }] = await keysOf(deployment);
      // Without pipefail, as a reader's shell; nothing is revoked.
      const look = (bad, changed) => run('bash', ['-c', `assertionctl() { :; }\nbad=${bad}\n${text}`],
        { env: { ...environment, ...changed } });
      assert.equal((await look('another')).stdout, `published now: ${kid}\n`);
      for (const [bad, changed, said] of [
        [kid, {}, /NOT DONE: a bad key is published/],
        ['another', { ASSERTIOND_HTTP: environment.ASSERTIOND_MONITOR }, /404/],
      ]) {
        const { stdout, stderr } = await look(bad, changed);
        assert.equal(stdout, '');
        assert.match(stderr, said);
      }
    } finally {
      await world.close();
    }
  });
});

it('deploy/rotation.md: the script of the schedule makes one key a month, and destroys withdrawn ones alone', async () => {
  const world = await worldOf('deploy/rotation.md#the-emergency');
  const { deployment } = world;
  const [, script] = /<<'SCRIPT'\n([^]*?)^SCRIPT$/m.exec(pageText('deploy/rotation.md'));
  const file = path.join(world.home, 'rotate');
  writeFileSync(file, script, { mode: 0o755 });
  const rotateIn = async (month) => {
    world.program('date', `[ "$*" = "--utc +%Y-%m" ]\necho ${month}`);
    await output(file, ['reports'], { env: { ...world.environment, STATE_DIRECTORY: world.home } });
    return JSON.parse(await deployment.ctl('key', 'list', '--json')).keys.filter(({ client_id: id }) => id === 'reports');
  };
  const states = (keys) => keys.map(({ state }) => state).sort();
  try {
    const [old] = JSON.parse(await deployment.ctl('key', 'list', '--json')).keys;
    assert.deepEqual(states(await rotateIn('2026-11')), ['published', 'signing']);
    const [next] = (await rotateIn('2026-11')).filter(({ kid }) => kid !== old.kid);
    assert.deepEqual(states(await rotateIn('2026-12')), ['published', 'signing'], 'one waits already');
    await deployment.ctl('key', 'schedule', '--client-id', 'reports', `--kid=${next.kid}`, '--sign-from', 'now', '--force', 'reports');
    assert.deepEqual(states(await rotateIn('2026-11')), ['retiring', 'signing'], 'made this month already');
    await deployment.ctl('key', 'revoke', '--client-id', 'reports', `--kid=${old.kid}`);
    const left = await rotateIn('2026-12');
    assert.deepEqual(states(left), ['published', 'signing']);
    assert.ok(left.every(({ kid }) => kid !== old.kid), 'the withdrawn one is destroyed');
    await deployment.ctl('key', 'evidence', 'verify', path.join(world.home, `${old.kid}.evidence`));
  } finally {
    await world.close();
  }
});

it('deploy/docs/audit-log.md: who used a key on a day has those who got a token that was bought with it', async () => {
  const page = 'deploy/docs/audit-log.md';
  const world = await worldOf(page);
  const { text } = shell.find((block) => block.page === page && block.text.includes('day=$(date'));
  try {
    await world.before.find(([words]) => words === 'lines() {')[1]();
    const { status, stdout, stderr } = await run('bash', ['-euo', 'pipefail', '-c', text.replaceAll('/var/lib/assertiond', world.folder)],
      { env: world.environment });
    assert.equal(status, 0, stderr);
    const used = stdout.trimEnd().split('\n').map((line) => line.split('\t').slice(1).join(' '));
    assert.deepEqual(used.filter((line) => !line.startsWith('GenerateKey')),
      ['CreateAssertion assertiond', `GetAccessToken uid:${process.getuid()}`]);
  } finally {
    await world.close();
  }
});

it('deploy/docs/audit-log.md: what it installs for a SIEM sends each line once, also after one was refused', async () => {
  const page = 'deploy/docs/audit-log.md';
  const world = await worldOf(page);
  const [, script] = /<<'SCRIPT'\n([^]*?)^SCRIPT$/m.exec(pageText(page));
  const file = path.join(world.home, 'to-siem');
  writeFileSync(file, script.replaceAll('/var/lib/assertiond', world.folder), { mode: 0o755 });
  const siem = path.join(world.home, 'siem');
  writeFileSync(siem, '');
  world.program('logger', `[ -z "\${MOST:-}" ] || [ "$(wc -l <"$HOME/siem")" -lt "$MOST" ]\nprintf '%s\\n' "\${@: -1}" >>"$HOME/siem"`);
  const sent = () => readFileSync(siem, 'utf8').split('\n').slice(0, -1).map((line) => JSON.parse(line).seq);
  const start = (changed) => startProcess('setsid', [file],
    { env: { ...world.environment, STATE_DIRECTORY: world.home, ...changed }, log: path.join(world.home, 'to-siem.log') });
  const arrived = (count) => new Deadline(60, `${count} lines at the SIEM`).until(() => sent().length >= count);
  // With all that it has started, as systemd does.
  const end = (child) => {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch (error) {
      assert.equal(error.code, 'ESRCH');
    }
    return new Deadline(60, 'the end of the script').limit(child.ended);
  };
  try {
    const first = start({ MOST: '3' });
    await arrived(3);
    await new Deadline(60, 'the script to stop').until(() => first.exitCode !== null);
    assert.equal((await end(first)).status, 1);
    const second = start({});
    const lines = world.deployment.auditLines().length;
    await arrived(lines);
    await world.deployment.ctl('assertion', 'create', '--client-id', 'orders');
    await arrived(lines + 1);
    await end(second);
    assert.deepEqual(sent(), sent().map((_, i) => i + 1));
  } finally {
    await world.close();
  }
});

it('deploy/runbook.md: its blocks do not say "nobody" of a log that they cannot read', async () => {
  const world = await worldOf('deploy/runbook.md');
  const own = shell.filter((block) => block.page === 'deploy/runbook.md' && runs(block));
  const reading = own.filter(({ text }) => /audit_show --/.test(text));
  assert.ok(reading.length >= 3, 'blocks that read the log are found');
  try {
    const [first] = own;
    assert.match(first.text, /^audit_show\(\) /m);
    for (const { at, text } of reading) {
      const script = `${first.text.replace('/var/lib/assertiond', `${world.folder}/nowhere`)}\n${text}`;
      const { status, stdout } = await run('bash', ['-c', script], { env: world.environment });
      assert.deepEqual({ failed: status !== 0, stdout }, { failed: true, stdout: '' }, at);
    }
  } finally {
    await world.close();
  }
});
