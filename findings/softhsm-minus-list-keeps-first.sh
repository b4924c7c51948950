#!/usr/bin/env bash
# SoftHSM 2.6.1 keeps the first mechanism of a "-" list.
#
# Surprise:  `slots.mechanisms = -A,B` disables B and leaves A enabled. A list of one disables nothing. There is no
#            warning. A bare "-" as the first item of the list, `slots.mechanisms = -,A,B`, disables A and B.
# Document:  softhsm2.conf(5), section TOKEN.MECHANISMS: the whole list is disabled when a minus sign is its prefix.
# Matters:   people take mechanisms away from SoftHSM to imitate an HSM that lacks them. The test passes because the
#            mechanism is still there, and the program first meets its absence on the real HSM.
# Version:   SoftHSM 2.6.1 (Debian libsofthsm2 2.6.1-2.1). Seen 2026-11-27.
# Needs:     apt-get (with current package lists), dpkg, gcc. No root.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

apt-get download libsofthsm2=2.6.1-2.1 libp11-kit-dev=0.24.1-2 >apt.log 2>&1 || { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
module=root/usr/lib/$(gcc -print-multiarch)/softhsm/libsofthsm2.so

cat >list.c <<'C'
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>

int main(int argc, char **argv) {
  void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
  CK_C_GetFunctionList get_list = library ? (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList") : NULL;
  CK_FUNCTION_LIST *p11;
  CK_SLOT_ID slots[4];
  CK_MECHANISM_TYPE mechanisms[256];
  CK_ULONG slot_count = 4, count = 256;
  if (!get_list || get_list(&p11) || p11->C_Initialize(NULL) || p11->C_GetSlotList(CK_TRUE, slots, &slot_count) ||
      p11->C_GetMechanismList(slots[0], mechanisms, &count))
    return 1;
  const char *rsa = "absent", *ecdsa = "absent";
  for (CK_ULONG i = 0; i < count; i++) {
    if (mechanisms[i] == CKM_RSA_PKCS) rsa = "present";
    if (mechanisms[i] == CKM_ECDSA) ecdsa = "present";
  }
  printf("CKM_RSA_PKCS %s, CKM_ECDSA %s\n", rsa, ecdsa);
  return p11->C_Finalize(NULL) != CKR_OK;
}
C
gcc -Iroot/usr/include/p11-kit-1 list.c -o list -ldl
mkdir tokens
export SOFTHSM2_CONF=$tmp/softhsm2.conf

echo "SoftHSM 2.6.1, C_GetMechanismList:"
changed=0
check() { # check CONFIGURED EXPECTED-BY-THE-MANUAL SEEN-ON-2026-11-27
  local seen
  printf 'directories.tokendir = %s/tokens\nslots.mechanisms = %s\n' "$tmp" "$1" >"$SOFTHSM2_CONF"
  seen=$(./list "$module") || { echo "the module did not answer" >&2; exit 2; }
  printf 'slots.mechanisms = %s\n  expected: %s\n  seen:     %s\n' "$1" "$2" "$seen"
  [ "$seen" = "$3" ] || changed=1
}
both='CKM_RSA_PKCS present, CKM_ECDSA present'
none='CKM_RSA_PKCS absent, CKM_ECDSA absent'
check 'ALL' "$both" "$both"
check '-CKM_RSA_PKCS' 'CKM_RSA_PKCS absent, CKM_ECDSA present' "$both"
check '-CKM_RSA_PKCS,CKM_ECDSA' "$none" 'CKM_RSA_PKCS present, CKM_ECDSA absent'
check '-CKM_ECDSA,CKM_RSA_PKCS' "$none" 'CKM_RSA_PKCS absent, CKM_ECDSA present'
check '-,CKM_RSA_PKCS,CKM_ECDSA' "$none" "$none"

[ "$changed" = 0 ] || { echo "CHANGED: SoftHSM no longer keeps the first mechanism of a '-' list"; exit 1; }
echo "As stated: the first mechanism of a '-' list stays enabled."
