#!/usr/bin/env bash
# SoftHSM 2.6.1: a process that creates an object loses sight of what others created since its last search.
#
# Surprise:  process A searches, process B creates an object, A creates one: A's searches do not find B's object, now or
#            later, until anybody but A changes the token once more. Without A's own C_CreateObject it is found at once.
# Document:  PKCS#11 v2.40 section 2.6 (sessions): a token object is visible to all applications that have the right to
#            it. SoftHSM's documents speak of use by several processes and name no limit.
# Matters:   two processes that exclude each other by objects on the token (store a claim, then look for others) both
#            believe that they are alone. A process may miss a new key for hours. `p11-kit server` runs a process for
#            each connection, so clients on several machines are such processes. Hold a lock of your own across search
#            and change, or call C_Finalize and C_Initialize after a change.
# Version:   SoftHSM 2.6.1 (Debian libsofthsm2 and softhsm2 2.6.1-2.1). Seen 2026-11-29.
# Needs:     apt-get (with current package lists), dpkg, gcc. No root.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

apt-get download libsofthsm2=2.6.1-2.1 softhsm2=2.6.1-2.1 libp11-kit-dev=0.24.1-2 >apt.log 2>&1 ||
  { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
module=root/usr/lib/$(gcc -print-multiarch)/softhsm/libsofthsm2.so

cat >peer.c <<'C'
/* A process that does what its standard input says: s searches, c creates an object, x loads the module anew.
   Answers each with the number of objects that it found last. */
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>

static CK_FUNCTION_LIST *p11;
static CK_OBJECT_CLASS data_class = CKO_DATA;
static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

static void must(CK_RV rv, const char *call) {
  if (rv == CKR_OK) return;
  fprintf(stderr, "%s: 0x%lx\n", call, rv);
  exit(2);
}
#define MUST(call) must((call), #call)

static CK_SESSION_HANDLE start(void) {
  CK_SLOT_ID slots[8];
  CK_ULONG count = 8;
  CK_SESSION_HANDLE session;
  MUST(p11->C_Initialize(NULL));
  MUST(p11->C_GetSlotList(CK_TRUE, slots, &count));
  MUST(p11->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
  return session;
}

int main(int argc, char **argv) {
  void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
  CK_C_GetFunctionList get_list = library ? (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList") : NULL;
  CK_ATTRIBUTE pattern[] = {{CKA_CLASS, &data_class, sizeof data_class}, {CKA_TOKEN, &yes, 1}};
  CK_ATTRIBUTE object[] = {{CKA_CLASS, &data_class, sizeof data_class},
                           {CKA_TOKEN, &yes, 1},
                           {CKA_PRIVATE, &no, 1},
                           {CKA_VALUE, "value", 5}};
  CK_SESSION_HANDLE session;
  CK_OBJECT_HANDLE found[8], made;
  CK_ULONG count = 0;
  int what;
  if (!get_list || get_list(&p11)) return 2;
  session = start();
  while ((what = getchar()) != EOF) {
    if (what == 's') {
      MUST(p11->C_FindObjectsInit(session, pattern, 2));
      MUST(p11->C_FindObjects(session, found, 8, &count));
      MUST(p11->C_FindObjectsFinal(session));
    } else if (what == 'c') {
      MUST(p11->C_CreateObject(session, object, 4, &made));
    } else if (what == 'x') {
      MUST(p11->C_Finalize(NULL));
      session = start();
    } else {
      continue;
    }
    printf("%lu\n", count);
    fflush(stdout);
  }
  return 0;
}
C
gcc -Iroot/usr/include/p11-kit-1 peer.c -o peer -ldl
mkdir tokens
export SOFTHSM2_CONF=$tmp/softhsm2.conf
printf 'directories.tokendir = %s/tokens\nlog.level = ERROR\n' "$tmp" >"$SOFTHSM2_CONF"
LD_LIBRARY_PATH=$(dirname "$module") root/usr/bin/softhsm2-util --module "$module" --init-token --free --label findings \
  --pin 1234 --so-pin 1234 >init.log 2>&1 || { cat init.log >&2; exit 2; }

# What each is told waits for its answer, so that nothing happens at the same time.
coproc A { ./peer "$module"; }
exec {to_a}>&"${A[1]}" {from_a}<&"${A[0]}"
{ coproc B { ./peer "$module"; }; } 2>coproc.log  # bash warns of the second one
exec {to_b}>&"${B[1]}" {from_b}<&"${B[0]}"
a() { echo "$1" >&"$to_a"; read -r -t 30 answer <&"$from_a" || exit 2; }
b() { echo "$1" >&"$to_b"; read -r -t 30 answer <&"$from_b" || exit 2; }

seen=
note() { seen+="$1: $answer"$'\n'; }
a s; b s
b c; a s; note "B creates one; A finds"
b c; a c; a s; note "B and then A create one; A finds"
b s; note "B finds"
a s; note "A searches again, and finds"
b c; a s; note "B creates one more; A finds"
b c; a c; a x; a s; note "both create one more, A loads the module anew; A finds"

echo "SoftHSM 2.6.1, two processes, C_CreateObject and C_FindObjects:"
expected="B creates one; A finds: 1
B and then A create one; A finds: 2
B finds: 3
A searches again, and finds: 2
B creates one more; A finds: 4
both create one more, A loads the module anew; A finds: 6
"
sed 's/^/  expected: /' <<<"${expected%$'\n'}"
sed 's/^/  seen:     /' <<<"${seen%$'\n'}"
[ "$seen" = "$expected" ] || { echo "CHANGED: a process that creates an object sees those of others"; exit 1; }
echo "As stated: a process that creates an object does not see what others created since its last search."
