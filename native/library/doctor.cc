// weft_doctor: what this process could use, as JSON. Each part says for itself what it could not find out.
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "fabric/fabric.h"
#include "fabric/locality.h"
#include "fabric/provider_list.h"
#include "fabric/slingshot.h"
#include "library/errors.h"
#include "library/job.h"
#include "mpi/loader.h"
#include "weftline/weftline_server.h"

namespace weft::library {

namespace {
using Writer = rapidjson::Writer<rapidjson::StringBuffer>;

#if defined(__clang__)
constexpr const char* kCompiler = __VERSION__;  // "Clang 14.0.6 …"
#else
constexpr const char* kCompiler = "gcc " __VERSION__;
#endif

void put(Writer& writer, const char* key, const std::string& text) {
  writer.Key(key);
  writer.String(text.c_str(), static_cast<rapidjson::SizeType>(text.size()));
}

void put(Writer& writer, const char* key, const std::vector<std::string>& texts) {
  writer.Key(key);
  writer.StartArray();
  for (const std::string& text : texts) writer.String(text.c_str(), static_cast<rapidjson::SizeType>(text.size()));
  writer.EndArray();
}

void put_flag(Writer& writer, const char* key, bool value) {
  writer.Key(key);
  writer.Bool(value);
}

void write_libfabric(Writer& writer) {
  writer.Key("libfabric");
  writer.StartObject();
  const Result<fabric::LibfabricFacts> facts = fabric::list_providers();
  if (!facts.ok()) put(writer, "error", facts.status().message());
  if (facts.ok()) {
    put(writer, "version", facts.value().version);
    put(writer, "path", facts.value().path);
    writer.Key("providers");
    writer.StartArray();
    for (const fabric::ProviderFacts& provider : facts.value().providers) {
      writer.StartObject();
      put(writer, "name", provider.name);
      put(writer, "endpoints", provider.endpoints);
      put(writer, "domains", provider.domains);
      put_flag(writer, "messages", provider.messages);
      put_flag(writer, "rma", provider.rma);
      put_flag(writer, "usable", provider.usable);
      writer.EndObject();
    }
    writer.EndArray();
  }
  writer.EndObject();
}

void write_transports(Writer& writer, const JobSettings& settings) {
  fabric::LaneOptions options;
  options.transports = settings.transports;
  options.bind_address = settings.bind_address;
  const Result<std::unique_ptr<fabric::Lane>> lane = fabric::Lane::open(options);
  put(writer, "transports", lane.ok() ? lane.value()->describe() : std::vector<std::string>());
  if (!lane.ok()) put(writer, "transportsError", lane.status().message());
}

void write_mpi(Writer& writer) {
  writer.Key("mpi");
  writer.StartObject();
  MpiPlan plan;
  const Status status = plan_mpi(plan);
  put(writer, "family", mpi_family_name(plan.choice.family));
  put(writer, "reason", plan.choice.reason);
  put(writer, "module", plan.module_path);
  put(writer, "modules", plan.modules);
  writer.Key("ranks");
  writer.Int64(plan.choice.expected_size);
  if (!status.ok()) put(writer, "error", status.message());
  writer.EndObject();
}

void write_slingshot(Writer& writer) {
  const int numa_node = fabric::own_numa_node();
  writer.Key("numaNode");
  writer.Int(numa_node);
  const std::vector<fabric::NetworkDevice> devices = fabric::devices_of_class("cxi", numa_node);
  const Result<fabric::SlingshotChoice> choice = fabric::choose_slingshot(fabric::slingshot_variables(), devices);
  writer.Key("slingshot");
  writer.StartObject();
  std::vector<std::string> names;
  for (const fabric::NetworkDevice& device : devices) names.push_back(device.name);
  put(writer, "devices", names);
  if (!choice.ok()) put(writer, "error", choice.status().message());
  if (choice.ok()) {
    put(writer, "device", choice.value().device);
    put(writer, "reason", choice.value().reason);
    writer.Key("vni");
    writer.Uint(choice.value().key.vni);
    writer.Key("serviceId");
    writer.Uint(choice.value().key.service_id);
    put_flag(writer, "reachesJob", choice.value().reaches_job);
    if (!choice.value().device.empty() && !choice.value().reaches_job) {
      put(writer, "advice", fabric::slingshot_advice());
    }
  }
  writer.EndObject();
}
}  // namespace

}  // namespace weft::library

using namespace weft::library;

extern "C" {

int weft_doctor(const weft_join_options* options, char** json) try {
  WEFT_CHECK_ARGUMENT(json);
  const weft::Result<JobSettings> settings = read_settings(options);
  if (!settings.ok()) return report(settings.status());
  rapidjson::StringBuffer buffer;
  Writer writer(buffer);
  writer.StartObject();
  put(writer, "compiler", kCompiler);
  write_libfabric(writer);
  write_transports(writer, settings.value());
  write_mpi(writer);
  write_slingshot(writer);
  writer.EndObject();
  *json = copy_text({buffer.GetString(), buffer.GetSize()});
  return *json == nullptr ? report(weft::Code::OUT_OF_MEMORY, "no memory for the report") : WEFT_OK;
}
WEFT_CATCH

}  // extern "C"
