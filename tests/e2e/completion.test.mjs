// assertionctl completion: each script in its own shell, asked as a press of the key asks it.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Deployment } from './deployment.mjs';
import { output, run } from './process.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';
const BIN = process.env.E2E_BIN_DIR;
const LURE = '$(touch lured);`touch lured`';

// The function of each script, with the line in words; prints what would be offered, one a line. What the shell
// replaces differs: bash splits at = and :.
const BASH = `source completion.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _assertionctl
  [ \${#COMPREPLY[@]} = 0 ] || printf '%s\\n' "\${COMPREPLY[@]}"`;
const ZSH = `compdef() { : }; compset() { : }; _files() { print -r -- FILES }
  compadd() { shift \${@[(ie)--]}; print -rl -- "$@" }
  source ./completion.zsh; words=("$@"); CURRENT=$#; PREFIX=\${words[-1]}; _assertionctl`;
const FISH = 'source completion.fish; complete -C "$argv"';

describe('completion', () => {
  let deployment;
  let kid;

  before(async () => {
    deployment = await Deployment.start([{ client_id: 'orders', audiences: [AUDIENCE] }, { client_id: 'billing', audiences: [AUDIENCE] },
      { client_id: LURE, audiences: [AUDIENCE] }, { client_id: ':files', audiences: [AUDIENCE] }]);
    ({ kid } = await deployment.generateKey('orders'));
    for (const shell of ['bash', 'zsh', 'fish']) {
      writeFileSync(path.join(deployment.folder, `completion.${shell}`), await deployment.ctl('completion', shell));
    }
  });

  after(() => deployment?.close());

  const environment = (changed = {}) => ({ ...deployment.environment, PATH: `${BIN}:${process.env.PATH}`, HOME: deployment.folder, ...changed });
  const lines = ({ stdout, stderr }) => {
    assert.equal(stderr, '');
    return stdout.split('\n').filter((line) => line !== '');
  };
  const options = (changed) => ({ cwd: deployment.folder, env: environment(changed) });
  const bash = async (words, changed) => lines(await run('bash', ['--norc', '-c', BASH, ...words], options(changed)));
  const zsh = async (words, changed) => lines(await run('zsh', ['-f', '-c', ZSH, ...words], options(changed)));
  const fish = async (words, changed) => lines(await run('fish', ['--no-config', '-c', FISH, words.join(' ')], options(changed)))
    .map((line) => line.split('\t')[0]);
  // Bash's function gets the name of the command as its own $0 and the words from there on.
  const shells = { bash: (words, changed) => bash(['bash', ...words], changed), zsh: (words, changed) => zsh(['zsh', ...words], changed), fish };

  for (const [shell, offered] of Object.entries(shells)) {
    it(`${shell}: nouns, verbs, options and their values`, async () => {
      assert.deepEqual(await offered(['assertionctl', 'ke']), ['key']);
      assert.deepEqual((await offered(['assertionctl', 'key', 'r'])).sort(), ['revoke', 'rotate']);
      assert.deepEqual(await offered(['assertionctl', 'key', 'evidence', 've']), ['verify']);
      assert.deepEqual(await offered(['assertionctl', 'token', 'g']), ['get']);
      assert.deepEqual(await offered(['assertionctl', 'token', 'get', '--client-id', 'ord']), ['orders']);
      assert.deepEqual(await offered(['assertionctl', 'key', 'generate', '--al']), ['--algorithm']);
      assert.deepEqual((await offered(['assertionctl', 'key', 'generate', '--algorithm', 'PS'])).sort(), ['PS256', 'PS384', 'PS512']);
      assert.deepEqual((await offered(['assertionctl', 'key', 'generate', '--bits', ''])).sort(), ['2048', '3072', '4096']);
      assert.deepEqual(await offered(['assertionctl', 'key', 'generate', '--json', '--js']), []);
      assert.deepEqual(await offered(['assertionctl', 'nonsense', 'x']), []);
    });

    it(`${shell}: client ids and kids, of the client on the line`, async () => {
      assert.deepEqual(await offered(['assertionctl', 'key', 'show', '--client-id', 'or']), ['orders']);
      assert.deepEqual(await offered(['assertionctl', 'key', 'show', '--client-id', 'billing', '--kid', '']), []);
      // A kid that begins with a hyphen would be read as an option: only --kid= takes it.
      assert.deepEqual(await offered(['assertionctl', 'key', 'show', '--client-id', 'orders', '--kid', '']), kid.startsWith('-') ? [] : [kid]);
    });

    it(`${shell}: offers no word that a shell would interpret`, async () => {
      assert.deepEqual((await offered(['assertionctl', 'key', 'show', '--client-id', ''])).sort(), ['billing', 'orders']);
    });

    it(`${shell}: takes no word of the server for the directive of files`, async () => {
      assert.deepEqual(await offered(['assertionctl', 'key', 'show', '--client-id', ':']), []);
      assert.deepEqual((await offered(['assertionctl', 'key', 'show', '--client-id', ''])).sort(), ['billing', 'orders']);
    });

    it(`${shell}: offers nothing and says nothing without a server`, async () => {
      assert.deepEqual(await offered(['assertionctl', 'key', 'show', '--client-id', ''], { ASSERTIOND_SERVER: 'unix:/nowhere' }), []);
    });

    it(`${shell}: runs the assertionctl of PATH, never the path on the line`, async () => {
      const other = path.join(deployment.folder, 'assertionctl');
      writeFileSync(other, '#!/bin/sh\ntouch lured\n');
      chmodSync(other, 0o755);
      await offered(['./assertionctl', 'ke']);
      assert.ok(!existsSync(path.join(deployment.folder, 'lured')));
    });

    it(`${shell}: runs nothing that stands on the line`, async () => {
      // Fish itself would run what a line of its own substitutes: there the words come quoted.
      const lured = shell === 'fish' ? `'${LURE}'` : LURE;
      for (const words of [['key', 'show', '--client-id', lured], [lured, ''], ['key', '--client-id', lured, '--kid', ''],
        ['key', `--${lured}`, 'x'], ['audit', 'verify', lured]]) await offered(['assertionctl', ...words]);
      assert.ok(!existsSync(path.join(deployment.folder, 'lured')));
    });
  }

  it('a value behind = keeps its option: bash replaces what follows, zsh and fish the whole word', async () => {
    const line = ['assertionctl', 'key', 'show'];
    assert.deepEqual(await shells.bash([...line, '--client-id', '=', 'or']), ['orders']);
    assert.deepEqual((await shells.bash([...line, '--client-id', '='])).sort(), ['billing', 'orders']);
    assert.deepEqual(await shells.zsh([...line, '--client-id=or']), ['--client-id=orders']);
    assert.deepEqual(await shells.fish([...line, '--client-id=or']), ['--client-id=orders']);
    assert.deepEqual(await shells.bash([...line, '--kid', '=', kid.slice(0, 4)]), [kid]);
    assert.deepEqual(await shells.zsh([...line, `--kid=${kid.slice(0, 4)}`]), [`--kid=${kid}`]);
    assert.deepEqual(await shells.fish([...line, `--kid=${kid.slice(0, 4)}`]), [`--kid=${kid}`]);
  });

  it('names of files where an option takes a file', async () => {
    const line = ['assertionctl', 'doctor', '--config'];
    assert.deepEqual(await shells.bash([...line, 'assertiond.js']), ['assertiond.json']);
    assert.deepEqual(await shells.zsh([...line, 'assertiond.js']), ['FILES']);
    assert.deepEqual(await shells.fish([...line, 'assertiond.js']), ['assertiond.json']);
  });

  it('zsh loads it by compinit, from a folder of fpath, and completes a line', async () => {
    const folder = path.join(deployment.folder, 'fpath');
    const { stdout } = await run('zsh', ['-f', '-c', `zmodload zsh/zpty; mkdir -p ${folder}; cp completion.zsh ${folder}/_assertionctl
      zpty z zsh -f -i; zpty -w z 'PS1=READY; fpath=(${folder} $fpath); autoload -U compinit; compinit -u -d ${folder}/dump'
      zpty -w z 'bindkey "^I" complete-word'; zpty -r -m z seen '*READY*bindkey*READY*'
      zpty -n -w z $'assertionctl key show --client-id or\\t'; zpty -r -m z seen '*orders*'; print -r -- "$seen"; zpty -d z`],
    options({ TERM: 'dumb' }));
    assert.match(stdout, /--client-id orders/);
  });

  it('a refusal names the nearest client id, kid and algorithm', async () => {
    const refused = async (words) => (await deployment.tryCtl(...words)).stderr;
    assert.match(await refused(['certificate', 'get', '--client-id', 'ordes']), /did you mean "orders"\?/);
    assert.match(await refused(['key', 'generate', '--client-id', 'orders', '--algorithm', 'ES265']), /did you mean "ES256"\?/);
    const cut = `${kid.slice(0, -2)}${kid.at(-1) === 'A' ? 'BB' : 'AA'}`;
    assert.ok((await refused(['key', 'show', '--client-id', 'orders', `--kid=${cut}`])).includes(`did you mean "${kid}"?`));
  });

  it('a server that never answers costs a second', async () => {
    const socket = path.join(deployment.folder, 'silent.sock');
    const silent = net.createServer(() => {});
    await new Promise((resolve) => { silent.listen(socket, resolve); });
    const began = Date.now();
    assert.equal(await output(path.join(BIN, 'assertionctl'), ['complete', 'key', 'show', '--server', `unix:${socket}`, '--client-id', ''],
      { env: environment() }), '');
    assert.ok(Date.now() - began < 4000);
    silent.close();
  });
});
