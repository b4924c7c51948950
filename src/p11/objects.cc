#include "p11/objects.h"

#include <openssl/x509.h>

#include <array>
#include <iterator>
#include <memory>
#include <utility>

#include "p11/attribute.h"

namespace assertion::p11 {
namespace {

CK_OBJECT_CLASS ClassOf(ObjectKind kind) {
  switch (kind) {
    case ObjectKind::kPrivateKey:
      return CKO_PRIVATE_KEY;
    case ObjectKind::kPublicKey:
      return CKO_PUBLIC_KEY;
    case ObjectKind::kCertificate:
      return CKO_CERTIFICATE;
    case ObjectKind::kData:
      break;
  }
  return CKO_DATA;
}

struct CertificateNames {
  Bytes issuer;  // DER of the name
  Bytes serial;  // DER of the integer
};

// The value as `encode` (an i2d function of OpenSSL) writes it.
Bytes Encoded(const auto& encode, const auto* value) {
  const int size = encode(value, nullptr);
  Bytes octets(static_cast<std::size_t>(std::max(size, 0)));
  auto* position = octets.data();
  encode(value, size > 0 ? &position : nullptr);
  return octets;
}

// Empty: it is not a certificate.
std::optional<CertificateNames> ReadCertificateNames(BytesView der) {
  const auto* position = der.data();
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      d2i_X509(nullptr, &position, static_cast<long>(der.size())), X509_free);
  if (!certificate) {
    return {};
  }
  return CertificateNames{.issuer = Encoded(i2d_X509_NAME, X509_get_issuer_name(certificate.get())),
                          .serial = Encoded(i2d_ASN1_INTEGER, X509_get0_serialNumber(certificate.get()))};
}

// Data objects of an application that are not private: no PIN was needed to create them.
Result<std::vector<ListedObject>> ListPublicData(Session& session, std::string_view application) {
  const CK_OBJECT_CLASS object_class = CKO_DATA;
  std::array pattern = {Attribute(CKA_CLASS, object_class), Attribute(CKA_TOKEN, kTrue),
                        Attribute(CKA_APPLICATION, AsBytes(application)), Attribute(CKA_PRIVATE, kFalse)};
  ASSIGN_OR_RETURN(const auto found, session.Find(pattern));
  std::vector<ListedObject> objects;
  for (const auto handle : found) {
    ASSIGN_OR_RETURN(auto label, ReadText(session, handle, CKA_LABEL));
    ASSIGN_OR_RETURN(const auto is_private, ReadFlag(session, handle, CKA_PRIVATE));
    if (is_private != true) {
      objects.push_back({.kind = ObjectKind::kData,
                         .handle = {.value = handle},
                         .label = std::move(label),
                         .id = {},
                         .application = std::string(application),
                         .is_private = false});
    }
  }
  return objects;
}

}  // namespace

Result<std::vector<CK_OBJECT_HANDLE>> FindById(Session& session, CK_OBJECT_CLASS object_class, BytesView id) {
  std::array pattern = {Attribute(CKA_CLASS, object_class), Attribute(CKA_ID, id), Attribute(CKA_TOKEN, kTrue)};
  return session.Find(pattern);
}

Result<std::optional<bool>> ReadFlag(Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
  ASSIGN_OR_RETURN(const auto value, session.Read(object, type));
  const bool shown = value && value->size() == sizeof(CK_BBOOL);
  return shown ? std::optional(value->front() != CK_FALSE) : std::nullopt;
}

Result<std::string> ReadText(Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
  ASSIGN_OR_RETURN(const auto value, session.Read(object, type));
  return value ? std::string(value->begin(), value->end()) : std::string();
}

Result<std::vector<ListedObject>> ListObjects(Session& session, ObjectKind kind) {
  const auto object_class = ClassOf(kind);
  std::array pattern = {Attribute(CKA_CLASS, object_class), Attribute(CKA_TOKEN, kTrue)};
  ASSIGN_OR_RETURN(const auto found, session.Find(pattern));
  std::vector<ListedObject> objects;
  for (const auto handle : found) {
    ASSIGN_OR_RETURN(auto label, ReadText(session, handle, CKA_LABEL));
    ASSIGN_OR_RETURN(const auto id, ReadText(session, handle, CKA_ID));
    // Anyone can create a private key or a certificate without login; CKA_PRIVATE tells these apart.
    ASSIGN_OR_RETURN(const auto is_private, ReadFlag(session, handle, CKA_PRIVATE));
    objects.push_back({.kind = kind,
                       .handle = {.value = handle},
                       .label = std::move(label),
                       .id = Bytes(id.begin(), id.end()),
                       .application = {},
                       .is_private = is_private == true});
  }
  return objects;
}

Result<std::vector<ListedObject>> ListObjectsAndPublicData(Session& session,
                                                           std::span<const std::string_view> applications) {
  std::vector<ListedObject> all;
  const auto append = [&all](std::vector<ListedObject> objects) {
    all.insert(all.end(), std::make_move_iterator(objects.begin()), std::make_move_iterator(objects.end()));
  };
  for (const auto kind : {ObjectKind::kPrivateKey, ObjectKind::kPublicKey, ObjectKind::kCertificate}) {
    ASSIGN_OR_RETURN(auto objects, ListObjects(session, kind));
    append(std::move(objects));
  }
  for (const auto application : applications) {
    ASSIGN_OR_RETURN(auto objects, ListPublicData(session, application));
    append(std::move(objects));
  }
  return all;
}

Result<std::vector<TokenData>> FindDataObjects(Session& session, std::string_view application, std::string_view label) {
  const CK_OBJECT_CLASS object_class = CKO_DATA;
  std::vector pattern = {Attribute(CKA_CLASS, object_class), Attribute(CKA_TOKEN, kTrue),
                         Attribute(CKA_APPLICATION, AsBytes(application))};
  if (!label.empty()) {
    pattern.push_back(Attribute(CKA_LABEL, AsBytes(label)));
  }
  ASSIGN_OR_RETURN(const auto found, session.Find(pattern));
  std::vector<TokenData> objects;
  for (const auto handle : found) {
    ASSIGN_OR_RETURN(const auto is_private, ReadFlag(session, handle, CKA_PRIVATE));
    ASSIGN_OR_RETURN(auto name, ReadText(session, handle, CKA_LABEL));
    std::string value;
    if (is_private == true) {  // anyone can create an object that is not private, of any size
      ASSIGN_OR_RETURN(value, ReadText(session, handle, CKA_VALUE));
    }
    objects.push_back({.handle = {.value = handle},
                       .label = std::move(name),
                       .value = std::move(value),
                       .is_private = is_private == true});
  }
  return objects;
}

Status StoreDataObject(Session& session, std::string_view application, std::string_view label, std::string_view value) {
  const CK_OBJECT_CLASS object_class = CKO_DATA;
  std::array attributes = {Attribute(CKA_CLASS, object_class),   Attribute(CKA_TOKEN, kTrue),
                           Attribute(CKA_PRIVATE, kTrue),        Attribute(CKA_APPLICATION, AsBytes(application)),
                           Attribute(CKA_LABEL, AsBytes(label)), Attribute(CKA_VALUE, AsBytes(value))};
  RETURN_IF_ERROR(session.Create(attributes));
  return {};
}

Status StoreCertificateObject(Session& session, std::string_view label, BytesView id, BytesView subject,
                              BytesView der) {
  const CK_OBJECT_CLASS object_class = CKO_CERTIFICATE;
  const CK_CERTIFICATE_TYPE type = CKC_X_509;
  const auto names = ReadCertificateNames(der);
  std::vector attributes = {Attribute(CKA_CLASS, object_class),
                            Attribute(CKA_CERTIFICATE_TYPE, type),
                            Attribute(CKA_TOKEN, kTrue),
                            Attribute(CKA_PRIVATE, kFalse),
                            Attribute(CKA_ID, id),
                            Attribute(CKA_LABEL, AsBytes(label)),
                            Attribute(CKA_SUBJECT, subject),
                            Attribute(CKA_VALUE, der)};
  if (names) {  // NSS requires them
    attributes.push_back(Attribute(CKA_ISSUER, names->issuer));
    attributes.push_back(Attribute(CKA_SERIAL_NUMBER, names->serial));
  }
  RETURN_IF_ERROR(session.Create(attributes));
  return {};
}

// The private key first: when its label cannot be changed, the public key keeps the same one.
Status LabelKeyObjects(Session& session, BytesView id, std::string_view label) {
  for (const CK_OBJECT_CLASS object_class : {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY}) {
    ASSIGN_OR_RETURN(const auto found, FindById(session, object_class, id));
    for (const auto object : found) {
      RETURN_IF_ERROR(session.Write(object, Attribute(CKA_LABEL, AsBytes(label))));
    }
  }
  return {};
}

Status DestroyKeyObjects(Session& session, BytesView id) {
  Status all;  // an object with CKA_DESTROYABLE false must not keep the others from being destroyed
  for (const CK_OBJECT_CLASS object_class : {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY}) {
    ASSIGN_OR_RETURN(const auto found, FindById(session, object_class, id));
    for (const auto object : found) {
      if (auto destroyed = session.Destroy(object); !destroyed) {
        all = std::move(destroyed);
      }
    }
  }
  return all;
}

}  // namespace assertion::p11
