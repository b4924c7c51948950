#!/usr/bin/env bash
# NSS softokn 3.87.1 replaces a key pair when a second one is generated with the same CKA_ID.
#
# Surprise:  C_GenerateKeyPair with a CKA_ID that is already in use returns CKR_OK, and the first pair is gone. The
#            second pair gets the handles of the first, so a program that kept the first handle now signs with another
#            key and sees no error. A different label does not protect the first pair.
# Document:  PKCS#11 v2.40, section "Key management functions": C_GenerateKeyPair creates new objects. Section "Key
#            objects": CKA_ID helps to tell keys apart; nothing says that it is unique or that a new key replaces an old one.
# Matters:   people rotate keys under a fixed CKA_ID (or generate twice after a time-out) and keep both until the
#            verifiers know the new one. Here the old key is lost. Verify each signature with the public key you expect.
# Version:   NSS 3.87.1 (Debian libnss3 2:3.87.1-1+deb12u4), SQL database. Seen 2026-11-27.
# Needs:     apt-get (with current package lists), dpkg, gcc. No root.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

apt-get download libnss3=2:3.87.1-1+deb12u4 libnspr4=2:4.35-1 libsqlite3-0=3.40.1-2+deb12u2 libp11-kit-dev=0.24.1-2 \
  >apt.log 2>&1 || { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
libraries=$tmp/root/usr/lib/$(gcc -print-multiarch)

cat >twice.c <<'C'
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static CK_FUNCTION_LIST *p11;
static CK_SESSION_HANDLE session;

static void must(CK_RV rv, const char *call) {
  if (rv == CKR_OK) return;
  fprintf(stderr, "%s: 0x%lx\n", call, rv);
  exit(2);
}
#define MUST(call) must((call), #call)

static CK_OBJECT_HANDLE generate(const char *label) {
  CK_BBOOL yes = CK_TRUE;
  CK_ULONG bits = 2048;
  CK_BYTE exponent[] = {1, 0, 1}, id[] = {7};
  CK_ATTRIBUTE public_template[] = {{CKA_TOKEN, &yes, 1},         {CKA_MODULUS_BITS, &bits, sizeof bits},
                                    {CKA_PUBLIC_EXPONENT, exponent, 3}, {CKA_ID, id, 1},
                                    {CKA_LABEL, (void *)label, strlen(label)}};
  CK_ATTRIBUTE private_template[] = {{CKA_TOKEN, &yes, 1}, {CKA_PRIVATE, &yes, 1}, {CKA_SENSITIVE, &yes, 1},
                                     {CKA_SIGN, &yes, 1},  {CKA_ID, id, 1},        {CKA_LABEL, (void *)label, strlen(label)}};
  CK_MECHANISM mechanism = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0};
  CK_OBJECT_HANDLE public_key, private_key;
  MUST(p11->C_GenerateKeyPair(session, &mechanism, public_template, 5, private_template, 6, &public_key, &private_key));
  return private_key;
}

static CK_ULONG count(CK_OBJECT_CLASS class) {
  CK_ATTRIBUTE template = {CKA_CLASS, &class, sizeof class};
  CK_OBJECT_HANDLE found[8];
  CK_ULONG count = 0;
  MUST(p11->C_FindObjectsInit(session, &template, 1));
  MUST(p11->C_FindObjects(session, found, 8, &count));
  MUST(p11->C_FindObjectsFinal(session));
  return count;
}

static void modulus(CK_OBJECT_HANDLE key, CK_BYTE *out) {
  CK_ATTRIBUTE attribute = {CKA_MODULUS, out, 256};
  MUST(p11->C_GetAttributeValue(session, key, &attribute, 1));
}

int main(int argc, char **argv) {
  void *library = argc == 3 ? dlopen(argv[1], RTLD_NOW) : NULL;
  CK_C_GetFunctionList get_list = library ? (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList") : NULL;
  if (!get_list || get_list(&p11)) return 2;
  char parameters[4096];
  snprintf(parameters, sizeof parameters, "configdir='sql:%s' certPrefix='' keyPrefix='' secmod=''", argv[2]);
  struct {
    CK_C_INITIALIZE_ARGS args;
    void *end;
  } initialize = {{NULL, NULL, NULL, NULL, CKF_OS_LOCKING_OK, parameters}, NULL};
  MUST(p11->C_Initialize(&initialize));
  CK_SLOT_ID key_slot = 2;  // the slot of the database in softokn
  MUST(p11->C_OpenSession(key_slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
  MUST(p11->C_Login(session, CKU_SO, (CK_UTF8CHAR *)"", 0));
  MUST(p11->C_InitPIN(session, (CK_UTF8CHAR *)"1234", 4));
  MUST(p11->C_Logout(session));
  MUST(p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)"1234", 4));

  CK_BYTE before[256], after[256];
  CK_OBJECT_HANDLE first = generate("first");
  printf("after one C_GenerateKeyPair: %lu private, %lu public\n", count(CKO_PRIVATE_KEY), count(CKO_PUBLIC_KEY));
  modulus(first, before);
  CK_OBJECT_HANDLE second = generate("second");
  printf("after another, same CKA_ID: %lu private, %lu public\n", count(CKO_PRIVATE_KEY), count(CKO_PUBLIC_KEY));
  modulus(first, after);
  printf("handles of the two private keys: %s\n", first == second ? "equal" : "different");
  printf("modulus behind the first handle: %s\n", memcmp(before, after, 256) ? "changed" : "unchanged");
  MUST(p11->C_Finalize(NULL));
  return 0;
}
C
gcc -Iroot/usr/include/p11-kit-1 twice.c -o twice -ldl
mkdir database

cat >stated <<'S'
after one C_GenerateKeyPair: 1 private, 1 public
after another, same CKA_ID: 1 private, 1 public
handles of the two private keys: equal
modulus behind the first handle: changed
S
echo "NSS softokn 3.87.1:"
echo "expected: 2 private and 2 public keys (or an error), different handles, unchanged modulus"
echo "seen:"
LD_LIBRARY_PATH=$libraries ./twice "$libraries/libsoftokn3.so" "$tmp/database" >seen || { cat seen; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: the second pair replaced the first and took its handle."
