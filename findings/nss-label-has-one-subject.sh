#!/usr/bin/env bash
# NSS softokn 3.87.1 refuses a certificate whose CKA_LABEL another certificate with another subject has.
#
# Surprise:  C_CreateObject of a second certificate, with the same label and another subject, is CKR_ATTRIBUTE_VALUE_INVALID.
#            With another label, or with the same subject, it is stored. So a leaf and its issuer cannot share a label.
# Document:  PKCS#11 v2.40, section "Storage objects": CKA_LABEL is a description of the object. Nothing says that it must be
#            unique or that it is bound to a subject; the error does not name the attribute.
# Matters:   programs give a key, its certificate and the chain above it one label, and find them by it.
# Version:   NSS 3.87.1 (Debian libnss3 2:3.87.1-1+deb12u4), SQL database. Seen 2026-11-30.
# Needs:     apt-get (with current package lists), dpkg, gcc, openssl. No root.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

apt-get download libnss3=2:3.87.1-1+deb12u4 libnspr4=2:4.35-1 libsqlite3-0=3.40.1-2+deb12u2 libp11-kit-dev=0.24.1-2 \
  >apt.log 2>&1 || { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
libraries=$tmp/root/usr/lib/$(gcc -print-multiarch)

# FILE SUBJECT SERIAL: a self-signed certificate.
certificate() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -subj "/CN=$2" -set_serial "$3" -days 30 \
    -outform DER -out "$1" 2>openssl.log || { cat openssl.log >&2; exit 2; }
}
certificate leaf.der leaf 1
certificate renewed.der leaf 2
certificate issuer.der issuer 3

cat >store.c <<'C'
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <string.h>

static CK_FUNCTION_LIST *p11;

/* A name with one CN as UTF8String, as openssl req writes it. */
static CK_ULONG subject_of(const char *name, CK_BYTE *out) {
  const CK_BYTE n = (CK_BYTE)strlen(name);
  const CK_BYTE head[] = {0x30, n + 11, 0x31, n + 9, 0x30, n + 7, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0C, n};
  memcpy(out, head, sizeof head);
  memcpy(out + sizeof head, name, n);
  return sizeof head + n;
}

static CK_RV store(CK_SESSION_HANDLE session, const char *file, const char *name, const char *label, CK_BYTE serial) {
  CK_BYTE der[2048], subject[64], id[] = {serial}, number[] = {0x02, 0x01, serial};
  FILE *stream = fopen(file, "rb");
  const CK_ULONG size = stream ? fread(der, 1, sizeof der, stream) : 0;
  if (stream) fclose(stream);
  const CK_ULONG subject_size = subject_of(name, subject);
  CK_OBJECT_CLASS class = CKO_CERTIFICATE;
  CK_CERTIFICATE_TYPE type = CKC_X_509;
  CK_BBOOL yes = CK_TRUE;
  CK_ATTRIBUTE attributes[] = {{CKA_CLASS, &class, sizeof class}, {CKA_CERTIFICATE_TYPE, &type, sizeof type},
                               {CKA_TOKEN, &yes, 1},              {CKA_LABEL, (void *)label, strlen(label)},
                               {CKA_ID, id, 1},                   {CKA_SUBJECT, subject, subject_size},
                               {CKA_ISSUER, subject, subject_size}, {CKA_SERIAL_NUMBER, number, 3},
                               {CKA_VALUE, der, size}};
  CK_OBJECT_HANDLE object;
  return p11->C_CreateObject(session, attributes, sizeof attributes / sizeof *attributes, &object);
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
  CK_SESSION_HANDLE session;
  if (p11->C_Initialize(&initialize)) return 2;
  if (p11->C_OpenSession(2, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session)) return 2;  /* the database's slot */
  if (p11->C_Login(session, CKU_SO, (CK_UTF8CHAR *)"", 0)) return 2;
  if (p11->C_InitPIN(session, (CK_UTF8CHAR *)"1234", 4) || p11->C_Logout(session)) return 2;
  if (p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)"1234", 4)) return 2;
  printf("label orders, subject leaf:         0x%02lx\n", store(session, "leaf.der", "leaf", "orders", 1));
  printf("label orders, subject leaf again:   0x%02lx\n", store(session, "renewed.der", "leaf", "orders", 2));
  printf("label orders, subject issuer:       0x%02lx\n", store(session, "issuer.der", "issuer", "orders", 3));
  printf("label of its own, subject issuer:   0x%02lx\n", store(session, "issuer.der", "issuer", "above orders", 3));
  return p11->C_Finalize(NULL) ? 2 : 0;
}
C
gcc -Iroot/usr/include/p11-kit-1 store.c -o store -ldl
mkdir database

cat >stated <<'S'
label orders, subject leaf:         0x00
label orders, subject leaf again:   0x00
label orders, subject issuer:       0x13
label of its own, subject issuer:   0x00
S
echo "NSS softokn 3.87.1, C_CreateObject of four certificates:"
echo "expected: 0x00 (CKR_OK) each"
echo "seen:"
LD_LIBRARY_PATH=$libraries ./store "$libraries/libsoftokn3.so" "$tmp/database" >seen || { cat seen; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: the label belongs to one subject (0x13 is CKR_ATTRIBUTE_VALUE_INVALID)."
