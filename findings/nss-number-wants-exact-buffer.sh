#!/usr/bin/env bash
# NSS softokn 3.87.1 reads a number of a token key only into a buffer of exactly eight octets.
#
# Surprise:  C_GetAttributeValue of CKA_CLASS answers CKR_BUFFER_TOO_SMALL, and the length CK_UNAVAILABLE_INFORMATION, when
#            the buffer is larger than a CK_ULONG. Octet strings and CK_BBOOLs may have a larger buffer. The same key as a
#            session object may, too.
# Document:  PKCS#11 v2.40, section "Object management functions", C_GetAttributeValue, case 4: if ulValueLen is large
#            enough to hold a copy, the value is copied and ulValueLen becomes its exact length.
# Matters:   a program that reads every attribute into one large buffer cannot tell a key from a certificate here, and takes
#            the answer for "make the buffer larger". Ask for the length first, or read each kind with its size.
# Version:   NSS 3.87.1 (Debian libnss3 2:3.87.1-1+deb12u4), SQL database. Seen 2026-11-28.
# Needs:     apt-get (with current package lists), dpkg, gcc. No root.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

apt-get download libnss3=2:3.87.1-1+deb12u4 libnspr4=2:4.35-1 libsqlite3-0=3.40.1-2+deb12u2 libp11-kit-dev=0.24.1-2 \
  >apt.log 2>&1 || { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
libraries=$tmp/root/usr/lib/$(gcc -print-multiarch)

cat >read.c <<'C'
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

static CK_OBJECT_HANDLE generate(CK_BBOOL token) {
  CK_BBOOL yes = CK_TRUE;
  CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}, id[] = {7};
  CK_ATTRIBUTE public_template[] = {{CKA_TOKEN, &token, 1}, {CKA_EC_PARAMS, p256, sizeof p256}, {CKA_ID, id, 1}};
  CK_ATTRIBUTE private_template[] = {{CKA_TOKEN, &token, 1}, {CKA_SENSITIVE, &yes, 1}, {CKA_SIGN, &yes, 1}, {CKA_ID, id, 1}};
  CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
  CK_OBJECT_HANDLE public_key, private_key;
  MUST(p11->C_GenerateKeyPair(session, &mechanism, public_template, 3, private_template, 4, &public_key, &private_key));
  return private_key;
}

static void read_class(const char *kind, CK_OBJECT_HANDLE key, CK_ULONG size) {
  CK_BYTE value[64];
  CK_ATTRIBUTE attribute = {CKA_CLASS, value, size};
  CK_RV rv = p11->C_GetAttributeValue(session, key, &attribute, 1);
  printf("%s, CKA_CLASS into %lu octets: %s, length %ld\n", kind, size,
         rv == CKR_OK ? "CKR_OK" : rv == CKR_BUFFER_TOO_SMALL ? "CKR_BUFFER_TOO_SMALL" : "other",
         (long)attribute.ulValueLen);
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

  CK_OBJECT_HANDLE token_key = generate(CK_TRUE), session_key = generate(CK_FALSE);
  read_class("token key", token_key, 8);
  read_class("token key", token_key, 9);
  read_class("token key", token_key, 64);
  read_class("session key", session_key, 64);
  MUST(p11->C_Finalize(NULL));
  return 0;
}
C
gcc -Iroot/usr/include/p11-kit-1 read.c -o read -ldl
mkdir database

cat >stated <<'S'
token key, CKA_CLASS into 8 octets: CKR_OK, length 8
token key, CKA_CLASS into 9 octets: CKR_BUFFER_TOO_SMALL, length -1
token key, CKA_CLASS into 64 octets: CKR_BUFFER_TOO_SMALL, length -1
session key, CKA_CLASS into 64 octets: CKR_OK, length 8
S
echo "NSS softokn 3.87.1, C_GetAttributeValue:"
echo "expected: CKR_OK, length 8 each time"
echo "seen:"
LD_LIBRARY_PATH=$libraries ./read "$libraries/libsoftokn3.so" "$tmp/database" >seen || { cat seen; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: a buffer that is too large is called too small."
