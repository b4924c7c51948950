#!/usr/bin/env bash
# p11-kit-client 0.24.1 makes another connection, with a login of its own, for every C_GetFunctionList.
#
# Surprise:  each call of C_GetFunctionList returns another list. Behind each list is another connection and, at the
#            server, another process. C_Initialize succeeds once per list and a login through one list does not count in
#            the others. The session handles of two lists can be equal and mean different sessions.
# Document:  PKCS#11 v2.40, section "General-purpose functions": C_GetFunctionList returns the library's list, a second
#            C_Initialize is CKR_CRYPTOKI_ALREADY_INITIALIZED. Section "Session management functions", C_Login: it
#            changes the state of all sessions that the application has with the token. p11-kit(8), section SERVER, and
#            p11-kit's manual do not mention connections.
# Matters:   parts of one process that load the module separately (your code, OpenSSL's PKCS#11 provider or engine)
#            share one login with a direct module. Through p11-kit-client the second part is not logged in.
# Version:   p11-kit 0.24.1 (Debian p11-kit and p11-kit-modules 0.24.1-2), SoftHSM 2.6.1 at the server.
#            Seen 2026-11-27.
# Needs:     apt-get (with current package lists), dpkg, gcc, ps. No root.
set -euo pipefail

tmp=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$tmp"' EXIT
cd "$tmp"
export HOME=$tmp

apt-get download p11-kit=0.24.1-2 p11-kit-modules=0.24.1-2 libp11-kit0=0.24.1-2 libp11-kit-dev=0.24.1-2 \
  libsofthsm2=2.6.1-2.1 softhsm2=2.6.1-2.1 >apt.log 2>&1 || { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
libraries=$tmp/root/usr/lib/$(gcc -print-multiarch)
softhsm=$libraries/softhsm/libsofthsm2.so
export LD_LIBRARY_PATH=$libraries SOFTHSM2_CONF=$tmp/softhsm2.conf P11_KIT_PRIVATEDIR=$tmp/root/usr/libexec/p11-kit
mkdir tokens
printf 'directories.tokendir = %s/tokens\n' "$tmp" >"$SOFTHSM2_CONF"
root/usr/bin/softhsm2-util --module "$softhsm" --init-token --free --label findings --pin 1234 --so-pin 12345678 >/dev/null

cat >lists.c <<'C'
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static CK_SESSION_HANDLE open_session(CK_FUNCTION_LIST *p11) {
  CK_SLOT_ID slots[8];
  CK_ULONG count = 8;
  if (p11->C_GetSlotList(CK_TRUE, slots, &count)) exit(2);
  for (CK_ULONG i = 0; i < count; i++) {
    CK_TOKEN_INFO info;
    CK_SESSION_HANDLE session;
    if (p11->C_GetTokenInfo(slots[i], &info) || memcmp(info.label, "findings ", 9) != 0) continue;
    if (p11->C_OpenSession(slots[i], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session)) exit(2);
    return session;
  }
  exit(2);
}

int main(int argc, char **argv) {
  void *library = argc == 3 ? dlopen(argv[1], RTLD_NOW) : NULL;
  CK_C_GetFunctionList get_list = library ? (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList") : NULL;
  CK_FUNCTION_LIST *one, *two;
  if (!get_list || get_list(&one) || get_list(&two) || one->C_Initialize(NULL)) return 2;
  printf("second function list: %s\n", one == two ? "the first one" : "another one");
  CK_RV rv = two->C_Initialize(NULL);
  printf("second C_Initialize: %s\n", rv == CKR_OK                               ? "CKR_OK"
                                      : rv == CKR_CRYPTOKI_ALREADY_INITIALIZED ? "CKR_CRYPTOKI_ALREADY_INITIALIZED"
                                                                               : "other");
  CK_SESSION_HANDLE session = open_session(one), other = open_session(two);
  if (one->C_Login(session, CKU_USER, (CK_UTF8CHAR *)"1234", 4)) return 2;
  CK_SESSION_INFO info;
  if (two->C_GetSessionInfo(other, &info)) return 2;
  printf("after a login through the first list, the second is %s\n",
         info.state == CKS_RW_USER_FUNCTIONS ? "logged in" : "not logged in");
  fflush(stdout);
  if (system(argv[2])) return 2;
  one->C_Finalize(NULL);
  two->C_Finalize(NULL);
  return 0;
}
C
gcc -Iroot/usr/include/p11-kit-1 lists.c -o lists -ldl

root/usr/libexec/p11-kit/p11-kit-server --provider "$softhsm" --foreground --name "$tmp/socket" pkcs11:token=findings \
  >server.log 2>&1 &
server=$!
for ((i = 0; i < 100; i++)); do [ -S socket ] && break; sleep 0.05; done
export P11_KIT_SERVER_ADDRESS=unix:path=$tmp/socket

cat >stated <<'S'
second function list: another one
second C_Initialize: CKR_OK
after a login through the first list, the second is not logged in
connections at the server: 2
S
echo "p11-kit 0.24.1, C_GetFunctionList called twice in one process:"
echo "expected (SoftHSM loaded directly):"
./lists "$softhsm" true | sed 's/^/  /'
echo "seen (the same token through p11-kit-client):"
# shellcheck disable=SC2016 # the command expands in lists
SERVER=$server ./lists "$libraries/pkcs11/p11-kit-client.so" \
  'echo "connections at the server: $(ps -o pid= --ppid "$SERVER" | wc -l)"' >seen || { cat seen server.log; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: each function list is a connection with a login of its own."
