// The methods and messages of assertiond, read from the protos in this package.
import { fileURLToPath } from 'node:url';
import protoLoader from '@grpc/proto-loader';

// 64-bit integers are seconds and tags here: far below 2^53.
const definitions = protoLoader.loadSync(
  ['assertion/v1/assertion.proto', 'assertion/v1/access_token.proto', 'google/rpc/error_details.proto'],
  { includeDirs: [fileURLToPath(new URL('../proto', import.meta.url))], longs: Number, defaults: true, oneofs: true },
);

export const Status = definitions['google.rpc.Status'];
export const RetryInfo = definitions['google.rpc.RetryInfo'];

export const methods = Object.fromEntries(
  [definitions['assertion.v1.AssertionService'], definitions['assertion.v1.AccessTokenService']]
    .flatMap((service) => Object.values(service)).map((method) => [method.originalName, method]),
);

// An object with no other fields than these, and at least one of them.
const hasSome = (value, names) => value !== null && typeof value === 'object' && !Array.isArray(value) &&
  Object.keys(value).length > 0 && Object.keys(value).every((key) => names.includes(key));
const isWhole = (value) => value === undefined || /^-?\d{1,15}$/.test(String(value));
const isDuration = (value) => hasSome(value, ['seconds', 'nanos']) && isWhole(value.seconds) && isWhole(value.nanos);
const isStruct = (value) => hasSome(value, ['fields']) && Object.values(value.fields ?? {}).every(isValue);

function isValue(value) {
  return hasSome(value, ['nullValue', 'numberValue', 'stringValue', 'boolValue', 'structValue', 'listValue', 'kind']) &&
    isStruct(value.structValue ?? { fields: {} }) && [...value.listValue?.values ?? []].every(isValue);
}

const MESSAGES = {
  'google.protobuf.Duration': [isDuration, 'a duration of whole seconds such as { seconds: 60 }'],
  'google.protobuf.Struct': [isStruct, 'a google.protobuf.Struct; the field whose name ends with Json takes JSON text'],
};

// Protobuf would drop a misspelt field and turn any value into a string: both could sign what nobody meant. What it cannot
// encode would look like a failure of the server, and end the stream for other requests.
export function checkRequest(request, { name, field: fields }) {
  if (request === null || typeof request !== 'object' || Array.isArray(request)) {
    throw new TypeError(`${name} must be an object such as { clientId: 'orders' }`);
  }
  for (const [key, value] of Object.entries(request)) {
    const field = fields.find((known) => known.name === key);
    if (!field) {
      throw new TypeError(`${name} has no field "${key}" (known: ${fields.map((known) => known.name).join(', ')})`);
    }
    if (field.type === 'TYPE_STRING' && value !== undefined && typeof value !== 'string') {
      throw new TypeError(`${name}.${key} must be a string`);
    }
    const [holds, form] = MESSAGES[field.typeName] ?? [];
    if (holds && value !== undefined && value !== null && !holds(value)) throw new TypeError(`${name}.${key} must be ${form}`);
  }
  if (!request.clientId) throw new TypeError(`${name}.clientId is required`);
}

export function duration(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds, nanos: Math.floor((milliseconds - seconds * 1000) * 1e6) };
}
