// Probes through the C API: two of them measure each other, and what goes wrong ends with a code and in time.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "server_process.h"
#include "weftline/weftline_server.h"

namespace {

struct Probe {
  explicit Probe(const char* transports) {
    weft_join_options options = WEFT_JOIN_OPTIONS_DEFAULT;
    options.transports = transports;
    EXPECT_WEFT_OK(weft_probe_open(&options, &probe));
  }
  ~Probe() {
    if (probe != nullptr) close();
  }
  void close() {
    EXPECT_WEFT_OK(weft_probe_close(probe));
    probe = nullptr;
  }
  std::string address() const {
    const void* bytes = nullptr;
    uint64_t length = 0;
    EXPECT_WEFT_OK(weft_probe_address(probe, &bytes, &length));
    return {static_cast<const char*>(bytes), length};
  }
  int measure(const std::string& address, uint64_t timeout_ms, std::string* json = nullptr) const {
    char* text = nullptr;
    const int code = weft_probe_measure(probe, address.data(), address.size(), timeout_ms, &text);
    if (text != nullptr && json != nullptr) *json = text;
    weft_free(text);
    return code;
  }
  weft_probe* probe = nullptr;
};

double number(const std::string& json, const std::string& name) {
  const size_t at = json.find("\"" + name + "\":");
  EXPECT_NE(at, std::string::npos) << name << " in " << json;
  return at == std::string::npos ? -1 : std::strtod(json.c_str() + at + name.size() + 3, nullptr);
}

TEST(Probe, MeasuresAnotherOverEachTransport) {
  for (const char* transport : {"inprocess", "shm", "tcp"}) {
    const Probe here(transport);
    const Probe there(transport);
    std::string json;
    ASSERT_WEFT_OK(here.measure(there.address(), 20'000, &json));
    EXPECT_NE(json.find(std::string("\"transport\":\"") + transport + "\""), std::string::npos) << json;
    EXPECT_GT(number(json, "readBytesPerSecond"), 1e6) << json;
    EXPECT_GT(number(json, "writeBytesPerSecond"), 1e6) << json;
    EXPECT_GT(number(json, "latencyP50Us"), 0) << json;
    EXPECT_GE(number(json, "latencyP99Us"), number(json, "latencyP50Us")) << json;
    EXPECT_EQ(number(json, "bytesChecked"), 16 * 1024 * 1024) << json;
    // One clock: as far apart as half a round trip can make it seem.
    EXPECT_LE(std::abs(number(json, "clockOffsetUs")), number(json, "clockErrorUs") + 1) << json;
    // And again, the other way round.
    ASSERT_WEFT_OK(there.measure(here.address(), 20'000));
  }
}

TEST(Probe, OneThatIsGoneIsNotWaitedForLongerThanSaid) {
  const Probe here("tcp");
  std::string address;
  {
    const Probe there("tcp");
    address = there.address();
  }
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_NE(here.measure(address, 1'000), WEFT_OK);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(10));
  // The probe is as good as before.
  const Probe there("tcp");
  EXPECT_WEFT_OK(here.measure(there.address(), 20'000));
}

TEST(Probe, GarbageIsNoAddress) {
  const Probe here("tcp");
  EXPECT_NE(here.measure(std::string(100, 'x'), 5'000), WEFT_OK);
  EXPECT_NE(here.measure("", 5'000), WEFT_OK);
}

TEST(Probe, LanesWithNothingInCommonSaySo) {
  const Probe here("tcp");
  const Probe there("shm");
  EXPECT_NE(here.measure(there.address(), 5'000), WEFT_OK);
  EXPECT_NE(std::string(weft_error_text(nullptr)), "");
}

TEST(Probe, ATransportThatIsNotHereIsRefused) {
  weft_join_options options = WEFT_JOIN_OPTIONS_DEFAULT;
  options.transports = "nosuch";
  weft_probe* probe = nullptr;
  EXPECT_EQ(weft_probe_open(&options, &probe), WEFT_FABRIC);
  EXPECT_EQ(probe, nullptr);
  EXPECT_EQ(weft_probe_close(nullptr), WEFT_WRONG_HANDLE);
}

TEST(Doctor, SaysWhatThereIs) {
  char* json = nullptr;
  ASSERT_WEFT_OK(weft_doctor(nullptr, &json));
  const std::string text = json;
  weft_free(json);
  for (const char* member : {"compiler", "libfabric", "providers", "transports", "mpi", "numaNode", "slingshot"}) {
    EXPECT_NE(text.find(std::string("\"") + member + "\":"), std::string::npos) << member << " in " << text;
  }
}

TEST(Doctor, TransportsThatCannotBeHadAreToldNotFailed) {
  weft_join_options options = WEFT_JOIN_OPTIONS_DEFAULT;
  options.transports = "nosuch";
  char* json = nullptr;
  ASSERT_WEFT_OK(weft_doctor(&options, &json));
  const std::string text = json;
  weft_free(json);
  EXPECT_NE(text.find("\"transportsError\":"), std::string::npos) << text;
}

TEST(LockCheck, ALockThatIsHeldIsNotHadTwice) {
  const weft_test::TemporaryFolder folder;
  EXPECT_WEFT_OK(weft_lock_check((folder.path() + "/data").c_str()));
  EXPECT_NE(weft_lock_check("/proc/nowhere"), WEFT_OK);
}

}  // namespace
