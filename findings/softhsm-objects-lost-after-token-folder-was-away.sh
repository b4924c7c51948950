#!/usr/bin/env bash
# SoftHSM 2.6.1 does not find a token's objects again when the token's folder was away for a moment.
#
# Surprise:  one search while the folder is away returns CKR_OK with no object. After the folder is back, every later
#            search in the same process also returns CKR_OK with no object, in old sessions and in new ones, and a new
#            login with the right PIN fails with CKR_GENERAL_ERROR. Another process finds the key at once. In this
#            process only C_Finalize and C_Initialize bring it back.
# Document:  PKCS#11 v2.40 gives C_FindObjectsInit and C_FindObjects the codes CKR_DEVICE_REMOVED and CKR_DEVICE_ERROR
#            for a token that cannot be read (sections "Object management functions" and "Cryptoki function return
#            values"). SoftHSM's documents do not mention that it remembers the absence.
# Matters:   a token on a volume that is mounted again (a container restart, NFS) leaves a service with "key not found"
#            and no error to react to. The usual recovery, new sessions and a new login, does not help.
# Version:   SoftHSM 2.6.1 (Debian libsofthsm2 and softhsm2 2.6.1-2.1). Seen 2026-11-27.
# Needs:     apt-get (with current package lists), dpkg, gcc. No root.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

apt-get download libsofthsm2=2.6.1-2.1 softhsm2=2.6.1-2.1 libp11-kit-dev=0.24.1-2 >apt.log 2>&1 ||
  { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
module=root/usr/lib/$(gcc -print-multiarch)/softhsm/libsofthsm2.so

cat >search.c <<'C'
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

static CK_SLOT_ID find_slot(void) {
  CK_SLOT_ID slots[8];
  CK_ULONG count = 8;
  MUST(p11->C_GetSlotList(CK_TRUE, slots, &count));
  for (CK_ULONG i = 0; i < count; i++) {
    CK_TOKEN_INFO info;
    MUST(p11->C_GetTokenInfo(slots[i], &info));
    if (memcmp(info.label, "findings ", 9) == 0) return slots[i];
  }
  fprintf(stderr, "no token\n");
  exit(2);
}

static CK_SESSION_HANDLE open_session(CK_SLOT_ID slot) {
  CK_SESSION_HANDLE session;
  MUST(p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
  return session;
}

static void login(CK_SESSION_HANDLE session) { MUST(p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)"1234", 4)); }

static void search(const char *when, CK_SESSION_HANDLE session) {
  CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
  CK_ATTRIBUTE template = {CKA_CLASS, &class, sizeof class};
  CK_OBJECT_HANDLE found[4];
  CK_ULONG count = 0;
  CK_RV rv = p11->C_FindObjectsInit(session, &template, 1);
  if (rv == CKR_OK) rv = p11->C_FindObjects(session, found, 4, &count);
  p11->C_FindObjectsFinal(session);
  if (rv == CKR_OK)
    printf("%s: CKR_OK, %lu\n", when, count);
  else
    printf("%s: error 0x%lx\n", when, rv);
  fflush(stdout);
}

static void shell(const char *command) {
  if (system(command) == 0) return;
  fprintf(stderr, "failed: %s\n", command);
  exit(2);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  void *library = dlopen(argv[1], RTLD_NOW);
  CK_C_GetFunctionList get_list = library ? (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList") : NULL;
  if (!get_list || get_list(&p11)) return 2;
  MUST(p11->C_Initialize(NULL));
  CK_SLOT_ID slot = find_slot();
  CK_SESSION_HANDLE session = open_session(slot);
  login(session);

  if (strcmp(argv[2], "other") == 0) {
    search("another process", session);
    MUST(p11->C_Finalize(NULL));
    return 0;
  }

  CK_BBOOL yes = CK_TRUE;
  CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
  CK_ATTRIBUTE public_template[] = {{CKA_TOKEN, &yes, 1}, {CKA_EC_PARAMS, p256, sizeof p256}};
  CK_ATTRIBUTE private_template[] = {{CKA_TOKEN, &yes, 1}, {CKA_PRIVATE, &yes, 1}, {CKA_SIGN, &yes, 1}};
  CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
  CK_OBJECT_HANDLE public_key, private_key;
  MUST(p11->C_GenerateKeyPair(session, &mechanism, public_template, 2, private_template, 3, &public_key, &private_key));

  search("before", session);
  shell("mv tokens elsewhere && mkdir tokens");
  search("folder away", session);
  shell("rmdir tokens && mv elsewhere tokens");
  search("folder back", session);
  search("new session", open_session(slot));
  MUST(p11->C_Logout(session));
  printf("new login: %s\n",
         p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)"1234", 4) == CKR_GENERAL_ERROR ? "CKR_GENERAL_ERROR" : "other");
  fflush(stdout);
  char command[4096];
  snprintf(command, sizeof command, "'%s' '%s' other", argv[0], argv[1]);
  shell(command);
  MUST(p11->C_Finalize(NULL));
  MUST(p11->C_Initialize(NULL));
  session = open_session(find_slot());
  login(session);
  search("initialised again", session);
  MUST(p11->C_Finalize(NULL));
  return 0;
}
C
gcc -Iroot/usr/include/p11-kit-1 search.c -o search -ldl
mkdir tokens
export SOFTHSM2_CONF=$tmp/softhsm2.conf
printf 'directories.tokendir = %s/tokens\n' "$tmp" >"$SOFTHSM2_CONF"
root/usr/bin/softhsm2-util --module "$module" --init-token --free --label findings --pin 1234 --so-pin 12345678 >/dev/null

cat >stated <<'S'
before: CKR_OK, 1
folder away: CKR_OK, 0
folder back: CKR_OK, 0
new session: CKR_OK, 0
new login: CKR_GENERAL_ERROR
another process: CKR_OK, 1
initialised again: CKR_OK, 1
S
echo "SoftHSM 2.6.1, result of C_FindObjects and the number of private keys it returns:"
echo "expected: an error while the folder is away; 1 key and a login that works as soon as it is back"
echo "seen:"
./search "$module" here >seen || { cat seen; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: the key is lost to this process until C_Finalize and C_Initialize."
