// A network HSM and the machines that use it: each is a network namespace of its own, with one link to the HSM's. The HSM
// is `p11-kit server` over SoftHSM2, behind a TCP port, with a process and so a SoftHSM2 for each connection: faulty_hsm
// has them store one after the other, because SoftHSM2 alone would lose sight of what the others store. A machine's PKCS #11 module is p11-kit's proxy, which starts socat
// for the connection. Links are cut, refuse, lose packets and are slow as the test says. Namespaces have no name and end
// with their last process, so that nothing is left behind and runs do not meet.
//
// A cut takes the link down, or nftables drops packets: the connection stays and falls silent. Loss is nftables' as well,
// so that the kernel's own retransmission is what answers it. Delay is the listener's, because kernels without the netem
// queue cannot delay packets.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Deadline, Lines, output, startProcess } from './process.mjs';

const PORT = 7001;
const HTTP_PORT = 8080;
const LISTENER = fileURLToPath(new URL('hsm_listener.mjs', import.meta.url));
const SAMPLER = fileURLToPath(new URL('jwks_sampler.mjs', import.meta.url));

// How long a machine's module waits for the network. A vendor's module gives up after seconds; one without time limits
// waits as long as the kernel does.
const LIMITS = {
  brief: ['connect-timeout=2', 'keepalive', 'keepidle=1', 'keepintvl=1', 'keepcnt=3',
    'setsockopt-int=6:18:3000'],   // TCP_USER_TIMEOUT, in milliseconds
  none: [],
};

// Whether this process may make namespaces: root in a container without CAP_SYS_ADMIN may not.
const mayMakeNamespaces = process.getuid() === 0 &&
  spawnSync('unshare', ['--net', '--mount', 'true']).status === 0;

// As describe, where namespaces can be made. Elsewhere it says that the suite was not tested.
export function describeInNamespaces(...suite) {
  if (mayMakeNamespaces) {
    describe(...suite);
  } else {
    process.stderr.write('e2e: NOT TESTED: no namespaces can be made here\n');
  }
}

// Where p11-kit keeps what is called so.
const installed = async (variable) => (await output('pkg-config', [`--variable=${variable}`, 'p11-kit-1'])).trim();
const address = (at, host) => `10.99.${at}.${host}`;

export class HsmNetwork {
  #folder;
  #configurations;   // the folder in which the proxy looks for modules
  #hsm;         // the process that holds the HSM's namespace
  #listener;
  #machines = [];
  #processes = [];
  #down = new Set();

  // For a deployment whose token exists already. limits: of each machine's module, one of LIMITS.
  static async start(deployment, limits) {
    const network = new HsmNetwork();
    network.#folder = path.join(deployment.folder, 'network');
    mkdirSync(network.#folder);
    try {
      await network.#build(deployment, limits);
    } catch (error) {
      network.end();
      throw error;
    }
    return network;
  }

  async #build(deployment, limits) {
    this.#configurations = await installed('p11_module_configs');
    this.#hsm = await this.#namespace();
    await this.#inside(this.#hsm, 'ip', 'link', 'set', 'lo', 'up');
    for (const [at, limit] of limits.entries()) await this.#addMachine(at, LIMITS[limit]);
    await this.#shape([]);   // fails here where nftables or its kernel part is missing

    const socket = path.join(this.#folder, 'hsm.sock');
    const module = deployment.wrapModule(await installed('proxy_module'));
    this.#start(['p11-kit', 'server', '--foreground', '--provider', process.env.E2E_FAULTY_HSM, '--name', socket, 'pkcs11:'],
      'server', { ...deployment.environment, FAULTY_HSM_MODULE: module, FAULTY_HSM_STORES: path.join(this.#folder, 'stores') });
    await new Deadline(30, `p11-kit server's socket ${socket}`).until(() => existsSync(socket));
    this.#listener = this.#start([...this.#enter(this.#hsm), process.execPath, LISTENER, socket, `${PORT}`], 'listener');
    assert.equal(await new Lines(this.#listener, 'stdout').next(new Deadline(30, 'the HSM\'s port')), 'listening');
  }

  async #addMachine(at, limit) {
    const holder = await this.#namespace();
    const modules = path.join(this.#folder, `modules-${at}`);
    mkdirSync(modules);
    const options = [`TCP:${address(at, 1)}:${PORT}`, ...limit].join(',');
    writeFileSync(path.join(modules, 'hsm.module'), `remote: |socat - ${options}\n`);
    this.#machines.push({ holder, modules });
    await this.#inside(this.#hsm, 'ip', 'link', 'add', `r${at}`, 'type', 'veth', 'peer', 'name', 'hsm', 'netns', `${holder.pid}`);
    for (const [where, host, link] of [[this.#hsm, 1, `r${at}`], [holder, 2, 'hsm']]) {
      await this.#inside(where, 'ip', 'addr', 'add', `${address(at, host)}/30`, 'dev', link);
      await this.#inside(where, 'ip', 'link', 'set', link, 'up');
    }
    await this.#inside(holder, 'ip', 'link', 'set', 'lo', 'up');
  }

  #start(command, name, env = process.env) {
    const child = startProcess(command[0], command.slice(1), { env, log: path.join(this.#folder, `${name}.log`) });
    this.#processes.push(child);
    return child;
  }

  async #namespace() {
    const holder = this.#start(['unshare', '--net', 'sleep', 'infinity'], 'namespaces');
    const own = readlinkSync('/proc/self/ns/net');
    await new Deadline(30, 'a network namespace').until(() => readlinkSync(`/proc/${holder.pid}/ns/net`) !== own);
    return holder;
  }

  #enter = (holder) => ['nsenter', `--net=/proc/${holder.pid}/ns/net`];
  #inside(holder, ...command) {
    const [program, ...options] = [...this.#enter(holder), ...command];
    return output(program, options);
  }

  // What runs a program on a machine: in its network, and with its module's configuration in place of the system's.
  launcher(at) {
    const { holder, modules } = this.#machines[at];
    return [...this.#enter(holder), 'unshare', '--mount', 'sh', '-c',
      `mount --bind ${modules} ${this.#configurations} && exec "$@"`, 'sh'];
  }

  // The configuration of a machine's HTTP listener. The port is fixed: nobody else is in that namespace.
  get httpListen() { return `127.0.0.1:${HTTP_PORT}`; }

  // Reads a client's JWK Set on the machine again and again; see jwks_sampler.mjs. Returns the running process.
  sample(at, clientId) {
    const { holder } = this.#machines[at];
    return this.#start([...this.#enter(holder), process.execPath, SAMPLER,
      `http://127.0.0.1:${HTTP_PORT}/clients/${clientId}/jwks.json`], `sampler-${at}`);
  }

  // Replaces nftables' rules in the HSM's namespace in one step. rules: of [hook, rule].
  async #shape(rules) {
    const chain = (hook) => `chain ${hook} { type filter hook ${hook} priority 0; ` +
      `${rules.filter(([where]) => where === hook).map(([, rule]) => `${rule}; `).join('')}}`;
    const [program, ...options] = [...this.#enter(this.#hsm), 'nft', '-f', '-'];
    await output(program, options, { input: 'table inet cut\ndelete table inet cut\n' +
      `table inet cut {\n${chain('input')}\n${chain('output')}\n}\n` });
  }

  // Each does something to the links of some machines, by number, until heal().
  async down(machines) {
    for (const at of machines) {
      this.#down.add(at);
      await this.#inside(this.#hsm, 'ip', 'link', 'set', `r${at}`, 'down');
    }
  }

  silence(machines) {
    return this.#shape(machines.flatMap((at) => [['input', `iifname "r${at}" drop`], ['output', `oifname "r${at}" drop`]]));
  }

  // The HSM hears and does what it is asked; its answers are lost.
  loseAnswers(machines) {
    return this.#shape(machines.map((at) => ['output', `oifname "r${at}" drop`]));
  }

  // As a firewall that answers, or a machine that has just started again.
  refuse(machines) {
    return this.#shape(machines.map((at) => ['input', `iifname "r${at}" meta l4proto tcp reject with tcp reset`]));
  }

  lose(machines, percent) {
    const some = `numgen random mod 100 < ${percent} drop`;
    return this.#shape(machines.flatMap((at) => [['input', `iifname "r${at}" ${some}`], ['output', `oifname "r${at}" ${some}`]]));
  }

  // For all machines. milliseconds: each way.
  delay(milliseconds) {
    this.#listener.stdin.write(`${milliseconds}\n`);
  }

  async heal() {
    this.delay(0);
    await this.#shape([]);
    for (const at of this.#down) await this.#inside(this.#hsm, 'ip', 'link', 'set', `r${at}`, 'up');
    this.#down.clear();
  }

  // With its processes the namespaces end, and with them links and rules.
  end() {
    for (const child of this.#processes.reverse()) child.kill('SIGKILL');
  }
}
