// What Envoy's filter ext_authz does with its authorization service: asks over the published API, as the filter fills it,
// and changes the request as it is told. API and rules are written down from Envoy (api/envoy/service/auth/v3,
// source/extensions/filters/common/ext_authz), apart from our proto files.
import protoLoader from '@grpc/proto-loader';
import grpc from '@grpc/grpc-js';
import { Caller } from './caller.mjs';

const field = (type, id, rule) => ({ type, id, ...(rule && { rule }) });
const text = (id) => field('string', id);
const texts = (id) => ({ keyType: 'string', type: 'string', id });
const many = (type, id) => field(type, id, 'repeated');

const AUTH = {
  Authorization: { methods: { Check: { requestType: 'CheckRequest', responseType: 'CheckResponse' } } },
  CheckRequest: { fields: { attributes: field('AttributeContext', 1) } },
  AttributeContext: {
    fields: {
      source: field('Peer', 1), destination: field('Peer', 2), request: field('Request', 4), context_extensions: texts(10),
    },
    nested: {
      Peer: { fields: { service: text(2), labels: texts(3), principal: text(4), certificate: text(5) } },
      Request: { fields: { http: field('HttpRequest', 2) } },
      HttpRequest: { fields: {
        id: text(1), method: text(2), headers: texts(3), path: text(4), host: text(5), scheme: text(6), size: field('int64', 9),
        protocol: text(10), body: text(11),
      } },
    },
  },
  DeniedHttpResponse: { fields: {
    status: field('envoy.type.v3.HttpStatus', 1), headers: many('envoy.config.core.v3.HeaderValueOption', 2), body: text(3),
  } },
  OkHttpResponse: { fields: {
    headers: many('envoy.config.core.v3.HeaderValueOption', 2), headers_to_remove: many('string', 5),
    response_headers_to_add: many('envoy.config.core.v3.HeaderValueOption', 6),
  } },
  CheckResponse: {
    oneofs: { http_response: { oneof: ['denied_response', 'ok_response'] } },
    fields: {
      status: field('google.rpc.Status', 1), denied_response: field('DeniedHttpResponse', 2), ok_response: field('OkHttpResponse', 3),
    },
  },
};
const CORE = {
  HeaderValue: { fields: { key: text(1), value: text(2) } },
  HeaderValueOption: {
    fields: {
      header: field('HeaderValue', 1), append: field('google.protobuf.BoolValue', 2), append_action: field('HeaderAppendAction', 3),
    },
    nested: { HeaderAppendAction: { values: {
      APPEND_IF_EXISTS_OR_ADD: 0, ADD_IF_ABSENT: 1, OVERWRITE_IF_EXISTS_OR_ADD: 2, OVERWRITE_IF_EXISTS: 3 } } },
  },
};
const GOOGLE = {
  rpc: { nested: { Status: { fields: { code: field('int32', 1), message: text(2), details: many('google.protobuf.Any', 3) } } } },
  protobuf: { nested: {
    Any: { fields: { type_url: text(1), value: field('bytes', 2) } }, BoolValue: { fields: { value: field('bool', 1) } } } },
};
const within = (names, nested) => names.reduceRight((inner, name) => ({ [name]: { nested: inner } }), nested);

export const { Authorization } = grpc.loadPackageDefinition(protoLoader.fromJSON({ nested: {
  envoy: { nested: {
    ...within(['service', 'auth', 'v3'], AUTH), ...within(['config', 'core', 'v3'], CORE),
    // Not the published enum: a number is kept as it is on the wire.
    ...within(['type', 'v3'], { HttpStatus: { fields: { code: field('int32', 1) } } }),
  } },
  google: { nested: GOOGLE },
} }, { keepCase: true, longs: Number, enums: String, oneofs: true })).envoy.service.auth.v3;

export class Envoy {
  #authorization;

  constructor(socket) {
    this.#authorization = new Caller(Authorization, socket);
  }

  close() {
    this.#authorization.close();
  }

  // As Envoy does, the path stands in the request and, as `:path`, among its headers.
  check(contextExtensions, headers = {}, path = '/orders?client_id=theirs') {
    return this.#authorization.call('Check', { attributes: {
      source: { principal: 'spiffe://example.org/somebody' },
      request: { http: { id: '1', method: 'GET', headers: { ...headers, ':path': path }, path, host: 'api', size: -1, protocol: 'HTTP/1.1' } },
      context_extensions: contextExtensions,
    } });
  }

  // The headers that go upstream, or { status, headers, body } of the answer to the downstream client. A gRPC error is
  // the filter's own failure, which failure_mode_allow would let pass.
  async forward(contextExtensions, headers = {}, path = undefined) {
    const { status, ok_response: ok, denied_response: denied } = await this.check(contextExtensions, headers, path);
    if ((status?.code ?? 0) !== grpc.status.OK) {
      return { status: denied?.status?.code || 403, headers: changed({}, denied?.headers ?? []), body: denied?.body ?? '', why: status };
    }
    return { upstream: changed(headers, ok?.headers ?? []) };
  }
}

// `append` counts if it is there; versions without append_action take its absence for false.
function changed(headers, options) {
  const after = { ...headers };
  for (const { header: { key, value }, append, append_action: action } of options) {
    const appends = append ? append.value : action === 'APPEND_IF_EXISTS_OR_ADD';
    const keeps = !append && action === 'ADD_IF_ABSENT' && key in after;
    if (appends && key in after) after[key] = [after[key], value].flat();
    else if (!keeps) after[key] = value;
  }
  return after;
}
