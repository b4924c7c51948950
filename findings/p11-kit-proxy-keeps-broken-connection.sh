#!/usr/bin/env bash
# p11-kit-proxy 0.24.1 keeps a lost connection as long as any of its function lists is initialised.
#
# Surprise:  a module that is configured as `remote:` loses its connection. C_Finalize and C_Initialize through one
#            function list connect anew only when no other list of the process is initialised. Otherwise C_Initialize
#            answers CKR_DEVICE_ERROR, then and for ever, although the server is there. Each C_GetFunctionList returns
#            another list. A second surprise: a call on the lost connection raises SIGPIPE, which ends a process that
#            does not ignore it.
# Document:  PKCS#11 v2.40, section "General-purpose functions": C_Initialize initialises the Cryptoki library, after
#            C_Finalize again. p11-kit's manual, sections "Remoting" and "Proxy Module", mention neither lost connections
#            nor how many lists share one.
# Matters:   parts of one process load the proxy separately (your code, OpenSSL's PKCS#11 provider). One that never
#            calls C_Finalize, such as pkcs11-provider with the quirk no-deinit, keeps the others from the HSM until the
#            process ends.
# Version:   p11-kit 0.24.1 (Debian p11-kit and p11-kit-modules 0.24.1-2), SoftHSM 2.6.1 at the server, socat 1.7.4.4.
#            Seen 2026-11-28.
# Needs:     apt-get (with current package lists), dpkg, gcc, pkill, mount namespaces (unshare; without root, of a user).
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
export HOME=$tmp XDG_CONFIG_HOME=$tmp/config

apt-get download p11-kit=0.24.1-2 p11-kit-modules=0.24.1-2 libp11-kit0=0.24.1-2 libp11-kit-dev=0.24.1-2 \
  libsofthsm2=2.6.1-2.1 softhsm2=2.6.1-2.1 socat=1.7.4.4-2 >apt.log 2>&1 || { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
libraries=$tmp/root/usr/lib/$(gcc -print-multiarch)
softhsm=$libraries/softhsm/libsofthsm2.so
export LD_LIBRARY_PATH=$libraries SOFTHSM2_CONF=$tmp/softhsm2.conf
mkdir -p tokens
printf 'directories.tokendir = %s/tokens\n' "$tmp" >"$SOFTHSM2_CONF"
root/usr/bin/softhsm2-util --module "$softhsm" --init-token --free --label findings --pin 1234 --so-pin 12345678 >/dev/null

cat >lists.c <<'C'
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *name(CK_RV rv) {
  switch (rv) {
    case CKR_OK: return "CKR_OK";
    case CKR_DEVICE_ERROR: return "CKR_DEVICE_ERROR";
    case CKR_CRYPTOKI_NOT_INITIALIZED: return "CKR_CRYPTOKI_NOT_INITIALIZED";
    default: return "other";
  }
}

/* lists MODULE alone|two|piped: which lists are initialised when the connection is lost */
int main(int argc, char **argv) {
  void *library = argc == 3 ? dlopen(argv[1], RTLD_NOW) : NULL;
  CK_C_GetFunctionList get_list = library ? (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList") : NULL;
  CK_FUNCTION_LIST *one, *two;
  CK_SLOT_ID slots[8];
  CK_ULONG count = 8;
  CK_SESSION_HANDLE session;
  CK_SESSION_INFO info;
  if (strcmp(argv[2], "piped") != 0) signal(SIGPIPE, SIG_IGN);
  if (!get_list || get_list(&one) || get_list(&two) || one->C_Initialize(NULL)) return 2;
  if (strcmp(argv[2], "two") == 0 && two->C_Initialize(NULL)) return 2;
  if (one->C_GetSlotList(CK_TRUE, slots, &count) || count == 0) return 2;
  if (one->C_OpenSession(slots[0], CKF_SERIAL_SESSION, NULL, NULL, &session)) return 2;
  if (system("pkill -P $PPID socat; sleep 0.5")) return 2;
  printf("C_GetSessionInfo on the lost connection: %s\n", name(one->C_GetSessionInfo(session, &info)));
  for (int i = 0; i < 2; i++) {
    one->C_Finalize(NULL);
    printf("C_Initialize: %s, ", name(one->C_Initialize(NULL)));
    count = 8;
    printf("C_GetSlotList: %s\n", name(one->C_GetSlotList(CK_TRUE, slots, &count)));
  }
  return 0;
}
C
gcc -Iroot/usr/include/p11-kit-1 lists.c -o lists -ldl

# The remote side is a process of its own for each connection; socat stands for the network.
mkdir modules
cat >serve <<S
#!/bin/sh
exec $tmp/root/usr/libexec/p11-kit/p11-kit-remote $softhsm
S
chmod +x serve
echo "remote: |$tmp/root/usr/bin/socat - EXEC:$tmp/serve" >modules/findings.module
namespace=(unshare --mount)
[ "$(id -u)" = 0 ] || namespace=(unshare --user --map-root-user --mount)
look() {   # WHICH
  # shellcheck disable=SC2016 # $ expands in the namespace
  "${namespace[@]}" sh -c 'mkdir -p /usr/share/p11-kit/modules && mount --bind modules /usr/share/p11-kit/modules && exec "$@"' \
    sh ./lists "$libraries/p11-kit-proxy.so" "$1" 2>>error.log
}

cat >expected <<'S'
C_GetSessionInfo on the lost connection: CKR_DEVICE_ERROR
C_Initialize: CKR_OK, C_GetSlotList: CKR_OK
C_Initialize: CKR_OK, C_GetSlotList: CKR_OK
S
cat >stated <<'S'
C_GetSessionInfo on the lost connection: CKR_DEVICE_ERROR
C_Initialize: CKR_DEVICE_ERROR, C_GetSlotList: CKR_CRYPTOKI_NOT_INITIALIZED
C_Initialize: CKR_DEVICE_ERROR, C_GetSlotList: CKR_CRYPTOKI_NOT_INITIALIZED
S
echo "p11-kit 0.24.1, a remote module behind p11-kit-proxy, whose connection is lost:"
look alone >alone || { cat alone error.log; exit 2; }
echo "expected, and seen while no other function list is initialised:"
sed 's/^/  /' alone
look two >two || { cat two error.log; exit 2; }
echo "seen while another function list is initialised:"
sed 's/^/  /' two
status=0
look piped >piped || status=$?
echo "without ignoring SIGPIPE: exit status $status"
cmp -s alone expected && cmp -s two stated && [ "$status" = 141 ] ||
  { echo "CHANGED: with another list it used to be"; sed 's/^/  /' stated; echo "  and 141 without ignoring SIGPIPE"; exit 1; }
echo "As stated: the lost connection stays while another list is initialised."
