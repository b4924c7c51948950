#pragma once

#include <string>

#include "assertion/error.h"
#include "cli/connection.h"

namespace assertion::cli {

// The words of a request that a typist may have misspelt; empty: it has none.
struct TypedWords {
  std::string client_id;
  std::string kid;
  std::string algorithm;
};

template <typename Request>
TypedWords TypedWordsOf(const Request& request) {
  TypedWords typed;
  if constexpr (requires { request.client_id(); }) {
    typed.client_id = request.client_id();
  }
  if constexpr (requires { request.kid(); }) {
    typed.kid = request.kid();
  }
  if constexpr (requires { request.algorithm(); }) {
    typed.algorithm = request.algorithm();
  }
  return typed;
}

// `error` of a call with those words. If the server knows no such word, the message ends with the nearest one that it
// does. Clients and kids are those that ListKeys tells this caller: who may not list learns nothing.
Error WithNearest(Connection& connection, Error error, const TypedWords& typed);

}  // namespace assertion::cli
