#include "cli/oidc/redirect_uri_refusal.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "assertion/foreign_text.h"
#include "cli/oidc/redirect_query.h"
#include "jws/foreign_json.h"
#include "oauth/token_request.h"

namespace assertion::cli {
namespace {

constexpr int kFirstOfRedirects = 300;
constexpr int kFirstRefusal = 400;
constexpr int kFirstFault = 500;
constexpr std::size_t kShownOfPage = 200;
constexpr std::size_t kShownBefore = 80;

// The parameters of a redirect to an error page that have the error: those of RFC 6749, and of WSO2.
constexpr std::array<std::string_view, 6> kErrorParameters = {"error",          "error_description", "error_code",
                                                              "oauthErrorCode", "oauthErrorMsg",     "errorMsg"};

// How pages for people name it. "redirect" alone is an ordinary word there. The last is of Entra ID.
constexpr std::array<std::string_view, 12> kPageNames = {
    "redirect_uri", "redirect uri", "redirect_url", "redirect url",     "redirection ur",      "redirect_mismatch",
    "callback_url", "callback url", "callback uri", "invalid_callback", "registered callback", "reply url"};

std::string InLowerCase(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string Without(std::string text, std::string_view part) {
  for (auto at = text.find(part); at != std::string::npos && !part.empty(); at = text.find(part, at)) {
    text.erase(at, part.size());
  }
  return text;
}

// What a person reads of an HTML page, white space as one blank: links and hidden fields repeat the request.
std::string TextOfPage(std::string_view page) {
  const auto lower = InLowerCase(std::string(page));
  std::string text;
  for (std::size_t at = 0; at < page.size();) {
    if (page[at] == '<') {
      const auto tag = std::string_view(lower).substr(at + 1);
      if (tag.starts_with("script") || tag.starts_with("style")) {
        at = std::min(lower.find(tag.starts_with("script") ? "</script" : "</style", at), page.size() - 1);
      }
      at = std::min(page.find('>', at), page.size() - 1) + 1;
      text += ' ';
    } else {
      text += std::isspace(static_cast<unsigned char>(page[at])) != 0 ? ' ' : page[at];
      ++at;
    }
  }
  const auto doubled = std::ranges::unique(text, [](char a, char b) { return a == ' ' && b == ' '; });
  text.erase(doubled.begin(), doubled.end());
  return text;
}

// The words of a page around what names the redirect URI; empty: nothing does. "redirect_uri=" repeats the request.
std::string WordsAbout(const std::string& text) {
  const auto lower = InLowerCase(text);
  for (const auto name : kPageNames) {
    for (auto at = lower.find(name); at != std::string::npos; at = lower.find(name, at + 1)) {
      if (!std::string_view(lower).substr(at + name.size()).starts_with('=')) {
        return text.substr(at - std::min(at, kShownBefore), kShownOfPage);
      }
    }
  }
  return "";
}

std::string ErrorOfRedirect(std::string_view location) {
  const auto query = location.substr(std::min(location.find('?'), location.size()));
  const auto fields = QueryOf(query.substr(std::min<std::size_t>(1, query.size()), query.find('#') - 1));
  std::string error;
  for (const auto name : kErrorParameters) {
    const auto value = fields ? FieldOf(*fields, name) : "";
    error += (value.empty() || error.empty() ? "" : ", ") + value;
  }
  return error;
}

}  // namespace

bool NamesRedirectUri(std::string reason, std::string_view redirect_uri) {
  reason = InLowerCase(Without(std::move(reason), redirect_uri));
  return reason.contains("redirect") || reason.contains("callback");
}

std::string RedirectUriRefusal(const oauth::HttpAnswer& answer, std::string_view redirect_uri) {
  if (answer.status >= kFirstOfRedirects && answer.status < kFirstRefusal) {
    const auto target = std::string_view(answer.location).substr(0, answer.location.find_first_of("?#"));
    const auto error = ErrorOfRedirect(answer.location);
    return target != redirect_uri && NamesRedirectUri(error, redirect_uri)
               ? "its error page says " + Quoted(error, kShownOfPage)
               : "";
  }
  if (answer.status < kFirstRefusal || answer.status >= kFirstFault) {
    return "";
  }
  const auto reason = oauth::ReasonOf(answer);
  if (jws::ParseForeign(answer.body).is_object()) {
    return NamesRedirectUri(reason, redirect_uri) ? reason : "";
  }
  const auto words = WordsAbout(Without(TextOfPage(answer.body), redirect_uri));
  return words.empty() ? "" : reason + ", its page says " + Quoted(words, kShownOfPage);
}

}  // namespace assertion::cli
