/* log_in MODULE INIT_ARGS LABEL: logs in to the token with the PIN on standard input, through the module.
   Exit status: 0 logged in; 1 refused, with the function and its code; 2 wrong usage or no module. */
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SLOTS = 32, LABEL_SIZE = 32, MAX_PIN = 64 };

static void must(CK_RV rv, const char *call) {
  if (rv == CKR_OK) return;
  fprintf(stderr, "%s: 0x%lx\n", call, rv);
  exit(1);
}

static CK_SLOT_ID find_token(CK_FUNCTION_LIST *p11, const char *label) {
  CK_SLOT_ID slots[MAX_SLOTS];
  CK_ULONG count = MAX_SLOTS;
  char padded[LABEL_SIZE + 1];
  snprintf(padded, sizeof padded, "%-*s", LABEL_SIZE, label);
  must(p11->C_GetSlotList(CK_TRUE, slots, &count), "C_GetSlotList");
  for (CK_ULONG i = 0; i < count; i++) {
    CK_TOKEN_INFO info;
    if (p11->C_GetTokenInfo(slots[i], &info) == CKR_OK && memcmp(info.label, padded, LABEL_SIZE) == 0) return slots[i];
  }
  fprintf(stderr, "no token \"%s\" in %lu slots\n", label, count);
  exit(1);
}

int main(int argc, char **argv) {
  void *module = argc == 4 ? dlopen(argv[1], RTLD_NOW) : NULL;
  CK_C_GetFunctionList get_list = module ? (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList") : NULL;
  CK_FUNCTION_LIST *p11;
  char pin[MAX_PIN];
  if (!get_list || get_list(&p11) != CKR_OK || !fgets(pin, sizeof pin, stdin)) return 2;
  pin[strcspn(pin, "\n")] = '\0';

  CK_C_INITIALIZE_ARGS initialize = {.flags = CKF_OS_LOCKING_OK, .pReserved = argv[2][0] ? argv[2] : NULL};
  must(p11->C_Initialize(&initialize), "C_Initialize");
  CK_SESSION_HANDLE session;
  must(p11->C_OpenSession(find_token(p11, argv[3]), CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session),
       "C_OpenSession");
  must(p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)pin, strlen(pin)), "C_Login");
  must(p11->C_Finalize(NULL), "C_Finalize");
  return 0;
}
