// Calls assertiond as a backend does: with a gRPC client of another language, over a connection that stays open.
import path from 'node:path';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

export const { AssertionService, KeyAdminService } = grpc.loadPackageDefinition(protoLoader.loadSync(
  ['assertion.proto', 'key_admin.proto'].map((name) => path.join('assertion/v1', name)),
  { includeDirs: [process.env.E2E_PROTO_DIR], keepCase: true, enums: String, longs: Number },
)).assertion.v1;

export class Caller {
  #client;

  constructor(Service, socket) {
    this.#client = new Service(`unix:${socket}`, grpc.credentials.createInsecure());
  }

  call(method, request) {
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + 60_000;
      this.#client[method](request, { deadline }, (error, answer) => { if (error) reject(error); else resolve(answer); });
    });
  }

  close() {
    this.#client.close();
  }
}
