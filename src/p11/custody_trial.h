#pragma once

#include "assertion/algorithm.h"
#include "assertion/custody_trial.h"
#include "assertion/error.h"
#include "p11/custody.h"
#include "p11/session.h"

namespace assertion::p11 {

struct TriedCustody {
  CustodyTrial trial;
  AttributeTypes left_out;  // what the token does not take in a template, see Birth
};

// Makes a throw-away key pair as GenerateTokenKey makes a client's, tries every way out that PKCS#11 v2.40 closes for
// it, and destroys the pair and every copy. What comes out is wiped at once. An error says that the token failed
// meanwhile: then nothing is known of its custody. Both sessions have CKF_RW_SESSION and nothing else uses them; close
// `uses` afterwards, because an operation that the token should have refused may still be active in it.
//
// PKCS#11 v2.40 closes them in section 4.9 (CKA_SENSITIVE, CKA_EXTRACTABLE), section 4.1.3 (copies may only become
// stricter), section 4.4 (CKA_MODIFIABLE, CKA_COPYABLE) and the tables of the usage attributes.
Result<TriedCustody> TryCustody(Session& session, Session& uses, const Algorithm& algorithm,
                                const AttributeTypes& left_out);

}  // namespace assertion::p11
