// The cells of the matrix: which function fails how, what else must happen for it to be called, and what must follow.
import { readFileSync } from 'node:fs';

const { values, functions } = JSON.parse(readFileSync(new URL('codes.json', import.meta.url), 'utf8'));

const NONE = [0, 0];
const SOME = [1, Infinity];
const ANY = [0, Infinity];
const SHORT = ['UNAVAILABLE', 'INTERNAL'];  // INTERNAL: a code that blames the request
const LATE = [...SHORT, 'DEADLINE_EXCEEDED'];

// What the service does. lost: how often it says that the token does not sign; reloads, logins, opened: calls of
// C_Initialize, C_Login, C_OpenSession; refused: how many calls, and with what statuses; slowest: milliseconds of the
// slowest answer; act: what the administrator hears. Each number is from the least to the most.
const QUIET = { lost: NONE, reloads: NONE, logins: NONE, refused: NONE };
export const ACTIONS = {
  'tried again on another session': { ...QUIET, opened: SOME,
    meaning: 'no caller saw it; the session was discarded, another opened' },
  'waited for': { ...QUIET, meaning: 'callers noticed a delay and nothing else' },
  'answered on another session': { ...QUIET, opened: SOME, slowest: [5000, Infinity],
    meaning: 'the call that hung was left to itself after 5 s, its caller answered by another session' },
  'one call refused': { ...QUIET, refused: [0, 1], statuses: SHORT,
    meaning: 'the second attempt failed, too: at most one caller heard UNAVAILABLE or INTERNAL, and the token was not given up' },
  'a few calls refused': { ...QUIET, refused: [0, 3], statuses: SHORT, meaning: 'the same, at most three callers' },
  'proven anew': { ...QUIET, lost: SOME, refused: ANY, statuses: SHORT,
    meaning: 'lost until the next proof, at once; no login, no reload' },
  'logged in anew': { ...QUIET, lost: SOME, logins: SOME, refused: ANY, statuses: SHORT, meaning: 'lost until logged in again; no reload' },
  'module reloaded': { lost: SOME, reloads: SOME, logins: SOME, refused: SOME, statuses: SHORT,
    meaning: 'callers were refused at once while it lasted; C_Finalize, C_Initialize and C_Login until a signature was proven' },
  'lost until the call returned': { lost: SOME, reloads: ANY, logins: ANY, refused: SOME, statuses: LATE,
    meaning: 'callers were refused, and none waited beyond its deadline' },
  'waits for another PIN': { lost: SOME, reloads: ANY, logins: [1, 1], refused: SOME, statuses: SHORT,
    meaning: 'C_Login was called once with that PIN, in three attempts to connect; well when the record of it was removed' },
  'waits for the officer': { lost: SOME, reloads: ANY, logins: [1, 3], refused: SOME, statuses: SHORT,
    meaning: 'C_Login was called once an attempt, 1 to 2 s apart: what the token says of its PIN may change at any time' },
  'does not log in': { lost: SOME, reloads: ANY, logins: NONE, refused: SOME, statuses: SHORT,
    meaning: 'C_Login was not called while the token showed the flag' },
  'started anew': { lost: ANY, reloads: SOME, logins: SOME, refused: ANY, statuses: [...SHORT, 'CANCELLED'],
    meaning: 'the process ended; another served; the audit log verifies at the end of the run' },
  'administrator refused': { ...QUIET, act: 'refused', meaning: 'only the administrator heard an error; no other caller noticed' },
  'signed with another mechanism': { ...QUIET, meaning: 'in the same session; no caller noticed' },
  'nobody hears of it': { ...QUIET, act: 'OK', meaning: 'the administrator\'s call succeeded, and no other caller noticed' },
};

// How a function comes to be called at all.
const SIGNING_FAILS = (times) => `C_Sign fail=${values.CKR_DEVICE_ERROR} times=${times}`;
const SESSIONS_GONE = 'C_Sign dropped times=1';
const WEDGED = 'C_Sign wedged times=1';
const IN_SIGNING = ['C_SignInit', 'C_Sign'];
const IN_SESSION = ['C_OpenSession', 'C_FindObjectsInit', 'C_FindObjects', 'C_FindObjectsFinal'];
const IN_LOGIN = ['C_GetSlotList', 'C_GetTokenInfo', 'C_Login'];
const IN_RELOAD = ['C_Finalize', 'C_Initialize'];
const ACTS = {
  C_OpenSession: 'schedule', C_CloseSession: 'schedule', C_FindObjectsInit: 'schedule', C_FindObjects: 'schedule',
  C_FindObjectsFinal: 'schedule', C_GetAttributeValue: 'schedule', C_CreateObject: 'schedule', C_DestroyObject: 'schedule',
  C_GenerateKeyPair: 'generate',
  C_GetInfo: 'request', C_GetSlotInfo: 'doctor', C_GetMechanismList: 'doctor', C_GetSessionInfo: 'request',
  C_GenerateRandom: 'doctor', C_SignUpdate: 'doctor', C_SignFinal: 'doctor',
  C_GetMechanismInfo: 'doctor',
};

// What was to be closed, destroyed or drawn is done without, or again later. A request is signed through our own session
// when pkcs11-provider, which alone calls the functions of the act 'request', cannot. It is loaded once for each life of the
// module, and anew by each doctor: what it calls then alone (C_GetSlotInfo), or no more once it
// was refused (C_SignUpdate, C_SignFinal), is met there.
const DISPENSABLE = ['C_GetSlotInfo', 'C_SignUpdate', 'C_SignFinal', 'C_CloseSession', 'C_DestroyObject', 'C_GenerateRandom'];

const PIN_CODES = ['CKR_PIN_INCORRECT', 'CKR_PIN_INVALID', 'CKR_PIN_LEN_RANGE', 'CKR_PIN_EXPIRED'];
// After these the session is not used again.
const SESSION_GONE_CODES = ['CKR_CRYPTOKI_NOT_INITIALIZED', 'CKR_DEVICE_REMOVED', 'CKR_SESSION_CLOSED', 'CKR_SESSION_HANDLE_INVALID'];

function* cellsOfCode(name, code) {
  const fault = `fail=${values[code]}`;
  const cell = (how, expect, rules, more = {}) => ({ function: name, fault: code, how, expect, rules, ...more });
  if (IN_SIGNING.includes(name)) {
    const another = name === 'C_SignInit' && code === 'CKR_MECHANISM_INVALID';  // the mechanism over a digest, in the same session
    yield cell('once', another ? 'signed with another mechanism' : 'tried again on another session', [`${name} ${fault} times=1`]);
    yield cell('lasting', 'module reloaded', [`${name} ${fault}`]);
  } else if (IN_SESSION.includes(name)) {
    yield cell('once, in a new session', 'one call refused', [`${name} ${fault} times=1`, SIGNING_FAILS(1)]);
    yield cell('lasting', 'module reloaded', [`${name} ${fault}`, SIGNING_FAILS(3)]);
  } else if (name === 'C_CloseSession') {
    yield cell('lasting', 'tried again on another session', [`${name} ${fault}`, SIGNING_FAILS(1)]);
  } else if (name === 'C_GetSessionInfo') {
    yield cell('once', SESSION_GONE_CODES.includes(code) ? 'logged in anew' : 'proven anew',
      [`${name} ${fault} times=1`, SIGNING_FAILS(3)]);
    yield cell('lasting', 'module reloaded', [`${name} ${fault}`, SIGNING_FAILS(3)]);
  } else if (name === 'C_Login' && PIN_CODES.includes(code)) {
    yield cell('lasting', 'waits for another PIN', [`${name} ${fault}`, SESSIONS_GONE], { attempts: 3 });
  } else if (name === 'C_Login' && code === 'CKR_PIN_LOCKED') {
    yield cell('lasting', 'waits for the officer', [`${name} ${fault}`, SESSIONS_GONE], { attempts: 3 });
  } else if (IN_LOGIN.includes(name)) {
    yield cell('lasting', 'module reloaded', [`${name} ${fault}`, SESSIONS_GONE]);
  } else if (IN_RELOAD.includes(name)) {
    yield cell('lasting', 'module reloaded', [`${name} ${fault}`, WEDGED]);
  }
  if (name in ACTS) {
    yield cell(`lasting, administrator's ${ACTS[name]}`,
      DISPENSABLE.includes(name) || ACTS[name] === 'request' ? 'nobody hears of it' : 'administrator refused', [`${name} ${fault}`], { act: ACTS[name] });
  }
}

function* cellsOfTime(name) {
  const cell = (fault, expect, more, act = undefined) =>
    ({ function: name, fault, how: 'lasting', expect, rules: [`${name} ${fault}`, ...more], act });
  const delay = (expect, ...more) => cell('delay=30', expect, more);
  const hang = (...more) => cell('hang', 'lost until the call returned', more);
  if (IN_SIGNING.includes(name)) {
    yield delay('waited for');
    yield hang();
    yield { ...cell('hang', 'answered on another session', []), how: 'once', rules: [`${name} hang times=1`] };
  } else if (IN_SESSION.includes(name) || name === 'C_CloseSession') {
    yield delay('tried again on another session', SIGNING_FAILS(1));
    yield hang(SIGNING_FAILS(4));
  } else if (name === 'C_GetSessionInfo') {
    yield delay('a few calls refused', SIGNING_FAILS(3));
    yield hang(SIGNING_FAILS(3));
  } else if (IN_LOGIN.includes(name)) {
    yield delay('logged in anew', SESSIONS_GONE);
    yield hang(SESSIONS_GONE);
  } else if (IN_RELOAD.includes(name)) {
    yield delay('module reloaded', WEDGED);
    yield hang(WEDGED);
  } else {
    yield cell('delay=5', 'nobody hears of it', [], ACTS[name]);
    yield cell('hang', 'nobody hears of it', [], ACTS[name]);
  }
}

const OTHERS = [
  ['C_Sign', 'flip', 'once', 'tried again on another session', ['C_Sign flip times=1']],
  ['C_Sign', 'flip', 'lasting', 'module reloaded', ['C_Sign flip']],
  ['C_SignInit', 'swap', 'once', 'tried again on another session', ['C_SignInit swap times=1']],
  ['C_SignInit', 'swap', 'lasting', 'module reloaded', ['C_SignInit swap']],
  ['C_Sign', 'dropped', 'once', 'logged in anew', [SESSIONS_GONE]],
  ['C_Sign', 'wedged', 'once', 'module reloaded', [WEDGED]],
  ['C_GetTokenInfo', 'user PIN locked', 'lasting', 'does not log in', ['C_GetTokenInfo flags=0x40000', SESSIONS_GONE], { attempts: 2 }],
  ['C_GetTokenInfo', 'user PIN final try', 'lasting', 'does not log in', ['C_GetTokenInfo flags=0x20000', SESSIONS_GONE], { attempts: 2 }],
  ['*', 'removed', 'lasting', 'module reloaded', ['* removed']],
  ['*', 'removed, renumbered', 'lasting', 'module reloaded', ['* removed'], { then: ['C_FindObjects renumber times=0'] }],
  ['C_OpenSession', 'limit=2', 'lasting', 'module reloaded', ['C_OpenSession limit=2', SIGNING_FAILS(3)]],
  ['C_Sign', 'crash', 'once', 'started anew', ['C_Sign crash times=1'], { crash: true }],
].map(([name, fault, how, expect, rules, more]) => ({ function: name, fault, how, expect, rules, ...more }));

// Every function that the table knows, with the codes that it is made to answer.
export function codesOf(name) {
  // Not in the standard's list of C_Login, and answered by tokens all the same.
  return [...functions[name], ...(name === 'C_Login' ? PIN_CODES.slice(1) : [])];
}

export const FUNCTIONS = Object.keys(functions);

// reduced: one code for each function, way and action, and all other faults.
export function cells({ only, reduced }) {
  const all = [...FUNCTIONS.flatMap((name) => {
    const ofCodes = codesOf(name).flatMap((code) => [...cellsOfCode(name, code)]);
    return [...ofCodes.filter(({ act }) => !act), ...ofCodes.filter(({ act }) => act), ...cellsOfTime(name)];
  }), ...OTHERS];
  const seen = new Set();
  return all.filter((cell) => {
    const kind = `${cell.function} ${cell.how} ${cell.expect} ${cell.fault.startsWith('CKR_') ? '' : cell.fault}`;
    const again = seen.has(kind);
    seen.add(kind);
    return (!only || cell.function === only) && !(reduced && again);
  });
}
