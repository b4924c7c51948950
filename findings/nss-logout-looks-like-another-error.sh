#!/usr/bin/env bash
# NSS softokn 3.87.1 does not say CKR_USER_NOT_LOGGED_IN when a key is used after C_Logout.
#
# Surprise:  after C_Logout, C_SignInit with the handle of a private token key answers CKR_KEY_TYPE_INCONSISTENT for an RSA
#            key and CKR_HOST_MEMORY for an EC key. A search finds no private key. After the next login the old handles are
#            good again.
# Document:  PKCS#11 v2.40, section "Session management functions", C_Logout: handles of private objects become invalid, and
#            a later login does not make them valid. CKR_KEY_HANDLE_INVALID and CKR_USER_NOT_LOGGED_IN are among the return
#            values of C_SignInit.
# Matters:   a logout anywhere in the process logs all its sessions out. A program that logs in again on
#            CKR_USER_NOT_LOGGED_IN or CKR_KEY_HANDLE_INVALID does not recognise it here: it sees a wrong key type, or a
#            machine without memory. Ask C_GetSessionInfo for the state before believing either.
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

cat >logout.c <<'C'
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

static const char *name(CK_RV rv) {
  switch (rv) {
    case CKR_OK: return "CKR_OK";
    case CKR_HOST_MEMORY: return "CKR_HOST_MEMORY";
    case CKR_KEY_HANDLE_INVALID: return "CKR_KEY_HANDLE_INVALID";
    case CKR_KEY_TYPE_INCONSISTENT: return "CKR_KEY_TYPE_INCONSISTENT";
    case CKR_USER_NOT_LOGGED_IN: return "CKR_USER_NOT_LOGGED_IN";
    default: return "other";
  }
}

static CK_OBJECT_HANDLE generate(CK_MECHANISM_TYPE type, CK_BYTE number) {
  CK_BBOOL yes = CK_TRUE;
  CK_ULONG bits = 2048;
  CK_BYTE exponent[] = {1, 0, 1}, p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
  CK_ATTRIBUTE rsa[] = {{CKA_TOKEN, &yes, 1}, {CKA_ID, &number, 1}, {CKA_MODULUS_BITS, &bits, sizeof bits},
                        {CKA_PUBLIC_EXPONENT, exponent, sizeof exponent}};
  CK_ATTRIBUTE ec[] = {{CKA_TOKEN, &yes, 1}, {CKA_ID, &number, 1}, {CKA_EC_PARAMS, p256, sizeof p256}};
  int is_rsa = type == CKM_RSA_PKCS_KEY_PAIR_GEN;
  CK_ATTRIBUTE private_template[] = {{CKA_TOKEN, &yes, 1}, {CKA_PRIVATE, &yes, 1}, {CKA_SIGN, &yes, 1}, {CKA_ID, &number, 1}};
  CK_MECHANISM mechanism = {type, NULL, 0};
  CK_OBJECT_HANDLE public_key, private_key;
  MUST(p11->C_GenerateKeyPair(session, &mechanism, is_rsa ? rsa : ec, is_rsa ? 4 : 3, private_template, 4, &public_key,
                              &private_key));
  return private_key;
}

static void begin_to_sign(const char *when, CK_OBJECT_HANDLE rsa, CK_OBJECT_HANDLE ec) {
  CK_MECHANISM with_rsa = {CKM_SHA256_RSA_PKCS, NULL, 0}, with_ec = {CKM_ECDSA, NULL, 0};
  CK_BYTE digest[32] = {1}, signature[256];
  CK_ULONG size = sizeof signature;
  CK_RV rv = p11->C_SignInit(session, &with_rsa, rsa);
  if (rv == CKR_OK) MUST(p11->C_Sign(session, digest, sizeof digest, signature, &size));
  printf("%s: C_SignInit RSA %s", when, name(rv));
  size = sizeof signature;
  rv = p11->C_SignInit(session, &with_ec, ec);
  if (rv == CKR_OK) MUST(p11->C_Sign(session, digest, sizeof digest, signature, &size));
  printf(", EC %s\n", name(rv));
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

  CK_OBJECT_HANDLE rsa = generate(CKM_RSA_PKCS_KEY_PAIR_GEN, 1), ec = generate(CKM_EC_KEY_PAIR_GEN, 2);
  begin_to_sign("logged in", rsa, ec);
  MUST(p11->C_Logout(session));
  begin_to_sign("logged out", rsa, ec);
  MUST(p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)"1234", 4));
  begin_to_sign("logged in again", rsa, ec);
  MUST(p11->C_Finalize(NULL));
  return 0;
}
C
gcc -Iroot/usr/include/p11-kit-1 logout.c -o logout -ldl
mkdir database

cat >stated <<'S'
logged in: C_SignInit RSA CKR_OK, EC CKR_OK
logged out: C_SignInit RSA CKR_KEY_TYPE_INCONSISTENT, EC CKR_HOST_MEMORY
logged in again: C_SignInit RSA CKR_OK, EC CKR_OK
S
echo "NSS softokn 3.87.1:"
echo "expected after C_Logout: CKR_USER_NOT_LOGGED_IN or CKR_KEY_HANDLE_INVALID"
echo "seen:"
LD_LIBRARY_PATH=$libraries ./logout "$libraries/libsoftokn3.so" "$tmp/database" >seen || { cat seen; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: a logout looks like another error."
