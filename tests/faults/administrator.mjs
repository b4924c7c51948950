// Who looks after the keys of a client while the token fails: each act says what it was answered, OK or not.
import grpc from '@grpc/grpc-js';
import { Caller, KeyAdminService } from '../e2e/caller.mjs';

const DAY = 86_400;

export class Administrator {
  #deployment;
  #client;
  #caller;
  #days = 30;

  constructor(deployment, client) {
    this.#deployment = deployment;
    this.#client = client;
    this.#caller = new Caller(KeyAdminService, deployment.socket);
  }

  // Moves the instant from which the client's second key is to sign, by one more day each time: only the ledger changes.
  async schedule() {
    return this.#status(async () => {
      this.#days += 1;
      const { kid } = await this.#secondKey();
      await this.#call('ScheduleKey', { kid, sign_from: { seconds: Math.floor(Date.now() / 1000) + this.#days * DAY } });
    });
  }

  // Makes one more key.
  async generate() {
    return this.#status(() => this.#call('GenerateKey', {}));
  }

  // A certificate signing request, which the OpenSSL provider has the second key sign.
  async request() {
    return this.#status(async () => {
      const { kid } = await this.#secondKey();
      await this.#caller.call('CreateCsr', { client_id: this.#client, kid, subject: 'CN=spare' });
    });
  }

  async doctor() {
    const { status } = await this.#deployment.tryCtl('doctor', '--config', this.#deployment.configuration);
    return status === 0 ? 'OK' : `exit status ${status}`;
  }

  // Leaves the client with two keys.
  async tidy() {
    for (const { kid } of (await this.#keys()).slice(2)) {
      await this.#call('DestroyKey', { kid }, { force_client_id: this.#client });
    }
  }

  close() {
    this.#caller.close();
  }

  async #status(act) {
    try {
      await act();
      return 'OK';
    } catch (error) {
      if (!(error.code in grpc.status)) throw error;
      return grpc.status[error.code];
    }
  }

  async #keys() {
    const { keys } = await this.#caller.call('ListKeys', {});
    return keys.filter((key) => key.client_id === this.#client);
  }

  async #secondKey() {
    return (await this.#keys())[1];
  }

  async #call(method, request, change = {}) {
    const { versions } = await this.#caller.call('ListKeys', {});
    return this.#caller.call(method, {
      client_id: this.#client, ...request, change: { expected_version: versions[this.#client] ?? 0, ...change },
    });
  }
}
