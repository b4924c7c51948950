#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "assertion/error.h"
#include "observe/tls_expiry.h"

namespace assertion::service {

struct TlsOptions {
  std::string address;                   // HOST:PORT; port 0: one that the system chooses
  std::string hsm;                       // that holds the key, by name; empty: the first
  std::string certificate;               // a file: the server's chain in PEM, leaf first
  std::string client_ca;                 // a file: the authorities that issue to callers, PEM
  std::string crl_directory;             // "": revocation is not looked at
  std::chrono::seconds crl_grace{3600};  // how long CRLs that were read stay in force when not all can be read again
  std::string folder;                    // of assertiond's own; what gRPC reads is put there
  // Told when CRLs cannot all be read, when crl_grace has passed since (`closed`: no certificate is accepted any more),
  // and when all can be read again. On any thread.
  std::function<void(const Status& readable, bool closed)> crls_noted = [](const Status&, bool) {};
  TlsExpiry* expiry = nullptr;  // told until when the files are valid; null: nobody asks
};

}  // namespace assertion::service
