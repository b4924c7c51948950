// SoftHSM2 in a process of its own, as a network HSM is: `p11-kit server`, reached with p11-kit-client.so. For each
// client it forks a p11-kit-remote, and that is what signs.
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Deployment } from './deployment.mjs';
import { Deadline, Lines, output, startProcess } from './process.mjs';

const stopped = new Set();  // of all servers
process.on('exit', () => {
  for (const pid of stopped) process.kill(pid, 'SIGKILL');  // or they would stay for ever
});

export class P11KitServer {
  #deployment;
  #module;
  #process;
  #stopped = new Set();

  // A deployment with such a server between it and its module, and a key for each client. Resolves with both.
  static async deploy(clients, configuration, audience) {
    let server;
    const deployment = await Deployment.start(clients.map((client_id) => ({ client_id, audiences: [audience] })),
      configuration, async (made) => { server = await P11KitServer.before(made); });
    for (const client of clients) await deployment.generateKey(client);
    return { deployment, server };
  }

  // Puts such a server between the deployment and its module, before the daemon starts.
  static async before(deployment) {
    const server = new P11KitServer();
    const folder = (await output('pkg-config', ['--variable=p11_module_path', 'p11-kit-1'])).trim();
    server.#deployment = deployment;
    server.#module = deployment.wrapModule(path.join(folder, 'p11-kit-client.so'));
    deployment.environment.P11_KIT_SERVER_ADDRESS = `unix:path=${server.#socket}`;
    await server.start();
    return server;
  }

  get #socket() {
    return path.join(this.#deployment.folder, 'p11-kit.sock');
  }

  async start() {
    rmSync(this.#socket, { force: true });  // one that was killed leaves it behind
    this.#process = startProcess('p11-kit', ['server', '-f', '-n', this.#socket, '--provider', this.#module, 'pkcs11:'],
      { env: this.#deployment.environment, log: path.join(this.#deployment.folder, 'p11-kit.log') });
    const lines = new Lines(this.#process, 'stdout');
    const deadline = new Deadline(30, 'p11-kit server to listen');
    while (!(await lines.next(deadline)).includes('P11_KIT_SERVER_PID'));
  }

  // Those that serve a client each.
  get children() {
    const { pid } = this.#process;
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number);
  }

  #signalChildren(signal) {
    const { children } = this;
    if (children.length === 0) throw new Error('p11-kit server has no client');
    for (const pid of children) process.kill(pid, signal);
    return children;
  }

  killChildren() {
    for (const pid of this.#signalChildren('SIGKILL')) this.#forget(pid);
  }

  // The server as well; it is to be started again. Nothing listens when this returns.
  async kill() {
    this.killChildren();
    this.#process.kill('SIGKILL');
    await this.#process.ended;
  }

  // Calls hang from now on, until they go on.
  stopChildren() {
    for (const pid of this.#signalChildren('SIGSTOP')) {
      this.#stopped.add(pid);
      stopped.add(pid);
    }
  }

  #forget(pid) {
    this.#stopped.delete(pid);
    stopped.delete(pid);
  }

  // Whoever connects from now on waits for ever.
  stop() {
    this.#process.kill('SIGSTOP');
  }

  continueChildren() {
    for (const pid of [...this.#stopped]) {
      process.kill(pid, 'SIGCONT');
      this.#forget(pid);
    }
  }
}
