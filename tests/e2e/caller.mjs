// Calls assertiond as a backend does: with a gRPC client of another language, over a connection that stays open.
import path from 'node:path';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

export const { AccessTokenService, AssertionService, KeyAdminService } = grpc.loadPackageDefinition(protoLoader.loadSync(
  ['access_token.proto', 'assertion.proto', 'key_admin.proto'].map((name) => path.join('assertion/v1', name)),
  { includeDirs: [process.env.E2E_PROTO_DIR], keepCase: true, enums: String, longs: Number },
)).assertion.v1;

export const { Health } = grpc.loadPackageDefinition(protoLoader.fromJSON({
  nested: { grpc: { nested: { health: { nested: { v1: { nested: {
    Health: { methods: { Check: { requestType: 'HealthCheckRequest', responseType: 'HealthCheckResponse' } } },
    HealthCheckRequest: { fields: { service: { type: 'string', id: 1 } } },
    HealthCheckResponse: {
      fields: { status: { type: 'ServingStatus', id: 1 } },
      nested: { ServingStatus: { values: { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2 } } },
    },
  } } } } } } },
}, { enums: String })).grpc.health.v1;

// A server that went away is looked for again within this, in milliseconds.
const RECONNECT = { 'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 100 };

export class Caller {
  #client;

  constructor(Service, socket) {
    // Each caller has a connection of its own.
    this.#client = new Service(`unix:${socket}`, grpc.credentials.createInsecure(),
      { ...RECONNECT, 'grpc.use_local_subchannel_pool': 1 });
  }

  call(method, request, seconds = 60) {
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + seconds * 1000;
      this.#client[method](request, { deadline }, (error, answer) => { if (error) reject(error); else resolve(answer); });
    });
  }

  close() {
    this.#client.close();
  }
}
