#include "library/json_text.h"

#include <rapidjson/document.h>
#include <rapidjson/error/en.h>
#include <rapidjson/reader.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cmath>

#include "library/job.h"
#include "library/probe.h"
#include "library/server.h"

namespace weft::library {

namespace {
using Writer = rapidjson::Writer<rapidjson::StringBuffer>;

void put(Writer& writer, const char* key, uint64_t value) {
  writer.Key(key);
  writer.Uint64(value);
}

void write_lane(Writer& writer, const fabric::LaneCounters& lane) {
  writer.Key("fabric");
  writer.StartObject();
  put(writer, "peersUp", lane.peers_up);
  put(writer, "peersLost", lane.peers_lost);
  put(writer, "quarantinedBytes", lane.quarantined_bytes);
  put(writer, "registrations", lane.registrations);
  put(writer, "wakeups", lane.wakeups);
  put(writer, "pauses", lane.pauses);
  put(writer, "doorbells", lane.doorbells);
  writer.Key("transports");
  writer.StartObject();
  for (const fabric::TransportCounters& transport : lane.transports) {
    writer.Key(transport.transport.c_str());
    writer.StartObject();
    put(writer, "messagesSent", transport.messages_sent);
    put(writer, "messagesReceived", transport.messages_received);
    put(writer, "messageBytesSent", transport.message_bytes_sent);
    put(writer, "messageBytesReceived", transport.message_bytes_received);
    put(writer, "reads", transport.reads);
    put(writer, "readBytes", transport.read_bytes);
    put(writer, "writes", transport.writes);
    put(writer, "writeBytes", transport.write_bytes);
    put(writer, "errors", transport.errors);
    writer.EndObject();
  }
  writer.EndObject();
  writer.EndObject();
}

void write_join(Writer& writer, const MpiPlace& place) {
  writer.Key("join");
  writer.StartObject();
  put(writer, "exchanges", place.exchanges);
  put(writer, "bytesGiven", place.exchanged_bytes_given);
  put(writer, "bytesGot", place.exchanged_bytes_got);
  writer.EndObject();
}

void write_client(Writer& writer, const client::ClientCounters& client) {
  writer.Key("client");
  writer.StartObject();
  put(writer, "batchesSent", client.batches_sent);
  put(writer, "batchesResent", client.batches_resent);
  put(writer, "batchesAcknowledged", client.batches_acknowledged);
  put(writer, "batchesFailed", client.batches_failed);
  put(writer, "busyAnswers", client.busy_answers);
  put(writer, "framesReceived", client.frames_received);
  put(writer, "fetches", client.fetches);
  put(writer, "commits", client.commits);
  put(writer, "reconnects", client.reconnects);
  put(writer, "messagesMalformed", client.messages_malformed);
  put(writer, "memoryQuarantinedBytes", client.memory_quarantined_bytes);
  writer.EndObject();
}

void write_broker(Writer& writer, const broker::BrokerCounters& broker) {
  writer.Key("server");
  writer.StartObject();
  put(writer, "sessions", broker.sessions_now);
  put(writer, "sessionsOpened", broker.sessions_opened);
  put(writer, "clients", broker.clients_now);
  put(writer, "clientsOpened", broker.clients_opened);
  put(writer, "sessionsRefused", broker.sessions_refused);
  put(writer, "peersLost", broker.peers_lost);
  put(writer, "messagesMalformed", broker.messages_malformed);
  put(writer, "producers", broker.producers_now);
  put(writer, "consumers", broker.consumers_now);
  put(writer, "partitions", broker.partitions_now);
  put(writer, "batchesReceived", broker.batches_received);
  put(writer, "batchesStored", broker.batches_stored);
  put(writer, "batchesRepeated", broker.batches_repeated);
  put(writer, "batchesRefused", broker.batches_refused);
  put(writer, "eventsStored", broker.events_stored);
  put(writer, "busyAnswers", broker.busy_answers);
  put(writer, "bodyBytesInline", broker.body_bytes_inline);
  put(writer, "bodyBytesPulled", broker.body_bytes_pulled);
  put(writer, "dataBytesInline", broker.data_bytes_inline);
  put(writer, "dataBytesPulled", broker.data_bytes_pulled);
  put(writer, "framesSent", broker.frames_sent);
  put(writer, "frameBytesInline", broker.frame_bytes_inline);
  put(writer, "frameBytesWritten", broker.frame_bytes_written);
  put(writer, "eventsSent", broker.events_sent);
  put(writer, "dataRequests", broker.data_requests);
  put(writer, "dataBytesSent", broker.data_bytes_sent);
  put(writer, "dataBytesRead", broker.data_bytes_read);
  put(writer, "dataBytesDirect", broker.data_bytes_direct);
  put(writer, "bytesCopied", broker.bytes_copied);
  put(writer, "syncs", broker.syncs);
  put(writer, "syncBatches", broker.sync_batches);
  put(writer, "syncBatchesMax", broker.sync_batches_max);
  put(writer, "commits", broker.commits);
  put(writer, "batchesInFlight", broker.batches_in_flight_now);
  put(writer, "writerQueue", broker.writer_queue_now);
  put(writer, "readerQueue", broker.reader_queue_now);
  put(writer, "slabs", broker.slabs_total);
  put(writer, "slabsInUse", broker.slabs_in_use_now);
  put(writer, "slabWaits", broker.slab_waits);
  put(writer, "transfersFailed", broker.transfers_failed);
  writer.EndObject();
}
}  // namespace

std::string counters_json(const weft_job& job) {
  rapidjson::StringBuffer buffer;
  Writer writer(buffer);
  writer.StartObject();
  if (job.place.exchanges != 0) write_join(writer, job.place);
  if (job.lane) write_lane(writer, job.lane->counters());
  if (job.client) write_client(writer, job.client->counters());
  if (job.server != nullptr) write_broker(writer, job.server->broker->counters());
  writer.EndObject();
  return {buffer.GetString(), buffer.GetSize()};
}

Status check_json(std::string_view topic, std::string_view text) {
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::BaseReaderHandler<> nothing;
  rapidjson::Reader reader;
  const rapidjson::ParseResult parsed =
      reader.Parse<rapidjson::kParseValidateEncodingFlag | rapidjson::kParseIterativeFlag>(stream, nothing);
  if (!parsed.IsError()) return {};
  return Status(Code::METADATA_INVALID,
                join_text("the metadata of an event of topic '", topic, "' is not JSON: ",
                          rapidjson::GetParseError_En(parsed.Code()), " At byte ", parsed.Offset(), " of ", text.size(),
                          ": '", text.substr(0, 60), "'; correct it, or create the topic with the serializer raw"));
}

std::string partition_selector_of(std::string_view description) {
  rapidjson::Document parsed;
  parsed.Parse(description.data(), description.size());
  if (parsed.HasParseError() || !parsed.IsObject()) return {};
  const auto member = parsed.FindMember("partitionSelector");
  if (member == parsed.MemberEnd() || !member->value.IsString()) return {};
  return {member->value.GetString(), member->value.GetStringLength()};
}

std::string topic_describe_request(std::string_view name) {
  rapidjson::StringBuffer buffer;
  Writer writer(buffer);
  writer.StartObject();
  writer.Key("op");
  writer.String("topic.describe");
  writer.Key("name");
  writer.String(name.data(), static_cast<rapidjson::SizeType>(name.size()));
  writer.EndObject();
  return {buffer.GetString(), buffer.GetSize()};
}

Result<std::string> topic_create_request(std::string_view name, const char* config) {
  rapidjson::Document parsed;
  parsed.Parse(config == nullptr ? "{}" : config);
  if (parsed.HasParseError() || !parsed.IsObject()) {
    return Status(Code::CONFIG_INVALID,
                  join_text("the configuration of topic '", name, "' is not a JSON object: '", config, "'"));
  }
  rapidjson::StringBuffer buffer;
  Writer writer(buffer);
  writer.StartObject();
  writer.Key("op");
  writer.String("topic.create");
  writer.Key("name");
  writer.String(name.data(), static_cast<rapidjson::SizeType>(name.size()));
  writer.Key("config");
  parsed.Accept(writer);
  writer.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize());
}

std::string verification_json(const log::PartitionVerification& verification) {
  rapidjson::StringBuffer buffer;
  Writer writer(buffer);
  writer.StartObject();
  writer.Key("partition");
  writer.String(join_text(verification.topic, "/", verification.partition).c_str());
  writer.Key("directory");
  writer.String(verification.directory.c_str());
  put(writer, "events", verification.events);
  put(writer, "batches", verification.batches);
  put(writer, "bytes", verification.metadata_bytes + verification.data_bytes);
  put(writer, "metadataBytes", verification.metadata_bytes);
  put(writer, "dataBytes", verification.data_bytes);
  put(writer, "firstOffset", verification.first_offset);
  put(writer, "endOffset", verification.end_offset);
  put(writer, "unfinishedBytes", verification.unfinished_bytes);
  writer.Key("ok");
  writer.Bool(verification.ok);
  if (verification.first_damage.has_value()) {
    const log::Damage& damage = *verification.first_damage;
    put(writer, "damageCount", verification.damage_count);
    writer.Key("damage");
    writer.String(join_text(damage.file, " at ", damage.position, ": ", damage.reason).c_str());
  }
  writer.EndObject();
  return {buffer.GetString(), buffer.GetSize()};
}

std::string probe_json(const ProbeResult& result) {
  rapidjson::StringBuffer buffer;
  Writer writer(buffer);
  writer.StartObject();
  const auto put_us = [&writer](const char* key, double ns) {
    writer.Key(key);
    writer.Double(std::round(ns / 10) / 100);
  };
  writer.Key("transport");
  writer.String(result.transport.c_str());
  put_us("connectUs", static_cast<double>(result.connect_ns));
  put_us("latencyP50Us", static_cast<double>(result.half_round_trip_p50_ns));
  put_us("latencyP99Us", static_cast<double>(result.half_round_trip_p99_ns));
  writer.Key("readBytesPerSecond");
  writer.Double(std::round(result.read_bytes_per_second));
  writer.Key("writeBytesPerSecond");
  writer.Double(std::round(result.write_bytes_per_second));
  put(writer, "bytesChecked", result.bytes_checked);
  put_us("clockOffsetUs", static_cast<double>(result.clock_offset_ns));
  put_us("clockErrorUs", static_cast<double>(result.clock_error_ns));
  writer.EndObject();
  return {buffer.GetString(), buffer.GetSize()};
}

}  // namespace weft::library
