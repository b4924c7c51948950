// What kube-apiserver does with its external signer: asks over the published API, checks each answer, and keeps the keys
// for as long as it is told. The API and the checks are written down from Kubernetes 1.34 (k8s.io/externaljwt/apis/v1,
// pkg/serviceaccount/externaljwt/plugin), apart from our proto file.
import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import protoLoader from '@grpc/proto-loader';
import grpc from '@grpc/grpc-js';
import { jwtVerify } from 'jose';
import { Caller } from './caller.mjs';

const field = (type, id, rule) => ({ type, id, ...(rule && { rule }) });
const method = (requestType, responseType) => ({ requestType, responseType });

// The published messages, by name: the fields with their types and numbers.
export const API = {
  ExternalJWTSigner: { methods: {
    Sign: method('SignJWTRequest', 'SignJWTResponse'),
    FetchKeys: method('FetchKeysRequest', 'FetchKeysResponse'),
    Metadata: method('MetadataRequest', 'MetadataResponse'),
  } },
  SignJWTRequest: { fields: { claims: field('string', 1) } },
  SignJWTResponse: { fields: { header: field('string', 1), signature: field('string', 2) } },
  FetchKeysRequest: { fields: {} },
  FetchKeysResponse: { fields: {
    keys: field('Key', 1, 'repeated'),
    data_timestamp: field('google.protobuf.Timestamp', 2),
    refresh_hint_seconds: field('int64', 3),
  } },
  Key: { fields: {
    key_id: field('string', 1), key: field('bytes', 2), exclude_from_oidc_discovery: field('bool', 3),
  } },
  MetadataRequest: { fields: {} },
  MetadataResponse: { fields: { max_token_expiration_seconds: field('int64', 1) } },
};
const TIMESTAMP = { Timestamp: { fields: { seconds: field('int64', 1), nanos: field('int32', 2) } } };

export const { ExternalJWTSigner } = grpc.loadPackageDefinition(protoLoader.fromJSON(
  { nested: { v1: { nested: API }, google: { nested: { protobuf: { nested: TIMESTAMP } } } } },
  { longs: Number, defaults: true },
)).v1;

const ALGORITHMS = ['RS256', 'ES256', 'ES384', 'ES512'];

export class KubeApiserver {
  #signer;
  #keys = new Map();  // by kid
  #refreshAt = 0;

  constructor(socket, issuer) {
    this.#signer = new Caller(ExternalJWTSigner, socket);
    this.issuer = issuer;
  }

  close() {
    this.#signer.close();
  }

  // As it begins: what it is told then.
  async start() {
    const { max_token_expiration_seconds: longest } = await this.#signer.call('Metadata', {});
    assert.ok(longest >= 600, `max_token_expiration_seconds is ${longest}`);
    await this.syncKeys();
    return longest;
  }

  async syncKeys() {
    const answer = await this.#signer.call('FetchKeys', {});
    assert.ok(answer.refresh_hint_seconds > 0, `the refresh hint is ${answer.refresh_hint_seconds}`);
    assert.ok(answer.keys.length > 0, 'no keys');
    const { seconds, nanos } = answer.data_timestamp;
    assert.ok(Math.abs(Date.now() / 1000 - seconds) < 60 && nanos >= 0 && nanos < 1e9, 'the data timestamp');
    for (const { key_id: kid } of answer.keys) assert.ok(kid.length > 0 && kid.length <= 1024, `kid ${kid}`);
    this.#keys = new Map(answer.keys.map((key) => [key.key_id, {
      publicKey: createPublicKey({ key: key.key, format: 'der', type: 'spki' }),
      excluded: key.exclude_from_oidc_discovery,
    }]));
    this.#refreshAt = Date.now() + answer.refresh_hint_seconds * 1000;
    return answer;
  }

  // The keys as it keeps them: asked for anew only when the hint says so.
  async keys() {
    if (Date.now() >= this.#refreshAt) await this.syncKeys();
    return this.#keys;
  }

  sign(payload) {
    return this.#signer.call('Sign', { claims: Buffer.from(payload).toString('base64url') });
  }

  // A token with these claims, as TokenRequest makes it.
  async generateToken(claims) {
    const payload = JSON.stringify(claims);
    const { header, signature } = await this.sign(payload);
    const { alg, kid, typ, ...others } = JSON.parse(Buffer.from(header, 'base64url').toString());
    assert.deepEqual(others, {}, 'members that kube-apiserver does not know');
    assert.equal(typ, 'JWT');
    assert.ok(kid.length > 0 && kid.length <= 1024);
    assert.ok(ALGORITHMS.includes(alg), alg);
    assert.notEqual(signature, '');
    const known = (await this.keys()).get(kid);
    assert.ok(known, `the key ${kid} signs, and kube-apiserver has not been told of it`);
    assert.equal(known.excluded, false, `the key ${kid} signs and is excluded from discovery`);
    return `${header}.${Buffer.from(payload).toString('base64url')}.${signature}`;
  }

  async verify(token) {
    const keys = await this.keys();
    const { payload } = await jwtVerify(token, ({ kid }) => keys.get(kid).publicKey,
      { issuer: this.issuer, algorithms: ALGORITHMS, typ: 'JWT' });
    return payload;
  }
}
