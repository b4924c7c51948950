// A table of what a run has seen, kept as Markdown in the folder that E2E_RESULTS names.
import { writeFileSync } from 'node:fs';
import path from 'node:path';

const shown = (value) => (typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(value < 10 ? 1 : 0) : `${value}`);

export class Table {
  #file;
  #title;
  #rows = [];
  #notes = [];

  constructor(file, title) {
    this.#file = file;
    this.#title = title;
  }

  // Each row has the same columns, by name.
  add(row) {
    this.#rows.push(row);
  }

  note(text) {
    this.#notes.push(text);
  }

  write() {
    const columns = Object.keys(this.#rows[0] ?? {});
    const line = (cells) => `| ${cells.join(' | ')} |`;
    const table = [columns, columns.map(() => '---'), ...this.#rows.map((row) => columns.map((name) => shown(row[name])))];
    const text = [`## ${this.#title}`, ...this.#notes, table.map(line).join('\n')].join('\n\n');
    process.stdout.write(`${text}\n`);
    if (process.env.E2E_RESULTS) writeFileSync(path.join(process.env.E2E_RESULTS, this.#file), `${text}\n`);
  }
}
