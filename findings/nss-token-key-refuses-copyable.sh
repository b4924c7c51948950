#!/usr/bin/env bash
# NSS softokn 3.87.1 answers CKR_GENERAL_ERROR to CKA_COPYABLE in the template of a token key.
#
# Surprise:  C_GenerateKeyPair with CKA_COPYABLE = CK_FALSE in the private template fails with CKR_GENERAL_ERROR if the
#            key is a token object. The same template with CKA_TOKEN = CK_FALSE succeeds, and so does a token key without
#            the attribute. The error names no attribute.
# Document:  PKCS#11 v2.40, section "Storage objects", defines CKA_COPYABLE for every object. Section "Creating objects": a
#            template may hold every attribute that the specification describes, and one that is not valid is
#            CKR_ATTRIBUTE_TYPE_INVALID.
# Matters:   a program that negotiates its template drops what CKR_ATTRIBUTE_TYPE_INVALID rejects, and takes
#            CKR_GENERAL_ERROR for a broken device. On this token it must also try again without CKA_COPYABLE.
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

cat >generate.c <<'C'
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

static void generate(const char *what, CK_BBOOL on_token, int with_copyable) {
  static CK_BYTE id = 0;
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
  id++;
  CK_ATTRIBUTE public_template[] = {{CKA_TOKEN, &on_token, 1}, {CKA_EC_PARAMS, p256, sizeof p256}, {CKA_ID, &id, 1}};
  CK_ATTRIBUTE private_template[] = {{CKA_TOKEN, &on_token, 1}, {CKA_PRIVATE, &yes, 1}, {CKA_SENSITIVE, &yes, 1},
                                     {CKA_SIGN, &yes, 1},       {CKA_ID, &id, 1},       {CKA_COPYABLE, &no, 1}};
  CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
  CK_OBJECT_HANDLE public_key, private_key;
  CK_RV rv = p11->C_GenerateKeyPair(session, &mechanism, public_template, 3, private_template, with_copyable ? 6 : 5,
                                    &public_key, &private_key);
  printf("%s: %s\n", what,
         rv == CKR_OK                       ? "CKR_OK"
         : rv == CKR_GENERAL_ERROR          ? "CKR_GENERAL_ERROR"
         : rv == CKR_ATTRIBUTE_TYPE_INVALID ? "CKR_ATTRIBUTE_TYPE_INVALID"
                                            : "another error");
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

  generate("token key", CK_TRUE, 0);
  generate("session key with CKA_COPYABLE = CK_FALSE", CK_FALSE, 1);
  generate("token key with CKA_COPYABLE = CK_FALSE", CK_TRUE, 1);
  MUST(p11->C_Finalize(NULL));
  return 0;
}
C
gcc -Iroot/usr/include/p11-kit-1 generate.c -o generate -ldl
mkdir database

cat >stated <<'S'
token key: CKR_OK
session key with CKA_COPYABLE = CK_FALSE: CKR_OK
token key with CKA_COPYABLE = CK_FALSE: CKR_GENERAL_ERROR
S
echo "NSS softokn 3.87.1, C_GenerateKeyPair:"
echo "expected: CKR_OK, or at least an error that is about an attribute"
echo "seen:"
LD_LIBRARY_PATH=$libraries ./generate "$libraries/libsoftokn3.so" "$tmp/database" >seen || { cat seen; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: a token key with CKA_COPYABLE is refused with CKR_GENERAL_ERROR."
