// Calls that need no job: verifying stored data, checksums, the end of the process.
#include "base/checksum.h"
#include "fabric/exit_gate.h"
#include "library/errors.h"
#include "library/json_text.h"
#include "log/directory_lock.h"
#include "log/verify.h"
#include "weftline/weftline_server.h"

using namespace weft::library;

extern "C" {

int weft_log_verify(const char* data, void (*report_one)(void* context, const char* json), void* context) try {
  WEFT_CHECK_ARGUMENT(data);
  WEFT_CHECK_ARGUMENT(report_one);
  return report(weft::log::verify_data_directory(weft::log::FileSystem::real(), data,
                                                 [&](const weft::log::PartitionVerification& verification) {
                                                   report_one(context, verification_json(verification).c_str());
                                                   return true;
                                                 }));
}
WEFT_CATCH

int weft_lock_check(const char* directory) try {
  WEFT_CHECK_ARGUMENT(directory);
  const auto first = weft::log::DirectoryLock::take(directory, "weftline doctor", false);
  if (!first.ok()) return report(first.status());
  // Where locks are only pretended, a second server would come in, too.
  const auto second = weft::log::DirectoryLock::take(directory, "weftline doctor", false);
  if (!second.ok() && second.status().code() == weft::Code::DATA_DIRECTORY_LOCKED) return WEFT_OK;
  if (!second.ok()) return report(second.status());
  return report(
      weft::Code::UNSUPPORTED,
      weft::join_text("the file system of ", directory,
                      " gives the same lock twice; use another, or see that no two servers get one directory"));
}
WEFT_CATCH

void weft_prepare_exit(void) { weft::fabric::begin_exit(5000); }

uint32_t weft_crc32c(const void* bytes, uint64_t length, uint32_t seed) { return weft::crc32c(bytes, length, seed); }

}  // extern "C"
