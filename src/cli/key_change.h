#pragma once

#include "cli/command.h"

namespace assertion::cli {

// The verbs of `assertionctl key` that change something. Each returns its exit status.
int GenerateKey(const Options& options);
int ImportCertificate(const Options& options);
int RotateKey(const Options& options);
int ScheduleKey(const Options& options);
int RevokeKey(const Options& options);
int DestroyKey(const Options& options);
int AcceptLedger(const Options& options);

// Changes that wait for a second person.
int ListPendingChanges(const Options& options);
int ApproveChange(const Options& options);
int WithdrawChange(const Options& options);

}  // namespace assertion::cli
