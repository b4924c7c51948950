// Draws the panels of deploy/grafana/assertiond.json as an SVG, from the data of a real Prometheus that scrapes a real
// assertiond on SoftHSM2: for a README that is read without a Grafana.
//
//   tests/e2e/run.sh BIN_DIR WORK_DIR node draw_dashboard.mjs /absolute/FILE.svg [SECONDS]
//
// What happens in that time, by eighths: few callers; many; few; the token is away; it is back; many; a key is
// rotated; few.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { AssertionService, Caller } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { FaultyHsm } from './faulty_hsm.mjs';
import { DASHBOARD, Prometheus, withoutVariables } from './prometheus.mjs';

const [file, seconds = '120'] = process.argv.slice(2);
const EIGHTH = Number(seconds) / 8;
const AUDIENCE = 'https://localhost/token';
const CALLERS = 24;

const wait = (time) => new Promise((resolve) => { setTimeout(resolve, time * 1000); });
const now = () => Date.now() / 1000;

// ---- the run ----

let active = 0;
let over = false;

async function callAgainAndAgain(socket, number) {
  const caller = new Caller(AssertionService, socket);
  for (let call = 0; !over; ++call) {
    if (number >= active) {
      await wait(0.1);
    } else {
      const client = call % 200 === 199 ? 'keyless' : number % 3 === 0 ? 'billing' : 'orders';
      await caller.call('CreateAssertion', { client_id: client }, 2).catch(() => wait(0.02));
    }
  }
  caller.close();
}

async function observe() {
  let hsm;
  const deployment = await Deployment.start([
    { client_id: 'orders', audiences: [AUDIENCE], binding: 'jwks', publish_lead: '10s' },
    { client_id: 'billing', audiences: [AUDIENCE] },
    { client_id: 'keyless', audiences: [AUDIENCE] },
  ], { http_listen: '127.0.0.1:0', sessions: 2, audit: { checkpoint_interval: '5s' } },
  async (prepared) => { hsm = new FaultyHsm(prepared); });
  for (const client of ['orders', 'billing']) await deployment.generateKey(client);
  const prometheus = await Prometheus.start(deployment.httpOrigin);
  await prometheus.until('assertiond_ready');
  const start = now();
  const callers = Array.from({ length: CALLERS }, (_, number) => callAgainAndAgain(deployment.socket, number));
  for (const [count, act] of [
    [2], [CALLERS], [2], [2, () => hsm.tell('* removed')],
    [2, () => hsm.tell()], [CALLERS], [4, () => deployment.ctl('key', 'rotate', '--client-id', 'orders')], [2],
  ]) {
    active = count;
    await act?.();
    await wait(EIGHTH);
  }
  over = true;
  await Promise.all(callers);
  const panels = [];
  const end = now();
  for (const panel of DASHBOARD.panels) {
    const series = [];
    for (const { expr, legendFormat } of panel.targets ?? []) {
      for (const { metric, values } of await prometheus.queryRange(withoutVariables(expr), start, end, Math.max(1, Number(seconds) / 120))) {
        const name = legendFormat.replace(/\{\{(\w+)\}\}/g, (_, label) => metric[label] ?? '').trim();
        series.push({ name, values: values.map(([time, value]) => [time, Number(value)]) });
      }
    }
    panels.push({ ...panel, series });
  }
  await deployment.close();
  return { panels, start, end };
}

// ---- the picture ----

const UNIT = 46;   // of Grafana's grid of 24 columns, in pixels; rows are lower
const ROW = 26;
const COLOURS = ['#3274d9', '#56a64b', '#e0b400', '#e02f44', '#a352cc', '#ff780a', '#37872d', '#8f8f8f'];
const escape = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const text = (x, y, words, style = '') => `<text x="${x}" y="${y}" ${style}>${escape(words)}</text>`;

function shown(value, unit) {
  if (!Number.isFinite(value)) return '-';
  if (unit === 's') return value >= 1 ? `${value.toPrecision(3)} s` : value >= 1e-3 ? `${(value * 1e3).toPrecision(3)} ms` : `${(value * 1e6).toFixed(0)} µs`;
  const short = value >= 1e4 ? `${(value / 1e3).toPrecision(3)}k` : `${Number(value.toPrecision(3))}`;
  return { reqps: `${short}/s`, ops: `${short}/s`, d: `${short} d` }[unit] ?? short;
}

function stacked(series) {
  const below = new Map();
  return series.map(({ name, values }) => ({
    name,
    values: values.map(([time, value]) => {
      below.set(time, (below.get(time) ?? 0) + (Number.isFinite(value) ? value : 0));
      return [time, below.get(time)];
    }),
  }));
}

function plot({ title, series, fieldConfig: { defaults } }, { start, end }, width, height) {
  const lines = defaults.custom?.stacking ? stacked(series) : series;
  const area = { left: 58, right: width - 10, top: 30, bottom: height - 46 };
  const most = Math.max(...lines.flatMap(({ values }) => values.map(([, value]) => (Number.isFinite(value) ? value : 0))), 0) || 1;
  const x = (time) => area.left + ((time - start) / (end - start)) * (area.right - area.left);
  const y = (value) => area.bottom - (value / (most * 1.05)) * (area.bottom - area.top);
  const parts = [text(10, 20, title, 'class="title"')];
  for (const share of [0, 0.5, 1]) {
    parts.push(`<line class="grid" x1="${area.left}" x2="${area.right}" y1="${y(most * share)}" y2="${y(most * share)}"/>`,
      text(area.left - 6, y(most * share) + 4, shown(most * share, defaults.unit), 'class="axis" text-anchor="end"'));
  }
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const time = start + share * (end - start);
    parts.push(text(x(time), area.bottom + 14, `${Math.round(time - start)} s`, 'class="axis" text-anchor="middle"'));
  }
  lines.forEach(({ values }, index) => {
    let pen = 'M';
    const d = values.map(([time, value]) => {
      if (!Number.isFinite(value)) { pen = 'M'; return ''; }
      const step = `${pen}${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = 'L';
      return step;
    }).join('');
    parts.push(`<path d="${d}" stroke="${COLOURS[index % COLOURS.length]}"/>`);
  });
  let left = 10;
  lines.forEach(({ name }, index) => {
    const label = name.length > 26 ? `${name.slice(0, 25)}…` : name;
    const size = 18 + label.length * 6;
    if (left + size > width) return;
    parts.push(`<rect x="${left}" y="${height - 18}" width="8" height="8" fill="${COLOURS[index % COLOURS.length]}"/>`,
      text(left + 12, height - 10, label, 'class="axis"'));
    left += size;
  });
  return parts;
}

function stat({ title, series, fieldConfig: { defaults }, options }, width, height) {
  const last = series[0]?.values.at(-1)?.[1] ?? NaN;
  const steps = defaults.thresholds?.steps ?? [];
  const colour = steps.findLast(({ value }) => value === null || last >= value)?.color;
  const value = options.textMode === 'name' ? series[0]?.name : shown(last, defaults.unit);
  return [`<rect width="${width}" height="${height}" rx="4" fill="${{ green: '#37872d', red: '#c4162a', orange: '#d9780a' }[colour] ?? '#333a45'}"/>`,
    text(10, 20, title, 'class="stat"'), text(width / 2, height / 2 + 20, value, 'class="value" text-anchor="middle"')];
}

function draw({ panels, ...times }) {
  const bottom = Math.max(...panels.map(({ gridPos: { y, h } }) => y + h)) * ROW;
  const parts = panels.map((panel) => {
    const { x, y, w, h } = panel.gridPos;
    const [width, height] = [w * UNIT - 8, h * ROW - 8];
    const inner = panel.type === 'row' ? [text(2, 15, panel.title, 'class="row"')]
      : panel.type === 'stat' ? stat(panel, width, height)
        : [`<rect width="${width}" height="${height}" rx="4" class="panel"/>`, ...plot(panel, times, width, height)];
    return `<g transform="translate(${x * UNIT + 8} ${y * ROW + 8})">${inner.join('')}</g>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${24 * UNIT + 8} ${bottom + 16}" font-family="sans-serif" font-size="12">
<style>.panel{fill:#fff;stroke:#d8dde3}.grid{stroke:#e6e9ed}path{fill:none;stroke-width:1.4}.title,.row{font-weight:bold;fill:#24292f}.row{font-size:14px}.axis{font-size:10px;fill:#57606a}.stat{fill:#fff}.value{fill:#fff;font-size:26px;font-weight:bold}</style>
<rect width="100%" height="100%" fill="#f6f8fa"/>
${parts.join('\n')}
</svg>
`;
}

writeFileSync(path.resolve(file), draw(await observe()));
process.exit(0);
