#include "x509/chain.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "x509/certificate.h"
#include "x509/openssl.h"
#include "x509/pem.h"

namespace assertion::x509 {
namespace {

constexpr std::size_t kMostOctets = 65536;
constexpr std::size_t kMostCertificates = 10;
constexpr int kSecurityLevel = 2;  // of OpenSSL: 112 bits
constexpr int kSecurityBits = 112;

std::unexpected<Error> Refuse(const std::string& reason, std::string detail = {}) {
  return Fail(Code::kInvalidArgument, "certificate: " + reason, std::move(detail));
}

std::string Numbered(std::size_t index) { return "certificate " + std::to_string(index + 1); }

// Other people's text, for a message.
std::string ShownType(const std::string& type) {
  const bool plain = type.size() <= 40 && std::ranges::all_of(type, [](char c) {
                       return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ' ';
                     });
  return plain ? "a PEM block '" + type + "'" : "a PEM block of an unknown kind";
}

// The DER of each CERTIFICATE block.
Result<std::vector<Bytes>> ReadPemCertificates(std::string_view text) {
  // Looked for in the text, not among the blocks: also where there is no whole block.
  if (text.contains("PRIVATE KEY-----")) {
    return Refuse("contains a private key: never send one");
  }
  auto blocks = ReadPem(text);
  if (!blocks) {
    return Refuse(blocks.error().message, blocks.error().detail);
  }
  std::vector<Bytes> ders;
  for (auto& block : *blocks) {
    if (block.type != PEM_STRING_X509 || block.has_headers) {
      return Refuse("contains " + ShownType(block.type) + ": send CERTIFICATE blocks alone, without headers");
    }
    ders.push_back(std::move(block.content));
  }
  return ders;
}

// All its forms begin with a version, as no certificate does. Asked first: OpenSSL tries its decoders one after the
// other.
bool BeginsAsPrivateKey(BytesView der) {
  constexpr unsigned kMalformed = 0x80;
  const auto* position = der.data();
  long length = 0;
  int tag = 0;
  int tag_class = 0;
  const auto form = ASN1_get_object(&position, &length, &tag, &tag_class, static_cast<long>(der.size()));
  return (static_cast<unsigned>(form) & kMalformed) == 0 && tag == V_ASN1_SEQUENCE && length > 0 &&
         *position == V_ASN1_INTEGER;
}

bool IsPrivateKey(BytesView der) {
  if (!BeginsAsPrivateKey(der)) {
    return false;
  }
  const auto* position = der.data();
  const KeyPtr key(d2i_AutoPrivateKey(nullptr, &position, static_cast<long>(der.size())));
  ERR_clear_error();
  return key != nullptr;
}

// The DER of each certificate in PEM, or the one that the text itself is. Not yet parsed.
Result<std::vector<Bytes>> ReadCertificates(std::string_view text) {
  const auto octets = AsBytes(text);
  // A DER certificate may have what looks like PEM in one of its names.
  const bool is_der = FromDer(octets) != nullptr;
  if (!is_der && text.contains("-----BEGIN ")) {
    return ReadPemCertificates(text);
  }
  if (!is_der && IsPrivateKey(octets)) {
    return Refuse("contains a private key: never send one");
  }
  return std::vector<Bytes>(1, Bytes(octets.begin(), octets.end()));
}

Status CheckDistinct(std::span<const Certificate> chain) {
  for (std::size_t i = 0; i < chain.size(); ++i) {
    const auto again = std::ranges::find(chain.subspan(i + 1), chain[i].der, &Certificate::der);
    if (again != chain.end()) {
      return Refuse(Numbered(i) + " and " + Numbered(static_cast<std::size_t>(again - chain.begin())) +
                    " are the same: send each once");
    }
  }
  return {};
}

// A certificate with its place, as messages call it.
class Link {
 public:
  Link(std::size_t index, X509Ptr certificate) : index_(index), certificate_(std::move(certificate)) {}

  X509* get() const { return certificate_.get(); }

  std::string name() const {
    const auto common_name = CommonName();
    return Numbered(index_) + (common_name.empty() ? "" : " (CN=" + common_name + ")");
  }

 private:
  // Escaped to ASCII: it is other people's text. Empty when there is none, or too much of it.
  std::string CommonName() const {
    const auto* subject = X509_get_subject_name(get());
    const auto* entry = X509_NAME_get_entry(subject, X509_NAME_get_index_by_NID(subject, NID_commonName, -1));
    const BioPtr bio(BIO_new(BIO_s_mem()));
    if (entry == nullptr || !bio ||
        ASN1_STRING_print_ex(bio.get(), X509_NAME_ENTRY_get_data(entry), ASN1_STRFLGS_RFC2253) <= 0) {
      ERR_clear_error();
      return {};
    }
    char* text = nullptr;
    const auto size = static_cast<std::size_t>(BIO_get_mem_data(bio.get(), &text));
    return size <= 200 ? std::string(text, size) : std::string();
  }

  std::size_t index_;
  X509Ptr certificate_;
};

Result<std::vector<Link>> Open(std::span<const Certificate> chain) {
  std::vector<Link> links;
  for (const auto& certificate : chain) {
    auto opened = FromDer(certificate.der);
    if (!opened) {
      return Refuse(Numbered(links.size()) + " cannot be read", "d2i_X509: " + TakeErrors());
    }
    if ((X509_get_extension_flags(opened.get()) & EXFLAG_INVALID) != 0) {
      return Refuse(Numbered(links.size()) + " has extensions that cannot be read",
                    "X509_get_extension_flags: " + TakeErrors());
    }
    links.emplace_back(links.size(), std::move(opened));
  }
  return links;
}

// By name, key identifier and signature. Whether it was allowed to is CheckIssuer's question.
bool Signed(const Link& issuer, const Link& subject) {
  const auto fit = X509_check_issued(issuer.get(), subject.get());
  const bool good = (fit == X509_V_OK || fit == X509_V_ERR_KEYUSAGE_NO_CERTSIGN) &&
                    X509_verify(subject.get(), X509_get0_pubkey(issuer.get())) == 1;
  ERR_clear_error();
  return good;
}

bool SignedItself(const Link& link) {
  const bool good = X509_self_signed(link.get(), /*verify_signature=*/1) == 1;
  ERR_clear_error();
  return good;
}

Status CheckKey(std::span<const Certificate> chain, const PublicKey& key) {
  const auto found = std::ranges::find(chain, key, &Certificate::public_key);
  if (found == chain.end()) {
    return Refuse("wrong key: certificate 1 is not for the public key on the token");
  }
  if (found != chain.begin()) {
    return Refuse("wrong order: " + Numbered(static_cast<std::size_t>(found - chain.begin())) +
                  " is the one for the key; put it first, then each one's issuer");
  }
  return {};
}

Status CheckOrder(const std::vector<Link>& links) {
  for (std::size_t i = 0; i + 1 < links.size(); ++i) {
    if (Signed(links[i + 1], links[i])) {
      continue;
    }
    const auto issuer = std::ranges::find_if(links, [&](const Link& link) { return Signed(link, links[i]); });
    if (issuer == links.end()) {
      return Refuse("broken chain: " + links[i + 1].name() + " did not sign " + links[i].name());
    }
    if (issuer->get() == links[i].get()) {
      return Refuse("wrong order: " + links[i].name() + " signed itself, so none may follow it");
    }
    return Refuse("wrong order: " + issuer->name() + " signed " + links[i].name() + " and must follow it at once");
  }
  return {};
}

Status CheckLeaf(const Link& leaf) {
  if ((X509_get_extension_flags(leaf.get()) & EXFLAG_CA) != 0) {
    return Refuse(leaf.name() + " is that of a certification authority (CA:TRUE); ask for an end-entity certificate");
  }
  // All bits are set where there is no such extension.
  if ((X509_get_key_usage(leaf.get()) & KU_DIGITAL_SIGNATURE) == 0) {
    return Refuse(leaf.name() + " does not allow digitalSignature in its keyUsage");
  }
  return {};
}

Status CheckIssuer(const Link& issuer) {
  if ((X509_get_extension_flags(issuer.get()) & EXFLAG_CA) == 0) {
    return Refuse(issuer.name() + " may not issue: its basicConstraints do not say CA:TRUE");
  }
  if ((X509_get_key_usage(issuer.get()) & KU_KEY_CERT_SIGN) == 0) {
    return Refuse(issuer.name() + " may not issue: its keyUsage lacks keyCertSign");
  }
  return {};
}

// X509_verify_cert does not look at the digest of the last certificate.
Status CheckDigest(const Link& link) {
  int digest = NID_undef;
  int bits = 0;
  if (X509_get_signature_info(link.get(), &digest, nullptr, &bits, nullptr) != 1 || bits < kSecurityBits) {
    ERR_clear_error();
    const char* name = digest == NID_undef ? "an unknown algorithm" : OBJ_nid2sn(digest);
    return Refuse(link.name() + " is signed with " + name + ", which is too weak: have it issued with SHA-256");
  }
  return {};
}

Status CheckValidity(const Certificate& certificate, const Link& link, Time now) {
  if (now < certificate.not_before) {
    return Refuse(link.name() + " is not valid before " + Rfc3339(certificate.not_before));
  }
  if (now > certificate.not_after) {
    return Refuse(link.name() + " expired on " + Rfc3339(certificate.not_after));
  }
  return {};
}

void FreeStack(STACK_OF(X509) * certificates) { sk_X509_pop_free(certificates, X509_free); }

// The rest of RFC 5280 section 6: path length, name constraints, critical extensions, the strength of the keys.
Status CheckPath(const std::vector<Link>& links) {
  const std::unique_ptr<X509_STORE, Deleter<X509_STORE_free>> store(X509_STORE_new());
  const std::unique_ptr<X509_STORE_CTX, Deleter<X509_STORE_CTX_free>> context(X509_STORE_CTX_new());
  const std::unique_ptr<STACK_OF(X509), Deleter<FreeStack>> between(sk_X509_new_null());
  bool ready = store && context && between && X509_STORE_add_cert(store.get(), links.back().get()) == 1;
  for (std::size_t i = 1; ready && i + 1 < links.size(); ++i) {
    ready = X509_add_cert(between.get(), links[i].get(), X509_ADD_FLAG_UP_REF) == 1;
  }
  if (!ready || X509_STORE_CTX_init(context.get(), store.get(), links.front().get(), between.get()) != 1) {
    return Fail(Code::kInternal, "certificate: could not be verified", "X509_STORE_CTX_init: " + TakeErrors());
  }
  // CheckValidity has looked at the time: OpenSSL would leave out the last second of notAfter.
  auto* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_flags(parameters,
                              X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_CHECK_SS_SIGNATURE | X509_V_FLAG_NO_CHECK_TIME);
  X509_VERIFY_PARAM_set_auth_level(parameters, kSecurityLevel);
  const bool verified = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  if (!verified) {
    const auto error = X509_STORE_CTX_get_error(context.get());
    const auto depth = static_cast<std::size_t>(std::max(X509_STORE_CTX_get_error_depth(context.get()), 0));
    return Refuse(links[std::min(depth, links.size() - 1)].name() + ": " + X509_verify_cert_error_string(error),
                  "X509_verify_cert: error " + std::to_string(error));
  }
  // OpenSSL takes a shorter way where there is one, for example past an older certificate of the same root key.
  const auto* path = X509_STORE_CTX_get0_chain(context.get());
  for (const auto& link : links) {
    const auto place = static_cast<int>(&link - links.data());
    if (place >= sk_X509_num(path) || X509_cmp(sk_X509_value(path, place), link.get()) != 0) {
      return Refuse("wrong order: the chain is whole without " + link.name() + "; leave it out");
    }
  }
  return {};
}

}  // namespace

Result<std::vector<Certificate>> ParseChain(std::string_view text) {
  if (text.size() > kMostOctets) {
    return Refuse("must be at most " + std::to_string(kMostOctets) + " octets");
  }
  const auto ders = ReadCertificates(text);
  ERR_clear_error();
  if (!ders) {
    return std::unexpected(ders.error());
  }
  if (ders->size() > kMostCertificates) {
    return Refuse("must be at most " + std::to_string(kMostCertificates) + " certificates");
  }
  std::vector<Certificate> chain;
  for (const auto& der : *ders) {
    auto certificate = ParseCertificate(der);
    if (!certificate) {
      return Refuse(ders->size() == 1 ? "neither PEM nor one DER certificate" : Numbered(chain.size()) + " is none",
                    certificate.error().ToString());
    }
    chain.push_back(std::move(*certificate));
  }
  RETURN_IF_ERROR(CheckDistinct(chain));
  return chain;
}

Status VerifyChain(std::span<const Certificate> chain, const PublicKey& key, Time now) {
  if (chain.empty()) {
    return Refuse("must not be empty");
  }
  ASSIGN_OR_RETURN(const auto links, Open(chain));
  if (auto good = CheckKey(chain, key); !good) {
    return good;
  }
  if (auto good = CheckOrder(links); !good) {
    return good;
  }
  if (auto good = CheckLeaf(links.front()); !good) {
    return good;
  }
  for (std::size_t i = 0; i < chain.size(); ++i) {
    const auto& link = links[i];
    const bool is_root = i > 0 && i + 1 == chain.size() && SignedItself(link);
    if (auto good = i == 0 ? Status() : CheckIssuer(link); !good) {
      return good;
    }
    if (auto good = is_root ? Status() : CheckDigest(link); !good) {
      return good;
    }
    if (auto good = CheckValidity(chain[i], link, now); !good) {
      return good;
    }
  }
  return CheckPath(links);
}

}  // namespace assertion::x509
