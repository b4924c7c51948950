#!/usr/bin/env bash
# SoftHSM 2.6.1 describes a mechanism that slots.mechanisms has removed.
#
# Surprise:  with `slots.mechanisms = -,CKM_SHA256_RSA_PKCS` the mechanism is not in C_GetMechanismList and C_SignInit
#            answers CKR_MECHANISM_INVALID, but C_GetMechanismInfo answers CKR_OK with CKF_SIGN and key sizes.
# Document:  PKCS#11 v2.40, section "Slot and token management functions": C_GetMechanismInfo obtains information about a
#            mechanism possibly supported by the token, and CKR_MECHANISM_INVALID is among its return values.
#            softhsm2.conf(5), section SLOTS.MECHANISMS, does not mention it.
# Matters:   a program that asks C_GetMechanismInfo alone takes the mechanism for usable and fails at its first signature.
#            Ask C_GetMechanismList too, and go on to the next mechanism when C_SignInit answers CKR_MECHANISM_INVALID.
# Version:   SoftHSM 2.6.1 (Debian libsofthsm2 2.6.1-2.1). Seen 2026-11-28.
# Needs:     apt-get (with current package lists), dpkg, gcc. No root.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

apt-get download libsofthsm2=2.6.1-2.1 libp11-kit-dev=0.24.1-2 >apt.log 2>&1 || { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
module=root/usr/lib/$(gcc -print-multiarch)/softhsm/libsofthsm2.so

cat >ask.c <<'C'
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static CK_FUNCTION_LIST *p11;

static void must(CK_RV rv, const char *call) {
  if (rv == CKR_OK) return;
  fprintf(stderr, "%s: 0x%lx\n", call, rv);
  exit(2);
}
#define MUST(call) must((call), #call)

static const char *name(CK_RV rv) {
  return rv == CKR_OK ? "CKR_OK" : rv == CKR_MECHANISM_INVALID ? "CKR_MECHANISM_INVALID" : "other";
}

int main(int argc, char **argv) {
  void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
  CK_C_GetFunctionList get_list = library ? (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList") : NULL;
  if (!get_list || get_list(&p11)) return 2;
  MUST(p11->C_Initialize(NULL));
  CK_SLOT_ID slots[4];
  CK_ULONG count = 4;
  CK_UTF8CHAR label[32];
  CK_SESSION_HANDLE session;
  MUST(p11->C_GetSlotList(CK_TRUE, slots, &count));
  memset(label, ' ', sizeof label);
  MUST(p11->C_InitToken(slots[0], (CK_UTF8CHAR *)"12345678", 8, label));
  count = 4;
  MUST(p11->C_GetSlotList(CK_TRUE, slots, &count));
  MUST(p11->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
  MUST(p11->C_Login(session, CKU_SO, (CK_UTF8CHAR *)"12345678", 8));
  MUST(p11->C_InitPIN(session, (CK_UTF8CHAR *)"1234", 4));
  MUST(p11->C_Logout(session));
  MUST(p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)"1234", 4));

  CK_BBOOL yes = CK_TRUE;
  CK_ULONG bits = 2048;
  CK_ATTRIBUTE public_template[] = {{CKA_MODULUS_BITS, &bits, sizeof bits}};
  CK_ATTRIBUTE private_template[] = {{CKA_SIGN, &yes, 1}};
  CK_MECHANISM generation = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0}, signature = {CKM_SHA256_RSA_PKCS, NULL, 0};
  CK_OBJECT_HANDLE public_key, private_key;
  MUST(p11->C_GenerateKeyPair(session, &generation, public_template, 1, private_template, 1, &public_key, &private_key));

  CK_MECHANISM_TYPE mechanisms[256];
  CK_MECHANISM_INFO info = {0};
  const char *listed = "no";
  count = 256;
  MUST(p11->C_GetMechanismList(slots[0], mechanisms, &count));
  for (CK_ULONG i = 0; i < count; i++) {
    if (mechanisms[i] == CKM_SHA256_RSA_PKCS) listed = "yes";
  }
  printf("in C_GetMechanismList: %s\n", listed);
  CK_RV rv = p11->C_GetMechanismInfo(slots[0], CKM_SHA256_RSA_PKCS, &info);
  printf("C_GetMechanismInfo: %s%s\n", name(rv), info.flags & CKF_SIGN ? ", CKF_SIGN" : "");
  printf("C_SignInit: %s\n", name(p11->C_SignInit(session, &signature, private_key)));
  MUST(p11->C_Finalize(NULL));
  return 0;
}
C
gcc -Iroot/usr/include/p11-kit-1 ask.c -o ask -ldl
export SOFTHSM2_CONF=$tmp/softhsm2.conf

cat >stated <<'S'
in C_GetMechanismList: no
C_GetMechanismInfo: CKR_OK, CKF_SIGN
C_SignInit: CKR_MECHANISM_INVALID
S
look() {   # LINE OF softhsm2.conf
  rm -rf tokens && mkdir tokens
  printf 'directories.tokendir = %s/tokens\n%s\n' "$tmp" "$1" >"$SOFTHSM2_CONF"
  ./ask "$module"
}
echo "SoftHSM 2.6.1, CKM_SHA256_RSA_PKCS with slots.mechanisms = ALL:"
look 'slots.mechanisms = ALL' | sed 's/^/  /'
echo "with slots.mechanisms = -,CKM_SHA256_RSA_PKCS:"
echo "expected: CKR_MECHANISM_INVALID from both functions"
echo "seen:"
look 'slots.mechanisms = -,CKM_SHA256_RSA_PKCS' >seen || { cat seen; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: a mechanism that is gone is still described."
