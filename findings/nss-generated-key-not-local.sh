#!/usr/bin/env bash
# NSS softokn 3.87.1 says that a key it has just generated is not local.
#
# Surprise:  after C_GenerateKeyPair both keys show CKA_LOCAL = CK_FALSE, and CKA_KEY_GEN_MECHANISM does not exist
#            (CKR_ATTRIBUTE_TYPE_INVALID). CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE of the same private key are
#            CK_TRUE.
# Document:  PKCS#11 v2.40, section "Key objects", common key attributes: CKA_LOCAL is CK_TRUE for a key that
#            C_GenerateKeyPair made on the token, and then CKA_KEY_GEN_MECHANISM identifies the mechanism.
# Matters:   an audit that demands all three of LOCAL, ALWAYS_SENSITIVE and NEVER_EXTRACTABLE rejects every key of this
#            token. CKA_LOCAL cannot tell an imported key from a generated one here.
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

cat >origin.c <<'C'
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>

static CK_FUNCTION_LIST *p11;
static CK_SESSION_HANDLE session;

static void must(CK_RV rv, const char *call) {
  if (rv == CKR_OK) return;
  fprintf(stderr, "%s: 0x%lx\n", call, rv);
  exit(2);
}
#define MUST(call) must((call), #call)

static void print_boolean(const char *name, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type) {
  CK_BBOOL value;
  CK_ATTRIBUTE attribute = {type, &value, sizeof value};
  MUST(p11->C_GetAttributeValue(session, key, &attribute, 1));
  printf("%s = %s\n", name, value ? "CK_TRUE" : "CK_FALSE");
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

  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}, id[] = {7};
  CK_ATTRIBUTE public_template[] = {{CKA_TOKEN, &yes, 1}, {CKA_EC_PARAMS, p256, sizeof p256}, {CKA_ID, id, 1}};
  CK_ATTRIBUTE private_template[] = {{CKA_TOKEN, &yes, 1}, {CKA_PRIVATE, &yes, 1},    {CKA_SENSITIVE, &yes, 1},
                                     {CKA_SIGN, &yes, 1},  {CKA_EXTRACTABLE, &no, 1}, {CKA_ID, id, 1}};
  CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
  CK_OBJECT_HANDLE public_key, private_key;
  MUST(p11->C_GenerateKeyPair(session, &mechanism, public_template, 3, private_template, 6, &public_key, &private_key));

  print_boolean("private key: CKA_LOCAL", private_key, CKA_LOCAL);
  print_boolean("public key:  CKA_LOCAL", public_key, CKA_LOCAL);
  print_boolean("private key: CKA_ALWAYS_SENSITIVE", private_key, CKA_ALWAYS_SENSITIVE);
  print_boolean("private key: CKA_NEVER_EXTRACTABLE", private_key, CKA_NEVER_EXTRACTABLE);
  CK_MECHANISM_TYPE made_by;
  CK_ATTRIBUTE attribute = {CKA_KEY_GEN_MECHANISM, &made_by, sizeof made_by};
  CK_RV rv = p11->C_GetAttributeValue(session, private_key, &attribute, 1);
  printf("private key: CKA_KEY_GEN_MECHANISM %s\n",
         rv == CKR_OK ? "exists" : rv == CKR_ATTRIBUTE_TYPE_INVALID ? "does not exist" : "cannot be read");
  MUST(p11->C_Finalize(NULL));
  return 0;
}
C
gcc -Iroot/usr/include/p11-kit-1 origin.c -o origin -ldl
mkdir database

cat >stated <<'S'
private key: CKA_LOCAL = CK_FALSE
public key:  CKA_LOCAL = CK_FALSE
private key: CKA_ALWAYS_SENSITIVE = CK_TRUE
private key: CKA_NEVER_EXTRACTABLE = CK_TRUE
private key: CKA_KEY_GEN_MECHANISM does not exist
S
echo "NSS softokn 3.87.1, a pair that C_GenerateKeyPair has just made on the token:"
echo "expected: CKA_LOCAL = CK_TRUE for both keys, and CKA_KEY_GEN_MECHANISM = CKM_EC_KEY_PAIR_GEN"
echo "seen:"
LD_LIBRARY_PATH=$libraries ./origin "$libraries/libsoftokn3.so" "$tmp/database" >seen || { cat seen; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: the generated key is not local."
