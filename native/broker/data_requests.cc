// The data broker: selected bytes of stored events, written into the consumer's memory by RMA.
//
// A request is walked once, in order, slab by slab, so that results of any size need little memory: gather a slab of
// selected bytes (disk: on a reader, reading only the 64 KiB blocks that hold them; memory storage: on the progress
// thread, a bounded amount per turn), write its pieces, go on while the writes are under way. Long runs of memory
// partitions are sent from where they lie. The reply follows when every write is complete.
#include <algorithm>

#include "broker/broker_impl.h"

namespace weft::broker {

namespace {
constexpr uint64_t kNoBlock = ~uint64_t{0};

uint64_t slab_space(const Fill& fill) { return kSlabBytes - fill.used; }

// Part of the stored data into `into`; whole blocks are read where they are wanted whole, others are kept for the next
// run that needs them.
Status read_source(DataOp& request, uint64_t at, std::span<std::byte> into) {
  const log::PartitionLog& log = *request.partition->log;
  const uint64_t extent = request.batch.extent.length;
  while (!into.empty()) {
    if (at % log::kDataBlockBytes == 0 && into.size() >= log::kDataBlockBytes) {
      const uint64_t whole = into.size() / log::kDataBlockBytes * log::kDataBlockBytes;
      WEFT_RETURN_IF_ERROR(log.read_data(request.batch, at, into.first(whole)));
      request.bytes_read += whole;
      at += whole;
      into = into.subspan(whole);
      continue;
    }
    const uint64_t block = at / log::kDataBlockBytes;
    const uint64_t block_at = block * log::kDataBlockBytes;
    const size_t place = block % kCachedBlocks;
    std::byte* cached = request.blocks.get() + place * log::kDataBlockBytes;
    if (request.block_numbers[place] != block) {
      const uint64_t length = std::min(log::kDataBlockBytes, extent - block_at);
      request.block_numbers[place] = kNoBlock;
      WEFT_RETURN_IF_ERROR(log.read_data(request.batch, block_at, {cached, length}));
      request.block_numbers[place] = block;
      request.bytes_read += length;
    }
    const uint64_t piece = std::min<uint64_t>(into.size(), log::kDataBlockBytes - (at - block_at));
    std::memcpy(into.data(), cached + (at - block_at), piece);
    at += piece;
    into = into.subspan(piece);
  }
  return {};
}

Status load_batch(DataOp& request, uint64_t offset) {
  const uint64_t first = request.batch.first_offset;
  if (request.batch_loaded && offset >= first && offset - first < request.batch.header.event_count) return {};
  request.batch_loaded = false;
  WEFT_RETURN_IF_ERROR(request.partition->log->read_batch(offset, request.batch));
  const auto view =
      wire::BatchView::parse(std::as_bytes(std::span(&request.batch.header, 1)), request.batch.body, false);
  if (!view.ok()) return view.status();
  request.view = view.value();
  request.batch_loaded = true;
  request.event = 0;
  request.event_position = 0;
  std::fill(request.block_numbers.begin(), request.block_numbers.end(), kNoBlock);
  return {};
}

// Opens the next selection: finds its event and checks that the selection lies in the event's data.
Status open_selection(DataOp& request) {
  WEFT_RETURN_IF_ERROR(wire::take_selection(request.reader, request.selection));
  const wire::Selection& selection = *request.selection.selection;
  if (selection.offset >= request.visible_end) {
    return Status(Code::INVALID_ARGUMENT, join_text("offset ", selection.offset, " of ", request.partition->label,
                                                    " is not visible, the end is ", request.visible_end,
                                                    "; ask for events that were received"));
  }
  WEFT_RETURN_IF_ERROR(load_batch(request, selection.offset));
  const auto event = static_cast<uint32_t>(selection.offset - request.batch.first_offset);
  if (event < request.event) {
    request.event = 0;
    request.event_position = 0;
  }
  // Positions are sums over the events before: gone on with from the last selection's event.
  while (request.event < event) {
    request.event_position =
        wire::align_up(request.event_position + request.view.data_length(request.event), wire::kDataAlignmentBytes);
    ++request.event;
  }
  const uint64_t length = request.view.data_length(event);
  if (request.selection.end > length) {
    return Status(
        Code::SELECTION_OUTSIDE,
        join_text("the event at offset ", selection.offset, " of ", request.partition->label, " has ", length,
                  " bytes of data, the selection reaches up to ", request.selection.end, "; select within the data"));
  }
  request.walk.begin(&request.selection);
  request.selection_open = true;
  return {};
}

// Gathers into the fill until it is full, `bytes_max` are in, or the request is through.
Status gather(DataOp& request, Fill& fill, uint64_t bytes_max) {
  const bool in_memory = request.partition->in_memory();
  while (true) {
    if (!request.selection_open) {
      if (request.selection_index == request.selection_count) {
        request.walked = true;
        return {};
      }
      WEFT_RETURN_IF_ERROR(open_selection(request));
    }
    const uint64_t destination_at = request.selection.selection->destination_at + request.walk.bytes_given();
    const bool joins =
        !fill.pieces.empty() && fill.pieces.back().destination_at + fill.pieces.back().length == destination_at;
    const uint64_t space =
        std::min(fill.slab == nullptr ? 0 : slab_space(fill), bytes_max - std::min(bytes_max, fill.used));
    const GatherWalk::Piece ahead = in_memory ? request.walk.peek(kDirectBytesMin) : GatherWalk::Piece{0, 0};
    if (ahead.length == kDirectBytesMin) {
      if (fill.used > 0) return {};  // sent first; the direct piece is a fill of its own
      const GatherWalk::Piece piece = request.walk.next(kSlabBytes);
      fill.direct = request.partition->log->data_memory(request.batch) + request.event_position + piece.at;
      fill.direct_length = piece.length;
      fill.direct_destination_at = destination_at;
      request.bytes_read += piece.length;
      return {};
    }
    if (request.selection.bytes == request.walk.bytes_given()) {
      request.selection_open = false;
      ++request.selection_index;
      continue;
    }
    if (space == 0 || (!joins && fill.pieces.size() == kPiecesPerFillMax)) return {};
    const GatherWalk::Piece piece = request.walk.next(space);
    WEFT_ASSERT(piece.length > 0);
    const uint64_t source = request.event_position + piece.at;
    if (in_memory) {
      std::memcpy(fill.slab + fill.used, request.partition->log->data_memory(request.batch) + source, piece.length);
      request.bytes_read += piece.length;
    } else {
      WEFT_RETURN_IF_ERROR(read_source(request, source, {fill.slab + fill.used, piece.length}));
    }
    if (joins) {
      fill.pieces.back().length += piece.length;
    } else {
      fill.pieces.push_back({fill.used, piece.length, destination_at});
    }
    fill.used += piece.length;
  }
}

void run_gather(DataOp& request, Fill& fill, uint64_t bytes_max) {
  Status status = gather(request, fill, bytes_max);
  if (status.ok()) return;
  request.status = std::move(status);
  request.failed_selection = request.selection_index;
  request.walked = true;
}

// What can be known without the log, and the parts of the request. `malformed`: of the message, not of what it asks
// for.
Status read_parts(wire::MessageReader& reader, const wire::DataRequest& message, wire::SelectionView& view,
                  std::vector<DataPart>& parts, std::vector<uint32_t>& handles, uint32_t* failed, bool* malformed) {
  uint64_t last = 0;
  *malformed = true;
  parts.clear();
  handles.clear();
  for (uint32_t i = 0; i < message.selection_count; ++i) {
    *failed = i;
    const std::byte* const start = reader.rest().data();
    WEFT_RETURN_IF_ERROR(wire::take_selection(reader, view));
    const uint32_t handle = message.handle != 0 ? message.handle : view.selection->handle;
    const bool begins = handles.empty() || handles.back() != handle;
    if (begins) {
      if (parts.size() == kDataRequestsPerSessionMax)
        return Status(Code::INVALID_ARGUMENT, "a data request changes its consumer more than 64 times");
      parts.push_back({nullptr, {start, size_t{0}}, i, 0, view.selection->offset, nullptr});
      handles.push_back(handle);
    } else if (view.selection->offset < last) {
      return Status(Code::INVALID_ARGUMENT, "the selections of a data request are not in growing order of offset");
    }
    DataPart& part = parts.back();
    part.selections = {part.selections.data(), reader.rest().data()};
    ++part.selection_count;
    last = view.selection->offset;
    if (!holds(message.destination, view.selection->destination_at, view.bytes)) {
      *malformed = false;
      return Status(Code::INVALID_ARGUMENT,
                    join_text("selection ", i, " takes ", view.bytes, " bytes at ", view.selection->destination_at,
                              ", the destination has ", message.destination.length, "; give a larger one"));
    }
  }
  if (parts.empty()) {
    parts.push_back({nullptr, {}, 0, 0, 0, nullptr});
    handles.push_back(message.handle);
  }
  return {};
}
}  // namespace

void BrokerImpl::refuse_data(Session* session, uint64_t request_id, const Status& why, uint32_t selection) {
  if (why.code() == Code::BUSY) counters_.busy_answers += 1;
  writer_.begin(wire::MessageType::kDataReply, session->token, request_id);
  writer_.put(wire::DataReply{static_cast<int32_t>(why.code()), selection, 0, 0});
  reply_text(session, why.message());
}

// Whether the consumer of a part can be served now.
Status BrokerImpl::check_part(Session* session, const DataPart& part, uint32_t handle) {
  const Consumer* consumer = part.consumer;
  if (consumer == nullptr) {
    return Status(Code::WRONG_HANDLE, join_text("slot ", options_.slot, " knows no consumer of handle ", handle,
                                                " of this client; open it again"));
  }
  if (consumer->partition == nullptr || consumer->partition->closing) {
    return Status(Code::PARTITION_UNAVAILABLE, "the partition of this consumer was closed; open it again");
  }
  if (consumer->data_requests >= kDataRequestsPerConsumerMax) {
    return Status(Code::BUSY, join_text(consumer->partition->label, " still answers ", consumer->data_requests,
                                        " data requests of this consumer, the limit; wait for an answer"));
  }
  if (session->data_requests + data_parts_.size() > kDataRequestsPerSessionMax) {
    return Status(Code::BUSY, join_text("slot ", options_.slot, " still answers ", session->data_requests,
                                        " data requests of this client, the limit; wait for an answer"));
  }
  return {};
}

void BrokerImpl::on_data_request(Session* session, wire::MessageReader& reader) {
  const auto* message = reader.take<wire::DataRequest>();
  if (message == nullptr) return malformed(session, "DATA_REQUEST is too short");
  if (message->selection_count > wire::kSelectionsMax)
    return malformed(session, "DATA_REQUEST has over 1024 selections");
  counters_.data_requests += 1;
  const uint64_t request_id = reader.header().request_id;
  uint32_t failed = 0;
  bool is_malformed = false;
  Status status = read_parts(reader, *message, selection_, data_parts_, data_handles_, &failed, &is_malformed);
  if (!status.ok() && is_malformed) return malformed(session, status.message());
  for (size_t i = 0; i < data_parts_.size(); ++i) {
    data_parts_[i].consumer = consumer_of(session, data_handles_[i]);
    const Status here = check_part(session, data_parts_[i], data_handles_[i]);
    if (here.ok()) continue;
    failed = data_parts_[i].selection_first;
    status = here;
    break;
  }
  if (!status.ok()) return refuse_data(session, request_id, status, failed);
  DataJoin* join = nullptr;
  if (data_parts_.size() > 1) {
    join = joins_.take();
    *join = DataJoin{};
    join->left = static_cast<uint32_t>(data_parts_.size());
  }
  // All of them first: the end of one may be the end of the session.
  for (DataPart& part : data_parts_) part.op = begin_data(session, request_id, *message, part, join);
  for (const DataPart& part : data_parts_) advance_request(part.op);
}

DataOp* BrokerImpl::begin_data(Session* session, uint64_t request_id, const wire::DataRequest& message,
                               const DataPart& part, DataJoin* join) {
  Consumer* consumer = part.consumer;
  DataOp* request = requests_.take();
  request->session = session;
  reference(session);
  request->consumer = consumer;
  ++consumer->operations;
  ++consumer->data_requests;
  ++session->data_requests;
  request->partition = consumer->partition;
  ++request->partition->operations;
  request->first_offset = part.first_offset;
  request->partition->data_requests.push_back(request);
  request->request_id = request_id;
  request->destination = message.destination;
  request->visible_end = request->partition->visible_end;
  wire::MessageHeader header{};
  header.type = wire::MessageType::kDataRequest;
  header.length = static_cast<uint32_t>(sizeof header + part.selections.size());
  request->message.resize(header.length);
  std::memcpy(request->message.data(), &header, sizeof header);
  if (!part.selections.empty())
    std::memcpy(request->message.data() + sizeof header, part.selections.data(), part.selections.size());
  request->selection_count = part.selection_count;
  request->selection_first = part.selection_first;
  request->join = join;
  request->reader = wire::MessageReader::open(request->message).take();
  request->reading = false;
  request->selection_index = 0;
  request->selection_open = false;
  request->batch_loaded = false;
  request->bytes_read = 0;
  request->walked = false;
  request->status = Status();
  // Also what its last user left: of several writes that failed at once only the first one's outcome was taken.
  request->write_failed = false;
  request->transfer_failed = false;
  request->transfer_status = Status();
  request->current = nullptr;
  request->failed_selection = 0;
  request->bytes_sent = 0;
  request->fills = 0;
  request->waits_for_slab = false;
  request->turn_listed = false;
  return request;
}

void BrokerImpl::advance_request(DataOp* request) {
  if (request->reading || request->waits_for_slab || request->turn_listed) return;
  if (!request->status.ok() || request->session->gone) request->walked = true;
  if (request->walked) {
    if (request->fills == 0) finish_request(request);
    return;
  }
  if (request->fills >= kFillsPerRequestMax) return;
  begin_fill(request);
}

void BrokerImpl::begin_fill(DataOp* request) {
  Session* session = request->session;
  const uint32_t share = std::max(2u, egress_->total() / 8);
  std::byte* slab = session->egress_slabs < share ? egress_->take() : nullptr;
  if (slab == nullptr) {
    counters_.slab_waits += 1;
    request->waits_for_slab = true;
    slab_requests_.push_back(request);
    return;
  }
  ++session->egress_slabs;
  Fill* fill = fills_.take();
  fill->request = request;
  fill->slab = slab;
  fill->used = 0;
  fill->pieces.clear();
  fill->direct = nullptr;
  fill->direct_length = 0;
  fill->transfers = 0;
  fill->failed = false;
  ++request->fills;
  if (request->partition->in_memory()) {
    run_gather(*request, *fill, kFillBytesPerTurn);
    send_fill(fill);
    return;
  }
  if (request->blocks == nullptr) {
    // Only now: those that wait for a slab need none, and many may wait.
    request->blocks = std::make_unique_for_overwrite<std::byte[]>(kCachedBlocks * log::kDataBlockBytes);
    request->block_numbers.assign(kCachedBlocks, kNoBlock);
  }
  request->reading = true;
  request->current = fill;
  request->fill_job = Job{&BrokerImpl::run_fill, &BrokerImpl::fill_done, request, this};
  counters_.reader_queue_now += 1;
  readers_->push(&request->fill_job);
}

bool BrokerImpl::run_fill(Job* job) {
  auto* request = static_cast<DataOp*>(job->owner);
  run_gather(*request, *request->current, kSlabBytes);
  return true;
}

void BrokerImpl::fill_done(Job* job) {
  auto* request = static_cast<DataOp*>(job->owner);
  auto* broker = static_cast<BrokerImpl*>(job->context);
  broker->counters_.reader_queue_now -= 1;
  request->reading = false;
  Fill* fill = request->current;
  request->current = nullptr;
  broker->send_fill(fill);
}

void BrokerImpl::send_fill(Fill* fill) {
  DataOp* request = fill->request;
  Session* session = request->session;
  const bool direct = fill->direct != nullptr;
  const fabric::Region* region = direct ? request->partition->area->usable_region() : egress_->region();
  if (region == nullptr && request->status.ok()) {
    request->status =
        Status(Code::OUT_OF_MEMORY, "memory of the server could not be registered again; ask again later");
  }
  fill->generation = egress_->generation();
  const bool wanted = request->status.ok() && !session->gone;
  const size_t count = !wanted ? 0 : direct ? 1 : fill->pieces.size();
  fill->transfers = static_cast<uint32_t>(count) + 1;  // one for this function
  for (size_t i = 0; i < count; ++i) {
    Move* move = take_move(fill, &BrokerImpl::on_fill_written);
    move->transfer.peer = session->peer;
    move->transfer.region = region;
    move->transfer.remote = remote_memory(request->destination);
    if (direct) {
      // The lane only reads it.
      move->transfer.local = const_cast<std::byte*>(fill->direct);
      move->transfer.length = fill->direct_length;
      move->transfer.remote_at = fill->direct_destination_at;
      counters_.data_bytes_direct += fill->direct_length;
    } else {
      const Fill::Piece& piece = fill->pieces[i];
      move->transfer.local = fill->slab + piece.slab_at;
      move->transfer.length = piece.length;
      move->transfer.remote_at = piece.destination_at;
      counters_.bytes_copied += piece.length;
    }
    request->bytes_sent += move->transfer.length;
    lane_.write(&move->transfer);
  }
  if (--fill->transfers == 0) return fill_finished(fill);
  if (request->partition->in_memory()) {
    // Others first, then the next part.
    if (!request->walked && !request->turn_listed && request->fills < kFillsPerRequestMax) {
      request->turn_listed = true;
      turn_requests_.push_back(request);
      want_turn();
    }
    return;
  }
  advance_request(request);
}

void BrokerImpl::on_fill_written(fabric::Transfer* transfer, const Status& status) {
  BrokerImpl* broker = self(transfer);
  auto* move = reinterpret_cast<Move*>(transfer);
  auto* fill = static_cast<Fill*>(move->context);
  broker->give_move(move);
  DataOp* request = fill->request;
  if (!status.ok()) {
    broker->counters_.transfers_failed += 1;
    fill->failed = true;
    request->transfer_failed = request->transfer_failed || status.code() == Code::TIMED_OUT;
    request->transfer_status = status;
  }
  if (--fill->transfers == 0) broker->fill_finished(fill);
}

void BrokerImpl::fill_finished(Fill* fill) {
  DataOp* request = fill->request;
  --request->session->egress_slabs;
  if (fill->failed && fill->direct == nullptr) {
    egress_->quarantine(fill->slab, fill->generation, [this] { egress_slab_freed(); });
  } else {
    egress_->give(fill->slab);
  }
  // The reader may be at work for this request: its status is not ours then.
  if (fill->failed) request->write_failed = true;
  fill->slab = nullptr;
  fills_.give(fill);
  --request->fills;
  if (request->write_failed && !request->reading && request->status.ok()) {
    request->write_failed = false;
    request->status = request->transfer_status.with_context(
        join_text("writing selected data of ", request->partition->label, " into the consumer's memory"));
  }
  advance_request(request);
  egress_slab_freed();
}

// Of a request of several consumers the last part's end is the answer: no write into the destination follows.
void BrokerImpl::answer_data(DataOp* request) {
  Session* session = request->session;
  wire::DataReply reply{static_cast<int32_t>(request->status.code()),
                        request->selection_first + request->failed_selection, request->bytes_sent, request->bytes_read};
  Status status = std::move(request->status);
  if (DataJoin* join = std::exchange(request->join, nullptr); join != nullptr) {
    join->bytes_sent += reply.bytes_sent;
    join->bytes_read += reply.bytes_read;
    if (!status.ok() && join->status.ok()) {
      join->status = std::move(status);
      join->failed_selection = reply.failed_selection;
    }
    if (--join->left > 0) return;
    reply = {static_cast<int32_t>(join->status.code()), join->failed_selection, join->bytes_sent, join->bytes_read};
    status = std::move(join->status);
    joins_.give(join);
  }
  writer_.begin(wire::MessageType::kDataReply, session->token, request->request_id);
  writer_.put(reply);
  reply_text(session, status.message());
}

void BrokerImpl::finish_request(DataOp* request) {
  Session* session = request->session;
  Consumer* consumer = request->consumer;
  Partition* partition = request->partition;
  counters_.data_bytes_sent += request->bytes_sent;
  counters_.data_bytes_read += request->bytes_read;
  if (request->transfer_failed && !session->gone && session->phase == Phase::kProved) {
    // The write may still arrive: the client must not use that memory until it knows that this server let go of it.
    log(LogLevel::kWarning, join_text("ended the session of ", session_label(session), ": ", request->status.text()));
    end_session(session);
  }
  answer_data(request);
  std::erase(partition->data_requests, request);
  --consumer->data_requests;
  --session->data_requests;
  request->blocks.reset();
  drop_large(request->batch.body);
  requests_.give(request);
  consumer_operation_done(consumer);
  unreference(session);
  operation_done(partition);
}

}  // namespace weft::broker
