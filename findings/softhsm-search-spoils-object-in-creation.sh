#!/usr/bin/env bash
# SoftHSM 2.6.1 fails or loses an object when one thread searches while another thread creates an object.
#
# Surprise:  with CKF_OS_LOCKING_OK and a session for each thread, C_CreateObject fails now and then (CKR_GENERAL_ERROR,
#            CKR_TEMPLATE_INCONSISTENT) while another thread is in C_FindObjectsInit. Or it returns CKR_OK and the
#            process that made the object does not find it.
# Document:  PKCS#11 v2.40 (C_Initialize): an application that passes CKF_OS_LOCKING_OK may call from several threads
#            at once. SoftHSM's documents name no limit.
# Matters:   a service that lists its keys from time to time and generates one meanwhile sees rare, unexplained
#            failures of C_GenerateKeyPair. Keep both apart with a lock of your own.
# Version:   SoftHSM 2.6.1 (Debian libsofthsm2 and softhsm2 2.6.1-2.1). Seen 2026-11-28.
# Needs:     apt-get (with current package lists), dpkg, gcc. No root.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

apt-get download libsofthsm2=2.6.1-2.1 softhsm2=2.6.1-2.1 libp11-kit-dev=0.24.1-2 >apt.log 2>&1 ||
  { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
module=root/usr/lib/$(gcc -print-multiarch)/softhsm/libsofthsm2.so

cat >collide.c <<'C'
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OBJECTS = 2000 };

static CK_FUNCTION_LIST *p11;
static CK_SLOT_ID slot;
static CK_OBJECT_CLASS data_class = CKO_DATA;
static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

static void must(CK_RV rv, const char *call) {
  if (rv == CKR_OK) return;
  fprintf(stderr, "%s: 0x%lx\n", call, rv);
  exit(2);
}
#define MUST(call) must((call), #call)

static CK_SESSION_HANDLE open_session(void) {
  CK_SESSION_HANDLE session;
  MUST(p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
  return session;
}

static CK_ULONG find(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects, CK_ULONG size) {
  CK_ATTRIBUTE pattern[] = {{CKA_CLASS, &data_class, sizeof data_class}, {CKA_TOKEN, &yes, 1}};
  CK_ULONG count;
  MUST(p11->C_FindObjectsInit(session, pattern, 2));
  MUST(p11->C_FindObjects(session, objects, size, &count));
  MUST(p11->C_FindObjectsFinal(session));
  return count;
}

static void *search(void *stop) {
  CK_SESSION_HANDLE session = open_session();
  CK_OBJECT_HANDLE objects[8];
  while (!__atomic_load_n((int *)stop, __ATOMIC_RELAXED)) find(session, objects, 8);
  return NULL;
}

/* Creates an object, finds it and destroys it, OBJECTS times. Prints how often the first two did not work. */
static void create(const char *title, int beside_a_search) {
  CK_ATTRIBUTE object[] = {{CKA_CLASS, &data_class, sizeof data_class},
                           {CKA_TOKEN, &yes, 1},
                           {CKA_PRIVATE, &no, 1},
                           {CKA_VALUE, "value", 5}};
  CK_SESSION_HANDLE session = open_session();
  CK_OBJECT_HANDLE made, found[8];
  int failed = 0, lost = 0, stop = 0;
  pthread_t thread;
  if (beside_a_search && pthread_create(&thread, NULL, search, &stop)) exit(2);
  for (int i = 0; i < OBJECTS; i++) {
    CK_RV rv = p11->C_CreateObject(session, object, 4, &made);
    if (rv != CKR_OK) {
      failed++;
      continue;
    }
    lost += find(session, found, 8) == 0;
    p11->C_DestroyObject(session, made);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  if (beside_a_search) pthread_join(thread, NULL);
  fprintf(stderr, "%s: of %d objects %d were refused, %d were created and not found\n", title, OBJECTS,
          failed, lost);
  printf("%s: %s\n", title, failed + lost ? "some do not work" : "all work");
}

int main(int argc, char **argv) {
  void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
  CK_C_GetFunctionList get_list = library ? (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList") : NULL;
  CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};
  CK_SLOT_ID slots[8];
  CK_ULONG count = 8;
  if (!get_list || get_list(&p11)) return 2;
  MUST(p11->C_Initialize(&arguments));
  MUST(p11->C_GetSlotList(CK_TRUE, slots, &count));
  slot = slots[0];
  create("alone", 0);
  create("beside a search", 1);
  return 0;
}
C
gcc -Iroot/usr/include/p11-kit-1 collide.c -o collide -ldl -lpthread
mkdir tokens
export SOFTHSM2_CONF=$tmp/softhsm2.conf
printf 'directories.tokendir = %s/tokens\nlog.level = ERROR\n' "$tmp" >"$SOFTHSM2_CONF"
LD_LIBRARY_PATH=$(dirname "$module") root/usr/bin/softhsm2-util --module "$module" --init-token --free --label findings \
  --pin 1234 --so-pin 1234 >init.log 2>&1 || { cat init.log >&2; exit 2; }

echo "SoftHSM 2.6.1, C_CreateObject and C_FindObjects:"
seen=$(./collide "$module" 2>counts) || { cat counts >&2; exit 2; }
grep ' objects ' counts
cat <<'T'
  expected: alone: all work
            beside a search: all work
T
sed 's/^/  seen:     /' <<<"$seen"
[ "$seen" = $'alone: all work\nbeside a search: some do not work' ] ||
  { echo "CHANGED: SoftHSM no longer spoils an object that is created beside a search"; exit 1; }
echo "As stated: an object that is created beside a search may fail, or be lost to its process."
