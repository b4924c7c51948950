// The table of a whole run, for people to read: one line for what had the same function, way and action.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { ACTIONS } from './cells.mjs';

const worst = (rows, figure) => {
  const known = rows.map((row) => row[figure]).filter((number) => number !== undefined);
  return known.length > 0 ? Math.round(Math.max(...known)) : '';
};
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const refused = (row) => sum(Object.values(row.statuses));
const line = (...columns) => `| ${columns.join(' | ')} |`;

function describe(rows) {
  const [{ cell }] = rows;
  const codes = rows.map((row) => row.cell.fault.replace('CKR_', '')).join(', ');
  return line(`\`${cell.function.replace('*', '\\*')}\``, codes, cell.how, cell.expect, worst(rows, 'lostAfter'),
    worst(rows, 'took'), sum(rows.map((row) => row.answered)), sum(rows.map(refused)),
    rows.filter(({ wrong }) => wrong.length > 0).length);
}

function grouped(rows) {
  const groups = new Map();
  for (const row of rows) {
    const { function: name, fault, how, expect } = row.cell;
    const key = [name, how, expect, fault.startsWith('CKR_') || fault].join();
    groups.set(key, [...groups.get(key) ?? [], row]);
  }
  return [...groups.values()];
}

export function writeResults(rows, assertions) {
  const failed = rows.filter(({ wrong }) => wrong.length > 0).length;
  writeFileSync(path.join(process.env.E2E_RESULTS, 'matrix.md'), `## The fault matrix

The cells are in \`cells.mjs\`, the codes (PKCS #11 v2.40, section 5) in
\`codes.json\`. ${rows.length} cells: ${rows.length - failed} passed, ${failed} failed. ${assertions} assertions were released; each was verified by jose, and no
jti came twice. Eight callers all the time. Milliseconds: the worst of the line's cells.

${line('function', 'answers', 'how', 'what assertiond does', 'lost after, ms', 'well again after, ms', 'answered', 'refused', 'failed')}
${line(...Array.from({ length: 9 }, () => '---'))}
${grouped(rows).map(describe).join('\n')}

What was demanded of each cell, besides the above: every call ended with a status by its deadline; grpc.health.v1 and
\`/readyz\` said the same; well again within 1 s of the fault's end, 3 s when the module was reloaded or somebody was
waited for; lost within 1 s of the fault; after an administrator's cell a change of keys succeeded. And:

${Object.entries(ACTIONS).map(([name, { meaning }]) => `- *${name}*: ${meaning}`).join('\n')}
`);
}
