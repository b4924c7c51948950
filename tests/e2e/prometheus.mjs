// A real Prometheus that scrapes assertiond each second and evaluates the alert rules of deploy/prometheus.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Deadline, Lines, startProcess, temporaryFolder } from './process.mjs';

const DEPLOY = path.join(process.env.E2E_PROTO_DIR, '../deploy');
export const RULES = path.join(DEPLOY, 'prometheus/assertiond.rules.yml');
export const DASHBOARD = JSON.parse(readFileSync(path.join(DEPLOY, 'grafana/assertiond.json'), 'utf8'));

// What Grafana would put in the place of its variables.
export const withoutVariables = (expression) => expression.replaceAll('$__rate_interval', '4s')
  .replaceAll('"$job"', '"assertiond"').replaceAll('"$instance"', '".*"');

export class Prometheus {
  #origin;

  // origin: of assertiond's HTTP listener.
  static async start(origin) {
    const folder = path.join(temporaryFolder(), 'prometheus');
    mkdirSync(folder);
    const configuration = path.join(folder, 'prometheus.json');  // YAML is a superset of JSON
    writeFileSync(configuration, JSON.stringify({
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: [RULES],
      scrape_configs: [{ job_name: 'assertiond', static_configs: [{ targets: [new URL(origin).host] }] }],
    }));
    const child = startProcess('prometheus', [`--config.file=${configuration}`, `--storage.tsdb.path=${folder}/data`,
      '--web.listen-address=127.0.0.1:0'], { log: path.join(folder, 'prometheus.log') });
    const lines = new Lines(child, 'stderr');
    const deadline = new Deadline(30, 'Prometheus to listen');
    const prometheus = new Prometheus();
    while (!prometheus.#origin) {
      const [, address] = /msg="Listening on" address=(\S+)/.exec(await lines.next(deadline)) ?? [];
      prometheus.#origin = address && `http://${address}`;
    }
    return prometheus;
  }

  async #ask(endpoint, parameters) {
    const response = await fetch(`${this.#origin}/api/v1/${endpoint}?${new URLSearchParams(parameters)}`);
    const answer = await response.json();
    if (answer.status !== 'success') throw new Error(`${parameters.query ?? endpoint}: ${answer.error ?? response.status}`);
    return answer.data;
  }

  // The series that the expression has now: [{ metric, value: [time, text] }].
  query = async (query) => (await this.#ask('query', { query })).result;

  // From start to end, in seconds since 1970: [{ metric, values: [[time, text]] }].
  queryRange = async (query, start, end, step) => (await this.#ask('query_range', { query, start, end, step })).result;

  rules = async () => (await this.#ask('rules', {})).groups.flatMap((group) => group.rules);

  // Looks each 200 ms until the expression has series. Returns them.
  async until(query, seconds = 30) {
    let series = [];
    const deadline = new Deadline(seconds, `Prometheus to have data for ${query}`);
    while (series.length === 0) {
      series = await deadline.limit(this.query(query));
      if (series.length === 0) await deadline.limit(new Promise((resolve) => { setTimeout(resolve, 200); }));
    }
    return series;
  }
}
