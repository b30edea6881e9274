// Calls that need no job: verifying stored data, saying what the network offers, checksums.
#include "base/checksum.h"
#include "fabric/exit_gate.h"
#include "fabric/fabric.h"
#include "library/errors.h"
#include "library/json_text.h"
#include "log/verify.h"
#include "weftline/weftline_server.h"

using namespace weft::library;
using weft::Result;
using weft::Status;

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

int weft_doctor(char** json) try {
  WEFT_CHECK_ARGUMENT(json);
  Result<std::unique_ptr<weft::fabric::Lane>> lane = weft::fabric::Lane::open({});
  if (!lane.ok()) return report(lane.status());
  *json = copy_text(doctor_json(lane.value()->describe()));
  return WEFT_OK;
}
WEFT_CATCH

void weft_prepare_exit(void) { weft::fabric::begin_exit(5000); }

uint32_t weft_crc32c(const void* bytes, uint64_t length, uint32_t seed) { return weft::crc32c(bytes, length, seed); }

}  // extern "C"
