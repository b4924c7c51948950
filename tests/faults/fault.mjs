// The kinds of fault that a soak draws from. rules(random): for tests/faulty_hsm. longest: milliseconds. None of those
// that want somebody (a PIN that is refused, a key that is gone), and none that makes the module lose count of sessions
// (an error that says a session is gone while it is not).
const CODES = {
  CKR_HOST_MEMORY: 0x02,
  CKR_GENERAL_ERROR: 0x05,
  CKR_FUNCTION_FAILED: 0x06,
  CKR_DEVICE_ERROR: 0x30,
  CKR_DEVICE_MEMORY: 0x31,
  CKR_KEY_HANDLE_INVALID: 0x60,
  CKR_OPERATION_ACTIVE: 0x90,
  CKR_USER_NOT_LOGGED_IN: 0x101,
};
const code = (random) => random.of(Object.values(CODES));
// Makes the workers open sessions and look for keys again.
const NEW_SESSIONS = 'C_Sign fail=0x30 times=8';

export const FAULTS = [
  ['C_Sign fails', 1500, (random) => [`C_Sign fail=${code(random)}`]],
  ['C_Sign fails a few times', 500, (random) => [`C_Sign fail=${code(random)} times=${random.between(1, 20)}`]],
  ['C_SignInit fails', 1500, (random) => [`C_SignInit fail=${code(random)}`]],
  ['C_OpenSession fails', 1500, (random) => [NEW_SESSIONS, `C_OpenSession fail=${code(random)}`]],
  ['sessions are scarce', 1500, () => [NEW_SESSIONS, 'C_OpenSession limit=2']],
  ['keys are not found', 1500, (random) => [NEW_SESSIONS, `C_FindObjectsInit fail=${code(random)}`]],
  ['the login cannot be seen', 1500, (random) => [NEW_SESSIONS, `C_GetSessionInfo fail=${code(random)}`]],
  ['the login is lost, and fails', 1500, (random) => ['C_Sign dropped times=1', `C_Login fail=${code(random)}`]],
  ['sessions are dropped', 500, (random) => [`C_Sign dropped times=${random.between(1, 3)}`]],
  ['C_Sign is slow', 2000, (random) => [`C_Sign delay=${random.between(20, 400)}`]],
  ['C_Sign hangs', 6500, () => ['C_Sign hang']],
  ['C_GetSessionInfo hangs', 3000, () => [NEW_SESSIONS, 'C_GetSessionInfo hang']],
  ['C_OpenSession hangs', 3000, () => [NEW_SESSIONS, 'C_OpenSession hang']],
  ['signatures are wrong', 1500, (random) => [`C_Sign flip times=${random.between(1, 200)}`]],
  ['keys are swapped', 1500, (random) => [`C_SignInit swap times=${random.between(1, 200)}`]],
  ['the token is out', 2000, () => ['* removed']],
  ['the module is wedged', 1500, () => ['C_Sign wedged times=1']],
  ['the module is wedged and begins badly', 1500, (random) => ['C_Sign wedged times=1',
    `C_Initialize fail=${code(random)} times=${random.between(1, 3)}`]],
  ['handles are renumbered', 1000, () => ['C_FindObjects renumber times=0']],
].map(([name, longest, rules]) => ({ name, longest, rules }));
