// The fault matrix: every function of PKCS#11 that assertiond calls x every code that the standard lists for it, and
// what else a token can do, under a constant load. The exit status is 0 when every cell kept every promise.
//
//   node matrix.mjs [--only FUNCTION] [--reduced]
//
// --only, --reduced: not all cells. Of a whole run the table is kept in the folder that E2E_RESULTS names.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { cells, FUNCTIONS } from './cells.mjs';
import { writeResults } from './results.mjs';
import { Service } from './service.mjs';
import { Trial } from './trial.mjs';

const ALL_KNOWN = 200;  // calls after which each session has found each key

// Whatever these answer is a result of the custody trial (tests/p11/custody_trial_test.cc), costs an adopted key its new
// label (tests/e2e/adopt.test.mjs), or makes an imported key go in by C_CreateObject (C_UnwrapKey,
// tests/p11/key_import_test.cc): no call depends on them.
const ELSEWHERE = ['C_GenerateKey', 'C_WrapKey', 'C_CopyObject', 'C_SetAttributeValue', 'C_DeriveKey', 'C_DecryptInit',
  'C_Decrypt', 'C_SignRecoverInit', 'C_SignRecover', 'C_UnwrapKey'];
const isUnknown = (name) => !FUNCTIONS.includes(name) && !ELSEWHERE.includes(name);

// What the sources call and the table does not know.
function unknownFunctions() {
  const folder = path.join(process.env.E2E_SOURCE_DIR, 'p11');
  const sources = readdirSync(folder).filter((name) => name.endsWith('.cc'));
  const called = sources.flatMap((name) => readFileSync(path.join(folder, name), 'utf8').match(/\bC_[A-Z]\w+(?=\()/g) ?? []);
  return [...new Set(called)].filter(isUnknown);
}

function describe({ cell, wrong, took, lostAfter, answered, statuses, heard }) {
  const refused = Object.entries(statuses).map(([status, count]) => `${count} ${status}`).join(', ');
  const lines = [`${wrong.length > 0 ? 'FAILED' : 'ok'} ${cell.function} ${cell.fault}, ${cell.how}: ${cell.expect}; ` +
    `well after ${Math.round(took)} ms${lostAfter === undefined ? '' : `, lost after ${Math.round(lostAfter)} ms`}, ` +
    `${answered} answered, ${refused || 'none refused'}${heard ? `, administrator: ${heard}` : ''}`];
  return [...lines, ...wrong.map((what) => `  ${what}`)].join('\n');
}

async function runCell(service, cell, previous) {
  // What an administrator's call is to meet must not meet a session that still looks for its keys.
  if (cell.act && !previous?.act) await service.load.more(ALL_KNOWN);
  const row = await new Trial(service, cell).run();
  if (cell.act && row.took < Infinity && !await service.administers()) {
    row.wrong.push('no change of keys succeeds afterwards');
  }
  return row;
}

const { values: options } = parseArgs({
  options: { only: { type: 'string' }, reduced: { type: 'boolean' } },
});
const unknown = unknownFunctions();
if (unknown.length > 0) throw new Error(`codes.json lacks ${unknown.join(', ')}, which src/p11 calls`);
const planned = cells(options);
if (planned.length === 0) throw new Error(`no cell is of ${options.only}`);

const began = performance.now();
const service = await Service.start();
const rows = [];
for (const cell of planned) {
  rows.push(await runCell(service, cell, rows.at(-1)?.cell));
  console.log(describe(rows.at(-1)));
  if (rows.at(-1).took === Infinity) break;  // what came after it would say nothing
}
const uncovered = service.hsm.called().filter(isUnknown);
await service.stop();

const failed = rows.filter(({ wrong }) => wrong.length > 0).length;
const seconds = Math.round((performance.now() - began) / 1000);
if (uncovered.length > 0) console.log(`codes.json lacks ${uncovered.join(', ')}, which was called`);
console.log(`${planned.length - rows.length} cells not run, ${service.load.total} assertions verified, ${seconds} s`);
console.log(`${rows.length - failed} passed, ${failed} failed`);
const whole = rows.length === planned.length && uncovered.length === 0;
if (whole && process.env.E2E_RESULTS && !options.only && !options.reduced) writeResults(rows, service.load.total);
process.exitCode = whole && failed === 0 ? 0 : 1;
