#pragma once

namespace assertion::cli {

class Command;

// Adds one verb to its noun: `assertionctl NOUN VERB` is in NOUN/VERB.cc. main.cc lists them in the order of --help.

void AddAssertionCreate(Command& assertion);
void AddAssertionInspect(Command& assertion);
void AddAssertionRefresh(Command& assertion);

void AddDpopCreate(Command& dpop);

void AddRequestObjectCreate(Command& request_object);

void AddCertificateGet(Command& certificate);

void AddJwksGet(Command& jwks);

void AddKeyGenerate(Command& key);
void AddKeyAdopt(Command& key);
void AddKeyImport(Command& key);
void AddKeyList(Command& key);
void AddKeyWatch(Command& key);
void AddKeyShow(Command& key);
void AddKeyCsr(Command& key);
void AddKeyImportCertificate(Command& key);
void AddKeyRotate(Command& key);
void AddKeySchedule(Command& key);
void AddKeyRevoke(Command& key);
void AddKeyDestroy(Command& key);
void AddKeyAcceptLedger(Command& key);
void AddKeyPending(Command& key);
void AddKeyApprove(Command& key);
void AddKeyWithdraw(Command& key);
Command AddKeyEvidence(Command& key);
void AddKeyEvidenceVerify(Command& evidence);

void AddProfileList(Command& profile);
void AddProfileShow(Command& profile);

void AddTokenGet(Command& token);
void AddTokenRequest(Command& token);

void AddOidcLogin(Command& oidc);

void AddWso2Publish(Command& wso2);

void AddTlsGenerate(Command& tls);
void AddTlsCsr(Command& tls);
void AddTlsImportCertificate(Command& tls);

void AddAuditKey(Command& audit);
void AddAuditHead(Command& audit);
void AddAuditVerify(Command& audit);
void AddAuditShow(Command& audit);

void AddStatus(Command& assertionctl);

void AddConsole(Command& assertionctl);

void AddDoctor(Command& assertionctl);

void AddCompletion(Command& assertionctl);

}  // namespace assertion::cli
