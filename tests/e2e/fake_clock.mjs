// A program's time of day, by libfaketime: `clock` is a file with an offset in seconds, such as +3600. Monotonic clocks are real.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';

const LIBRARIES = ['/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1',
  '/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1', '/usr/lib64/faketime/libfaketimeMT.so.1'];

// The environment that it needs.
export function fakeClock(clock) {
  const library = LIBRARIES.find(existsSync);
  assert.ok(library, `none of these is installed (deploy/install-deps.sh test): ${LIBRARIES}`);
  return {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: clock,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0`,
  };
}
