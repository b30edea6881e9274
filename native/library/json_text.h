// JSON text that this library writes (counters) and checks (metadata of JSON topics), through RapidJSON.
#pragma once

#include <string>
#include <string_view>

#include <vector>

#include "base/status.h"
#include "log/verify.h"
#include "weftline/weftline.h"

namespace weft::library {

struct ProbeResult;

std::string counters_json(const weft_job& job);
// WEFT_METADATA_INVALID with the topic, the position and the reason.
Status check_json(std::string_view topic, std::string_view text);
// The member partitionSelector of a topic's description; "" where there is none.
std::string partition_selector_of(std::string_view description);
// {"op":"topic.describe","name":…}
std::string topic_describe_request(std::string_view name);
// {"op":"topic.create","name":…,"config":…}; WEFT_CONFIG_INVALID when the config is not a JSON object.
Result<std::string> topic_create_request(std::string_view name, const char* config);
// {"partition":"quakes/0","events":…,"bytes":…,"ok":true} or with "damage".
std::string verification_json(const log::PartitionVerification& verification);
// {"transport":"tcp","latencyP50Us":…,…}; docs/doctor.md has the members.
std::string probe_json(const ProbeResult& result);

}  // namespace weft::library
