#!/usr/bin/env bash
# openCryptoki 3.8.1 refuses attributes of PKCS#11 v2.20 in a private key's template.
#
# Surprise:  C_GenerateKeyPair on the software token answers CKR_ATTRIBUTE_TYPE_INVALID when the private template names
#            CKA_WRAP_WITH_TRUSTED, CKA_ALLOWED_MECHANISMS or CKA_COPYABLE, whatever the value. CKA_MODIFIABLE = CK_FALSE is
#            taken and kept. The error does not say which attribute it is about.
# Document:  the module's C_GetInfo says Cryptoki 2.20. PKCS #11 v2.20, section 10.9, has CKA_WRAP_WITH_TRUSTED for every
#            private key, section 10.7 CKA_ALLOWED_MECHANISMS for every key. CKA_COPYABLE came later, with v2.30.
# Matters:   a program that drops all optional attributes together when a template is refused loses CKA_MODIFIABLE = CK_FALSE
#            without need. Find out one attribute at a time.
# Version:   openCryptoki 3.8.1 (Debian 3.8.1+dfsg-3.2+b3), software token. Seen 2026-11-28.
# Needs:     apt-get (with current package lists), dpkg, gcc. Root, and namespaces (unshare), because the module has fixed
#            places for its data and its daemon.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

apt-get download opencryptoki=3.8.1+dfsg-3.2+b3 libopencryptoki0=3.8.1+dfsg-3.2+b3 libp11-kit-dev=0.24.1-2 >apt.log 2>&1 ||
  { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
libraries=$tmp/root/usr/lib/$(gcc -print-multiarch)/opencryptoki

cat >template.c <<'C'
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

static void generate(const char *what, CK_ATTRIBUTE more) {
  CK_BBOOL yes = CK_TRUE;
  CK_ULONG bits = 2048;
  CK_BYTE exponent[] = {1, 0, 1};
  CK_ATTRIBUTE public_template[] = {{CKA_MODULUS_BITS, &bits, sizeof bits}, {CKA_PUBLIC_EXPONENT, exponent, 3}};
  CK_ATTRIBUTE private_template[] = {{CKA_SENSITIVE, &yes, 1}, {CKA_SIGN, &yes, 1}, more};
  CK_MECHANISM mechanism = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0};
  CK_OBJECT_HANDLE public_key, private_key;
  CK_RV rv =
      p11->C_GenerateKeyPair(session, &mechanism, public_template, 2, private_template, 3, &public_key, &private_key);
  printf("%s: %s\n", what,
         rv == CKR_OK ? "CKR_OK" : rv == CKR_ATTRIBUTE_TYPE_INVALID ? "CKR_ATTRIBUTE_TYPE_INVALID" : "other");
}

/* A PIN that another has set must be changed before it is good for anything. */
static void change_pin(CK_USER_TYPE user, const char *old, const char *new) {
  MUST(p11->C_Login(session, user, (CK_UTF8CHAR *)old, strlen(old)));
  MUST(p11->C_SetPIN(session, (CK_UTF8CHAR *)old, strlen(old), (CK_UTF8CHAR *)new, strlen(new)));
}

int main(int argc, char **argv) {
  void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
  CK_C_GetFunctionList get_list = library ? (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList") : NULL;
  if (!get_list || get_list(&p11)) return 2;
  CK_UTF8CHAR label[32];
  CK_SLOT_ID slots[4];
  CK_ULONG count = 4;
  CK_INFO info;
  memset(label, ' ', sizeof label);
  MUST(p11->C_Initialize(NULL));
  MUST(p11->C_GetInfo(&info));
  printf("Cryptoki %d.%d\n", info.cryptokiVersion.major, info.cryptokiVersion.minor);
  MUST(p11->C_GetSlotList(CK_TRUE, slots, &count));
  MUST(p11->C_InitToken(slots[0], (CK_UTF8CHAR *)"87654321", 8, label));
  MUST(p11->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
  change_pin(CKU_SO, "87654321", "12345678");
  MUST(p11->C_InitPIN(session, (CK_UTF8CHAR *)"1234", 4));
  MUST(p11->C_Logout(session));
  change_pin(CKU_USER, "1234", "4321");

  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  CK_MECHANISM_TYPE allowed[] = {CKM_RSA_PKCS};
  generate("CKA_EXTRACTABLE = CK_FALSE", (CK_ATTRIBUTE){CKA_EXTRACTABLE, &no, 1});
  generate("CKA_MODIFIABLE = CK_FALSE", (CK_ATTRIBUTE){CKA_MODIFIABLE, &no, 1});
  generate("CKA_WRAP_WITH_TRUSTED = CK_TRUE", (CK_ATTRIBUTE){CKA_WRAP_WITH_TRUSTED, &yes, 1});
  generate("CKA_ALLOWED_MECHANISMS", (CK_ATTRIBUTE){CKA_ALLOWED_MECHANISMS, allowed, sizeof allowed});
  generate("CKA_COPYABLE = CK_FALSE", (CK_ATTRIBUTE){0x171, &no, 1});
  MUST(p11->C_Finalize(NULL));
  return 0;
}
C
gcc -Iroot/usr/include/p11-kit-1 template.c -o template -ldl

# The daemon, the module and their data in namespaces of their own, which end with this command.
mkdir -p etc/opencryptoki
cp /etc/group /etc/passwd /etc/nsswitch.conf /etc/ld.so.cache etc
mkdir -p var/opencryptoki/swtok/TOK_OBJ run/lock/opencryptoki/swtok shm
grep -q '^pkcs11:' etc/group || echo 'pkcs11:x:64999:' >>etc/group
printf 'version opencryptoki-3.1\nslot 0\n{\nstdll = libpkcs11_sw.so\n}\n' >etc/opencryptoki/opencryptoki.conf
cat >inside <<'INSIDE'
set -e
mount --bind etc /etc; mount --bind var /var/lib; mount --bind run /run; mount --bind shm /dev/shm
chgrp -R pkcs11 /var/lib/opencryptoki /run/lock; chmod -R 0770 /var/lib/opencryptoki /run/lock/opencryptoki
root/usr/sbin/pkcsslotd -f >pkcsslotd.log 2>&1 &
trap 'kill $!; wait $! || true' EXIT
i=0; until [ -S /run/pkcsslotd.socket ] || [ $i = 100 ]; do i=$((i + 1)); sleep 0.05; done
LD_LIBRARY_PATH=$1:$1/stdll ./template "$1/libopencryptoki.so.0"
INSIDE

cat >stated <<'S'
Cryptoki 2.20
CKA_EXTRACTABLE = CK_FALSE: CKR_OK
CKA_MODIFIABLE = CK_FALSE: CKR_OK
CKA_WRAP_WITH_TRUSTED = CK_TRUE: CKR_ATTRIBUTE_TYPE_INVALID
CKA_ALLOWED_MECHANISMS: CKR_ATTRIBUTE_TYPE_INVALID
CKA_COPYABLE = CK_FALSE: CKR_ATTRIBUTE_TYPE_INVALID
S
echo "openCryptoki 3.8.1, software token, C_GenerateKeyPair with one more attribute for the private key:"
echo "expected: CKR_OK for all but CKA_COPYABLE"
echo "seen:"
unshare --mount --ipc sh inside "$libraries" >seen 2>error.log || { cat seen error.log pkcsslotd.log; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: attributes of v2.20 are refused."
