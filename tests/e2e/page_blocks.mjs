// The shell blocks of the pages, and what each page says about them. A block without a word runs in pages.test.mjs. A comment
// in the line above a block, or in the first lines of a page for all of its blocks, says otherwise:
//
//   <!-- run by: tests/e2e/wso2.test.mjs -->       another test runs these commands; several are separated by commas
//   <!-- not run: needs a Luna HSM -->             nothing here can run them, and why
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

export const ROOT = path.resolve(process.env.E2E_PROTO_DIR, '..');
const FOLDERS = ['.', 'deploy', 'deploy/docs', 'hsm-config', 'deploy/clients', 'deploy/clients/go', 'deploy/clients/java',
  'deploy/clients/node', 'deploy/clients/python'];
const HISTORY = 'CHANGELOG.md';   // what older versions did
const WORD = /^<!-- (run by|not run): (.+) -->$/;
const HEAD_LINES = 5;   // of a page, where a word covers all of its blocks

export function pages() {
  return FOLDERS.flatMap((folder) => readdirSync(path.join(ROOT, folder)).filter((name) => name.endsWith('.md'))
    .map((name) => path.posix.join(folder, name))).filter((page) => page !== HISTORY);
}

export const pageText = (page) => readFileSync(path.join(ROOT, page), 'utf8');

function wordOf(line) {
  const [, kind, value] = WORD.exec(line?.trim() ?? '') ?? [];
  if (kind === 'not run') return { reason: value };
  return kind ? { tests: value.split(/, */) } : undefined;
}

// The page's blocks in order: { at: 'PAGE:LINE', language, text, tests or reason if another test or none runs it }.
export function blocksOf(page) {
  const lines = pageText(page).split('\n');
  const whole = lines.slice(0, HEAD_LINES).map(wordOf).find(Boolean);
  const blocks = [];
  let open;
  lines.forEach((line, index) => {
    const fence = /^ *```(.*)$/.exec(line);
    if (fence && open) {
      blocks.push(open);
      open = undefined;
    } else if (fence) {
      open = { at: `${page}:${index + 1}`, language: fence[1].trim(), text: '', ...wordOf(lines[index - 1]) ?? whole };
    } else if (open) {
      open.text += `${line}\n`;
    }
  });
  if (open) throw new Error(`${open.at}: the block has no end`);
  return blocks;
}

export const isShell = ({ language }) => /^(sh|bash|shell|console)\b/.test(language);

// The commands of a program in a text of shell: lists of words, without comments, up to the next operator.
export function commandsOf(program, text) {
  const joined = text.replaceAll('\\\n', ' ').replace(/(^|\s)#.*$/gm, '$1');
  const found = [];
  const before = '(?:^|[;|(&]|\\b(?:do|then|if)\\b)\\s*(?:\\w+=\\S+\\s+)*(?:sudo\\s+(?:-u\\s+\\w+\\s+)?)?';
  const word = "(?:'[^']*'|\"[^\"]*\"|[^\\s;|&<>()'\"]+)+";
  for (const [, rest] of joined.matchAll(new RegExp(`${before}${program}((?: +${word})*)`, 'gm'))) {
    found.push(rest.trim().match(/(?:'[^']*'|"[^"]*"|[^\s"'])+/g) ?? []);
  }
  return found;
}
