#!/usr/bin/env bash
# tpm2-pkcs11 1.9.0 gives a new object the handle of another after an object was destroyed.
#
# Surprise:  objects A and B exist, A is destroyed, and C_GenerateKeyPair makes C: the handle that it returns for the public
#            key is B's, and a call with it meets B. Every call answers CKR_OK. A search finds the same handle twice. After
#            C_Finalize and C_Initialize each object has a handle of its own.
# Document:  PKCS#11 v2.40, section "Object management functions": an object handle identifies an object for the application.
#            C_GenerateKeyPair returns a handle for each half of the new pair.
# Matters:   a program that generates a key, rejects and destroys it (for one that lacks an attribute) and generates another
#            may then read, sign with or destroy an older key. Compare the public key behind a handle with the one expected,
#            and load the module anew after a destruction.
# Version:   tpm2-pkcs11 1.9.0 (Debian libtpm2-pkcs11-1 1.9.0-0.1+deb12u1), swtpm 0.7.1. Seen 2026-11-28.
# Needs:     apt-get (with current package lists), dpkg, gcc. No root.
set -euo pipefail

tmp=$(mktemp -d)
tpm=
trap '[ -z "$tpm" ] || kill "$tpm"; rm -rf "$tmp"' EXIT
cd "$tmp"

apt-get download libtpm2-pkcs11-1=1.9.0-0.1+deb12u1 libtss2-esys-3.0.2-0=3.2.1-3 libtss2-mu0=3.2.1-3 libtss2-rc0=3.2.1-3 \
  libtss2-sys1=3.2.1-3 libtss2-tctildr0=3.2.1-3 libtss2-tcti-swtpm0=3.2.1-3 libyaml-0-2=0.2.5-1 \
  libsqlite3-0=3.40.1-2+deb12u2 swtpm=0.7.1-1.3 swtpm-libs=0.7.1-1.3 libtpms0=0.9.2-3.1+deb12u1 \
  libseccomp2=2.5.4-1+deb12u1 libp11-kit-dev=0.24.1-2 >apt.log 2>&1 || { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
libraries=$tmp/root/usr/lib/$(gcc -print-multiarch)
export LD_LIBRARY_PATH=$libraries:$libraries/swtpm TPM2_PKCS11_STORE=$tmp/store TPM2_PKCS11_TCTI=swtpm:path=$tmp/tpm
export TSS2_LOG=all+NONE TPM2_PKCS11_LOG_LEVEL=0
mkdir store state

cat >handles.c <<'C'
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static CK_FUNCTION_LIST *p11;
static CK_SESSION_HANDLE session;
static CK_SLOT_ID slot;

static void must(CK_RV rv, const char *call) {
  if (rv == CKR_OK) return;
  fprintf(stderr, "%s: 0x%lx\n", call, rv);
  exit(2);
}
#define MUST(call) must((call), #call)

static void log_in(void) {
  CK_SLOT_ID slots[4];
  CK_ULONG count = 4;
  MUST(p11->C_GetSlotList(CK_TRUE, slots, &count));
  slot = slots[0];
  MUST(p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
}

static CK_OBJECT_HANDLE store(const char *name) {
  CK_OBJECT_CLASS class = CKO_DATA;
  CK_BBOOL yes = CK_TRUE;
  CK_ATTRIBUTE attributes[] = {{CKA_CLASS, &class, sizeof class}, {CKA_TOKEN, &yes, 1}, {CKA_PRIVATE, &yes, 1},
                               {CKA_LABEL, (void *)name, 1},      {CKA_VALUE, (void *)name, 1}};
  CK_OBJECT_HANDLE object;
  MUST(p11->C_CreateObject(session, attributes, 5, &object));
  return object;
}

static char label(CK_OBJECT_HANDLE object) {
  char value[32] = "?";
  CK_ATTRIBUTE attribute = {CKA_LABEL, value, sizeof value};
  MUST(p11->C_GetAttributeValue(session, object, &attribute, 1));
  return value[0];
}

static void find(const char *when) {
  CK_OBJECT_HANDLE found[8];
  CK_ULONG count = 0;
  MUST(p11->C_FindObjectsInit(session, NULL, 0));
  MUST(p11->C_FindObjects(session, found, 8, &count));
  MUST(p11->C_FindObjectsFinal(session));
  CK_ULONG different = 0;
  for (CK_ULONG i = 0; i < count; i++) {
    CK_ULONG earlier = 0;
    while (found[earlier] != found[i]) earlier++;
    different += earlier == i;
  }
  printf("%s: %lu objects, %lu handles\n", when, count, different);
}

int main(int argc, char **argv) {
  void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
  CK_C_GetFunctionList get_list = library ? (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList") : NULL;
  CK_UTF8CHAR token[32];
  if (!get_list || get_list(&p11)) return 2;
  memset(token, ' ', sizeof token);
  MUST(p11->C_Initialize(NULL));
  CK_SLOT_ID slots[4];
  CK_ULONG count = 4;
  MUST(p11->C_GetSlotList(CK_TRUE, slots, &count));
  MUST(p11->C_InitToken(slots[0], (CK_UTF8CHAR *)"12345678", 8, token));
  log_in();
  MUST(p11->C_Login(session, CKU_SO, (CK_UTF8CHAR *)"12345678", 8));
  MUST(p11->C_InitPIN(session, (CK_UTF8CHAR *)"1234", 4));
  MUST(p11->C_Logout(session));
  MUST(p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)"1234", 4));

  CK_OBJECT_HANDLE a = store("A"), b = store("B");
  MUST(p11->C_DestroyObject(session, a));
  CK_BBOOL yes = CK_TRUE;
  CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
  CK_ATTRIBUTE public_template[] = {{CKA_TOKEN, &yes, 1}, {CKA_LABEL, "C", 1}, {CKA_EC_PARAMS, p256, sizeof p256}};
  CK_ATTRIBUTE private_template[] = {
      {CKA_TOKEN, &yes, 1}, {CKA_LABEL, "C", 1}, {CKA_PRIVATE, &yes, 1}, {CKA_SIGN, &yes, 1}};
  CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
  CK_OBJECT_HANDLE public_key, private_key;
  MUST(p11->C_GenerateKeyPair(session, &mechanism, public_template, 3, private_template, 4, &public_key, &private_key));
  printf("public key's handle: %s\n", public_key == b ? "B's" : "its own");
  printf("label behind the public key's handle: %c\n", label(public_key));
  find("search");
  MUST(p11->C_Finalize(NULL));
  MUST(p11->C_Initialize(NULL));
  log_in();
  MUST(p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)"1234", 4));
  find("after C_Finalize and C_Initialize");
  MUST(p11->C_Finalize(NULL));
  return 0;
}
C
gcc -Iroot/usr/include/p11-kit-1 handles.c -o handles -ldl
root/usr/bin/swtpm socket --tpm2 --tpmstate dir=state --server type=unixio,path=tpm --ctrl type=unixio,path=tpm.ctrl \
  --flags not-need-init,startup-clear >swtpm.log 2>&1 &
tpm=$!
for ((i = 0; i < 100; i++)); do [ -S tpm ] && break; sleep 0.05; done

cat >stated <<'S'
public key's handle: B's
label behind the public key's handle: B
search: 3 objects, 2 handles
after C_Finalize and C_Initialize: 3 objects, 3 handles
S
echo "tpm2-pkcs11 1.9.0, objects A and B, A is destroyed, key pair C is generated:"
echo "expected: a handle of its own for each object"
echo "seen:"
./handles "$libraries/libtpm2_pkcs11.so.1" >seen 2>error.log || { cat seen error.log swtpm.log; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: a new object takes a handle that another has."
