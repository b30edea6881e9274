#include "library/echo.h"

#include <cstring>

#include "base/checksum.h"
#include "base/clock.h"

namespace weft::library {

namespace {
constexpr uint32_t kEchoPartitions = 2;
}

Result<std::shared_ptr<const client::TopicRecord>> EchoTopics::topic(const std::string& name) {
  WEFT_RETURN_IF_ERROR(wire::check_name("topic", name));
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return Status(Code::CLOSED, "the job was closed");
  }
  auto record = std::make_shared<client::TopicRecord>();
  record->name = name;
  record->info.partition_count = kEchoPartitions;
  const wire::ProducerId id = wire::producer_id_of_name(name);
  std::copy(std::begin(id.bytes), std::end(id.bytes), record->info.topic.begin());
  record->info.storage = wire::Storage::kMemory;
  record->info.durability = wire::Durability::kMemory;
  record->info.serializer = name.rfind("raw", 0) == 0 ? wire::Serializer::kRaw : wire::Serializer::kJson;
  record->slots.assign(kEchoPartitions, 0);
  record->json = join_text("{\"name\":\"", name, "\",\"partitions\":2,\"echo\":true}");
  return std::shared_ptr<const client::TopicRecord>(record);
}

std::function<Status(client::Batch&, client::BatchResult&)> EchoTopics::answer(
    std::shared_ptr<const client::TopicRecord> topic) {
  return [this, topic](client::Batch& batch, client::BatchResult& result) { return echo(topic->name, batch, result); };
}

void EchoTopics::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

void EchoTopics::add_consumer(const std::string& topic, std::shared_ptr<client::Consumer> consumer) {
  const std::lock_guard lock(mutex_);
  auto& listed = consumers_[topic];
  std::erase_if(listed, [](const auto& other) { return other.expired(); });
  listed.push_back(consumer);
}

Status EchoTopics::echo(const std::string& topic, client::Batch& batch, client::BatchResult& result) {
  batch.header.header_checksum = crc32c(&batch.header, offsetof(wire::BatchHeader, header_checksum));
  Result<wire::BatchView> view = wire::BatchView::parse(std::as_bytes(std::span(&batch.header, 1)), batch.body, true);
  if (!view.ok()) return view.status();
  const std::lock_guard lock(mutex_);
  if (closed_) return Status(Code::CLOSED, "the job was closed");
  uint64_t& next = next_offset_[{topic, batch.partition}];
  result.first_offset = next;
  result.partition_epoch = 1;
  next += view.value().count();
  for (const auto& listed : consumers_[topic]) {
    const std::shared_ptr<client::Consumer> consumer = listed.lock();
    if (!consumer) continue;
    const auto& partitions = consumer->options().partitions;
    if (std::find(partitions.begin(), partitions.end(), batch.partition) == partitions.end()) continue;
    Result<std::shared_ptr<client::Ring>> ring =
        client::Ring::create(consumer->client().lane(), wire::align_up(batch.body.size(), 4096));
    if (!ring.ok()) return ring.status();
    client::ConsumerFrame frame;
    frame.partition = batch.partition;
    frame.ring = ring.take();
    std::memcpy(frame.ring->memory(), batch.body.data(), batch.body.size());
    frame.header = batch.header;
    frame.body = {frame.ring->memory(), batch.body.size()};
    frame.first_offset = result.first_offset;
    frame.append_time_ns = Clock::system().realtime_ns();
    frame.visible_end = next;
    frame.partition_epoch = 1;
    consumer->add(std::move(frame), 0);
  }
  return {};
}

}  // namespace weft::library
