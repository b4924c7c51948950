#pragma once

#include <string>

#include "assertion/error.h"

namespace assertion {

// What a sticky folder like /tmp, in which everybody can create files but replace only his own, may hold.
enum class Sticky {
  kFolders,          // folders of root and of this user, as parts of the path
  kFoldersAndFiles,  // it may be the last of the path, too: for a file that stays, which others cannot replace
};

// Checks that only root and this process's own user can replace `folder` or its contents: the folder and
// every folder above it, through symbolic links, is owned by one of them and is not writable by a group or by others,
// except as `sticky` says. FAILED_PRECONDITION names the folder and what to do; NOT_FOUND: it, or one
// above it, does not exist. `folder` is absolute.
Status CheckTrustedFolder(const std::string& folder, Sticky sticky = Sticky::kFolders);

// Checks that only root and this process's own user can write to `file`, which exists, or put another in its place: it,
// each link that leads to it and the folders of both. A file system that is mounted read-only is trusted, as a
// ConfigMap's is. FAILED_PRECONDITION names what others can change.
Status CheckTrustedFile(const std::string& file);

}  // namespace assertion
