#include <array>

#include "config/field_table.h"

namespace assertion {
namespace {

using enum FieldType;

constexpr auto kRows = std::to_array<FieldRow>({
    {"hsm", kHsm, "required", "RFC 7512",
     "PKCS#11 URI of the token: `token=` or `serial=`, with `module-path=` (absolute) and `pin-source=file:/path`. "
     "`pin-value` is refused. Up to 8 HSMs form a list."},
    {"hsm.uri", kText, "required", "RFC 7512", "The PKCS#11 URI, where `hsm` is an object."},
    {"hsm.init_args", kText, "none", "PKCS#11 v2.40 C_Initialize",
     "What the module reads from `pReserved`, at most 4096 octets."},
    {"hsm.environment", kObject, "none", "",
     "At most 32 environment variables, set before the module is loaded. Names of the dynamic linker, the C library, "
     "OpenSSL, gRPC, systemd and assertiond are refused."},
    {"hsm.accept_unshown", kTexts, "none", "",
     "Attributes that this token does not show as custody requires, and `custody`. `CKA_SENSITIVE`, `CKA_EXTRACTABLE`, "
     "`CKA_SIGN`, `CKA_PRIVATE` and `CKA_TOKEN` cannot be given up."},
    {"listen", kText, "required", "",
     "`unix:/path` of the gRPC socket, at most 107 octets. The socket has mode 0660. Every folder above it must belong "
     "to root or the server's user and be writable by no group and no others; a sticky folder such as `/tmp` may stand "
     "above one that is. If only the last folder is missing, it is made with mode 0755."},
    {"listen_group", kText, "the server's", "", "Group of the socket: its members may connect."},
    {"token_listen", kText, "none", "",
     "`unix:/path` of the HTTP front for access tokens and assertions, as `listen`; another than `listen`. One "
     "connection carries one request: at most `connections.total`, half of them of one user."},
    {"token_listen_group", kText, "the server's", "", "Group of that socket."},
    {"sessions", kCount, "measured at the start", "",
     "PKCS#11 sessions that sign, per HSM. Without it the server measures: one a core and at least 2, and more, up to "
     "64, while twice as many sign a fifth faster.",
     1, 256},
    {"ledger", kText, "`token`", "",
     "Where the schedule of the keys is kept: `token` (private data objects) or `file:/path`. With several HSMs the "
     "file of each further HSM is `/path.SERIAL`."},
    {"state_directory", kPath, "`$STATE_DIRECTORY`, else the file's folder", "",
     "Folder of the audit log, of the lock, and of what is remembered of refused PINs. The server warns if others can "
     "write there."},
    {"lock_directory", kPath, "`lock` in the state directory", "",
     "Folder of the lock that all processes of a machine take before they change a token. It is made with mode 0700. "
     "Servers that share a SoftHSM2 token need the same; if they cannot, change keys through one of them."},
    {"refresh_interval", kDuration, "`5s`", "", "How soon a change made through another server is seen.", 1, 3600},
    {"drain_limit", kDuration, "`30s`", "", "How long a stop waits for the calls in flight.", 1, 600},
    {"http_listen", kText, "none", "",
     "`HOST:PORT` of the HTTP listener; HTTPS with `tls`. Port 0: the system chooses, see the log."},
    {"admin_listen", kText, "none", "",
     "`HOST:PORT` of a plain HTTP listener for `/healthz`, `/readyz` and `/metrics`, which then leave `http_listen`. "
     "Port 0: the system chooses, see the log."},
    {"audit", kObject, "see below", "", "The audit log."},
    {"audit.enabled", kBool, "`true`", "", "`false`: no audit log, and a warning at every start."},
    {"audit.hsm", kText, "the first", "",
     "HSM whose key signs checkpoints, by its token's label, which its URI must give as `token=`. A start needs this "
     "HSM. A log goes on with the key that signed it alone: to change this, move all its files elsewhere."},
    {"audit.path", kPath, "`audit.log` in the state directory", "", "The file; each server needs its own."},
    {"audit.rotate_octets", kCount, "67108864", "", "Size at which a new file begins.", 4096, 4294967296},
    {"audit.checkpoint_lines", kCount, "1000", "", "Most lines without a checkpoint.", 1, 1000000},
    {"audit.checkpoint_interval", kDuration, "`10s`", "", "Longest time without a checkpoint.", 1, 3600},
    {"audit.reserve", kCount, "16777216", "",
     "Free octets of the file system that only lines of permitted callers use. With less free, refusals of others are "
     "counted in one line `LinesWithheld`.",
     0, 1099511627776},
    {"tls", kObject, "no TCP", "", "gRPC over mutual TLS."},
    {"tls.listen", kText, "required", "", "`HOST:PORT`. Port 0: the system chooses, see the log."},
    {"tls.hsm", kText, "the first", "",
     "HSM that holds the TLS key, by its token's label, which its URI must give as `token=`. A start needs this HSM; "
     "`assertionctl tls` works on it."},
    {"tls.certificate", kPath, "required", "", "The server's chain, which `assertionctl tls` writes; at most 8 MiB."},
    {"tls.client_ca", kPath, "required", "", "Authorities that issue to callers, PEM, at most 1000 and 8 MiB."},
    {"tls.crl_directory", kPath, "no revocation check", "RFC 5280", "CRLs of those authorities, PEM or DER."},
    {"tls.crl_grace", kDuration, "`1h`", "", "How long CRLs stay in force when not all can be read again.", 0, 604800},
    {"connections", kObject, "see below", "",
     "Limits of connections and handshakes. What the limit of descriptors has no room for is not used, with a "
     "warning."},
    {"connections.per_peer", kCount, "64", "",
     "Connections of each local user, and, counted apart, of each source address (IPv6: each /64) over TLS. Another of "
     "the same peer is closed. A peer that the configuration does not list may keep the server busy for 10 % of the "
     "time, in bursts of half a second; past that its connections end, and a local user is refused for 10 s, the next "
     "time for twice as long, up to 5 minutes. Callers behind one proxy or NAT share its address.",
     1, 65536},
    {"connections.total", kCount, "1024", "",
     "Connections over the socket in all, and, counted apart, over TLS. At the limit the newest connection of the peer "
     "with most makes room, unlisted local users first.",
     1, 65536},
    {"connections.handshakes", kCount, "128", "",
     "TLS handshakes under way at once, an eighth of them from one source address. Others wait up to 8 s, the address "
     "with fewest first. A handshake counts until the connection's first call, for 2 s at most; one that fails counts "
     "for 250 ms.",
     1, 65536},
    {"refusals", kObject, "see below", "", "Budget of refused calls for each peer."},
    {"refusals.per_second", kCount, "10", "",
     "Refused calls a second that are answered with their reason and written to the audit log one by one. More are "
     "answered RESOURCE_EXHAUSTED and counted in one line `Refusals` a second and peer.",
     1, 1000000},
    {"refusals.burst", kCount, "100", "", "Refused calls at once.", 1, 1000000},
    {"caller_rate", kObject, "no limit", "",
     "Rate of assertions for each caller. More is answered RESOURCE_EXHAUSTED."},
    {"caller_rate.per_second", kCount, "required", "", "Assertions a second.", 1, 1000000},
    {"caller_rate.burst", kCount, "`per_second`", "", "Assertions at once.", 1, 1000000},
    {"key_limits", kObject, "see below", "", "Limits of key creation."},
    {"key_limits.per_client", kCount, "8", "", "Keys of one client, withdrawn ones included until they are destroyed.",
     1, 64},
    {"key_limits.generations_per_hour", kCount, "60", "",
     "Keys that each HSM makes in any hour for all clients. More is answered RESOURCE_EXHAUSTED with the time until "
     "there is room. Each server counts its own, from its start on.",
     1, 100000},
    {"key_limits.client_generations_per_hour", kCount, "4", "",
     "The same for one client. A client's first key does not count.", 1, 100000},
    {"operators", kObjects, "nobody", "", "Who may look after keys, at most 1000 entries."},
    {"operators[].caller", kText, "required", "", "The caller: `uid:`, `user:`, `dns:` or `spiffe:`."},
    {"operators[].roles", kTexts, "required", "", "Some of `viewer`, `operator`, `approver`."},
    {"two_person_rule", kObject, "none", "", "Changes that need a second person."},
    {"two_person_rule.methods", kTextOrTexts, "required", "",
     "Some of `GenerateKey`, `RotateKey`, `ImportCertificate`, `ScheduleKey`, `RevokeKey`, `DestroyKey`, "
     "`AcceptLedger`, `AdoptKey`, or `\"all\"`. `ImportKey` may stand there and is then refused."},
    {"two_person_rule.window", kDuration, "`1h`", "", "How long the second person has.", 60, 604800},
    {"two_person_rule.revoke_by_one_person", kBool, "`false`", "",
     "`true` exempts `RevokeKey`, the emergency brake, from a rule that covers it."},
    {"clients", kObjects, "required", "", "The clients. The list may be empty only with `kubernetes_signer`."},
    {"clients[].client_id", kText, "required", "RFC 7523 section 3",
     "Default of `iss` and `sub`, and the `CKA_LABEL` of the client's keys."},
    {"clients[].callers", kTexts, "required", "",
     "Who may ask for its assertions, at most 1000. An empty list denies everybody."},
    {"clients[].audiences", kTexts, "required", "RFC 7523 section 3",
     "Values of `aud` that callers may choose, at most 100; the first is the default. Leave it out where the profile "
     "has no `aud`. Values are compared octet for octet; white space and invisible characters are errors, and the "
     "server warns of what the profile's party refuses."},
    {"clients[].audience_as_list", kBool, "the profile's, else `false`", "RFC 7519 section 4.1.3",
     "`aud` is a list of one instead of a string."},
    {"clients[].purposes", kTexts, "`[\"client_assertion\"]`", "",
     "What its keys sign: some of `client_assertion`, `dpop`, `request_object`. With `dpop` alone the entry has no "
     "`audiences` and no field that shapes assertions."},
    {"clients[].request_object", kObject, "see below", "RFC 9101",
     "Rules for request objects; for the purpose `request_object` only."},
    {"clients[].request_object.claims", kTexts, "parameters of RFC 6749, 7636, 8707, 9396, 9449 and OpenID Connect", "",
     "Parameters that callers may put into request objects, at most 100; never `sub`, `request`, `request_uri` or one "
     "that the server sets."},
    {"clients[].request_object.redirect_uris", kTexts, "anything", "RFC 6749 section 3.1.2",
     "Values of `redirect_uri`, at most 100, compared octet for octet."},
    {"clients[].profile", kText, "`wso2`", "",
     "The party that the assertions are for. It decides the fields from `typ` to `grant`, `algorithm`, the lifetimes "
     "and the form of `aud`. A field that cannot differ from the profile is an error; `assertionctl profile show NAME` "
     "lists those that can."},
    {"clients[].typ", kText, "`JWT`", "RFC 7515 section 4.1.9",
     "Header `typ`: a media type without `application/`; empty: none."},
    {"clients[].kid", kText, "`thumbprint`", "RFC 7638",
     "Header `kid`: `thumbprint`, `x5t`, `x5t#S256`, `assigned` or `none`. With the binding `jwks`: `thumbprint` or "
     "`none`."},
    {"clients[].kids", kObject, "none", "",
     "For kid `assigned`: from the thumbprint of each key to its kid at the other party. A key that it lacks does not "
     "sign."},
    {"clients[].header", kTexts, "none", "RFC 7515 section 4.1",
     "More header members: some of `x5t`, `x5t#S256`, `x5c`, `jwk`, `jku`. Those of certificates need one."},
    {"clients[].jku", kText, "none", "RFC 7515 section 4.1.2", "URL of the header member `jku`."},
    {"clients[].issuer", kText, "`{client_id}`", "RFC 7519 section 4.1.1",
     "`iss`, 1 to 255 visible ASCII characters, with the templates `{client_id}`, `{kid}`, `{x5t#S256}`, "
     "`{fingerprint:SHA256}`."},
    {"clients[].subject", kText, "`{client_id}`", "RFC 7519 section 4.1.2", "`sub`, with the same templates."},
    {"clients[].subjects", kTexts, "nobody", "RFC 7523 section 2.1",
     "Values of `sub` that callers may name, at most 100: texts, or patterns with one `*`. For grants only."},
    {"clients[].scopes", kTexts, "no claim", "RFC 6749 section 3.3",
     "The claim `scope`, and what callers may name instead, at most 100. For grants only."},
    {"clients[].backdate", kDuration, "`0s`", "",
     "How far `iat` and `nbf` lie before now, for a party whose clock is behind; shorter than `default_lifetime`.", 0,
     60},
    {"clients[].nbf", kBool, "`false`", "RFC 7519 section 4.1.5", "Adds the claim `nbf`, equal to `iat`."},
    {"clients[].jti", kText, "`uuid`", "RFC 7519 section 4.1.7", "`uuid`, `hex` or `none`."},
    {"clients[].jti_length", kCount, "32", "", "Hexadecimal digits of a `jti` of the form `hex`.", 32, 64},
    {"clients[].grant", kText, "`client-authentication`", "RFC 7523",
     "What the assertion is for: `client-authentication`, `jwt-bearer` or `bearer-token`, which an API takes itself."},
    {"clients[].default_lifetime", kDuration, "the profile's, else `300s`", "RFC 7519 section 4.1.4",
     "`exp - iat` when the caller names none.", 1, 86400},
    {"clients[].max_lifetime", kDuration, "the default lifetime", "", "Longest `exp - iat` that a caller may ask for.",
     1, 86400},
    {"clients[].clock_skew", kDuration, "`0s`", "",
     "What the identity server takes off `exp` (WSO2's `TimestampSkew`). The server warns when it eats the lifetime.",
     0, 3600},
    {"clients[].algorithm", kText, "the profile's, else `RS256`", "RFC 7518 section 3.1",
     "JWS algorithm of the client's next key; each key keeps its own."},
    {"clients[].binding", kText, "`certificate`", "",
     "How the identity server knows the keys: `certificate`, one slot; or `jwks`, a JWK Set by URL in which keys "
     "overlap."},
    {"clients[].publish_lead", kDuration, "`900s`", "",
     "For `jwks`: how long a new key is published before it signs. At least twice `refresh_interval` (four times where "
     "the HSM is behind a network), and longer than the identity server keeps a JWK Set.",
     1, 604800},
    {"clients[].imported_keys", kBool, "`false`", "", "Operators may import private keys that others made."},
    {"clients[].sign_with_expired_certificate", kBool, "`false`; `true` for `dpop` alone", "",
     "Sign although the key's certificate has expired: WSO2 does not check it in the certificate slot."},
    {"clients[].extra_claims", kTexts, "none", "",
     "Claims that callers may add, at most 100; never a registered one in any case (`Iss`), nor a member of the header "
     "(`x5t`)."},
    {"clients[].tokens", kObject, "none", "RFC 6749",
     "Where assertiond buys access tokens for the client's callers (`AccessTokenService`)."},
    {"clients[].tokens.token_endpoint", kText, "required without `issuer`", "RFC 6749 section 3.2",
     "`https://host[:port]/path`; `http://` to a loopback address only."},
    {"clients[].tokens.issuer", kText, "none", "RFC 8414 section 2",
     "In place of `token_endpoint`: the identity server's issuer, octet for octet. Its metadata name the endpoint."},
    {"clients[].tokens.ca_file", kPath, "the system's authorities", "",
     "PEM file with the authorities that vouch for the certificate of the token endpoint and the issuer."},
    {"clients[].tokens.audience", kText, "the endpoint or issuer if `audiences` has it, else the first of them", "",
     "`aud` of the assertion, one of the client's `audiences`."},
    {"clients[].tokens.scopes", kTexts, "none are sent", "RFC 6749 section 3.3",
     "Scopes that callers may ask for; an entry is a scope, or an object with `scope` and `callers`."},
    {"clients[].tokens.scopes[].scope", kText, "required", "RFC 6749 section 3.3", "One scope."},
    {"clients[].tokens.scopes[].callers", kTexts, "required", "", "The client's callers that may ask for it."},
    {"clients[].tokens.resources", kTexts, "none", "RFC 8707",
     "Resources that callers may name; absolute URIs without fragment, or any names if they are sent as `audience`."},
    {"clients[].tokens.resource_parameter", kText, "the profile's: `audience` for `auth0`, else `resource`",
     "RFC 8707 section 2",
     "The parameter of the token request that has the caller's resource: `resource`, or `audience`."},
    {"clients[].tokens.dpop_client", kText, "none: bearer tokens; required with the purpose `dpop`",
     "RFC 9449 section 5",
     "The tokens are bound to the key of this client, which has the purpose `dpop`; it may be the same one."},
    {"kubernetes_signer", kObject, "none", "k8s.io/externaljwt/apis/v1", "Serves kube-apiserver."},
    {"kubernetes_signer.listen", kText, "required", "",
     "Socket for kube-apiserver, as `listen`; another than `listen`."},
    {"kubernetes_signer.listen_group", kText, "the server's", "", "Group of that socket."},
    {"kubernetes_signer.caller", kText, "required", "", "The one user that is served: `uid:` or `user:`."},
    {"kubernetes_signer.issuer", kText, "required", "",
     "`iss` of every token: kube-apiserver's `--service-account-issuer`."},
    {"kubernetes_signer.max_lifetime", kDuration, "`24h`", "",
     "Longest `exp - iat` of a token. A key stays published that long after its last signature.", 600, 31536000},
    {"kubernetes_signer.client_id", kText, "`kubernetes`", "",
     "Name of the ring, as a client id; no client may have it."},
    {"kubernetes_signer.algorithm", kText, "`RS256`", "",
     "Algorithm of the next key: `RS256`, `ES256`, `ES384` or `ES512`."},
    {"kubernetes_signer.publish_lead", kDuration, "`900s`", "",
     "How long a new key is published before it signs; at least twice `refresh_interval`.", 1, 604800},
});

}  // namespace

std::span<const FieldRow> FieldTable() { return kRows; }

}  // namespace assertion
