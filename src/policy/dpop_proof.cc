// The claims of a DPoP proof (RFC 9449 section 4.2).

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "jws/base64url.h"
#include "policy/jti.h"
#include "policy/policy.h"
#include "policy/text_shapes.h"

namespace assertion {
namespace {

Status CheckMethod(std::string_view htm) {
  constexpr std::size_t kMostOctets = 32;
  return htm.size() <= kMostOctets && IsOf(htm, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-")
             ? Status()
             : Fail(Code::kInvalidArgument, "htm: must be an HTTP method in capitals, for example POST");
}

Status CheckUrl(std::string_view htu) {
  if (htu.size() > Policy::kMaxHtuOctets) {
    return Fail(Code::kInvalidArgument, "htu: more than " + std::to_string(Policy::kMaxHtuOctets) + " octets");
  }
  if (htu.find_first_of("?#") != std::string_view::npos) {
    return Fail(Code::kInvalidArgument,
                "htu: must be the URL without query and fragment: cut it before ? and # (RFC 9449 section 4.2)");
  }
  return IsRequestTarget(htu)
             ? Status()
             : Fail(Code::kInvalidArgument,
                    "htu: must be https://host[:port]/path in ASCII, without user information, or http:// to "
                    "localhost, 127.0.0.1 or [::1]");
}

Status CheckTokenHash(std::string_view ath) {
  constexpr std::size_t kCharacters = 43;
  return ath.empty() || (ath.size() == kCharacters && jws::Base64UrlDecode(ath))
             ? Status()
             : Fail(Code::kInvalidArgument,
                    "ath: must be the base64url of the access token's SHA-256, 43 characters without padding");
}

Status CheckNonce(std::string_view nonce) {
  return nonce.empty() || IsDpopNonce(nonce)
             ? Status()
             : Fail(Code::kInvalidArgument, "nonce: must be at most " + std::to_string(kMaxDpopNonceOctets) +
                                                " visible ASCII characters without \" and \\");
}

}  // namespace

Result<ApprovedClaims> Policy::Claims(const Entry& entry, const DpopProofRequest& request) const {
  RETURN_IF_ERROR(CheckMethod(request.htm));
  RETURN_IF_ERROR(CheckUrl(request.htu));
  RETURN_IF_ERROR(CheckTokenHash(request.ath));
  RETURN_IF_ERROR(CheckNonce(request.nonce));
  ASSIGN_OR_RETURN(auto jti, NewJti(JtiForm::kUuid, 0, random_));

  ApprovedClaims approved;
  approved.client_id_ = entry.client->client_id;
  approved.profile_ = entry.ProfileFor(Purpose::kDpop);
  approved.jti_ = std::move(jti);
  approved.issued_at_ = clock_() - approved.profile_->backdate;
  approved.expires_at_ = approved.issued_at_;
  nlohmann::ordered_json claims = {{"jti", approved.jti_},
                                   {"htm", request.htm},
                                   {"htu", request.htu},
                                   {"iat", approved.issued_at_.time_since_epoch().count()}};
  if (!request.ath.empty()) {
    claims["ath"] = request.ath;
  }
  if (!request.nonce.empty()) {
    claims["nonce"] = request.nonce;
  }
  approved.json_ = claims.dump();
  return approved;
}

}  // namespace assertion
