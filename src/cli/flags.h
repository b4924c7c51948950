#pragma once

#include <initializer_list>
#include <string>

#include "oauth/token_request.h"

namespace CLI {
class App;
class Option;
class Validator;
}  // namespace CLI

namespace assertion::cli {

// Takes one of the words, in this spelling; an error names the nearest one.
CLI::Validator OneOf(std::initializer_list<const char*> words);

// Flags that verbs of several nouns have.

void AddClientId(CLI::App* verb, std::string& client_id);
void AddJson(CLI::App* verb, bool& json);

// --kid: required, or the key that signs now by default, "".
void AddRequiredKid(CLI::App* verb, std::string& kid);
CLI::Option* AddDefaultedKid(CLI::App* verb, std::string& kid);

// The file to write; default: standard output, "".
void AddOut(CLI::App* verb, std::string& path);

// The authorities that vouch for an identity server.
void AddCaFile(CLI::App* verb, std::string& path);

// --token-endpoint and --scope.
void AddTokenEndpoint(CLI::App* verb, oauth::TokenRequest& token);

}  // namespace assertion::cli
