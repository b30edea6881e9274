// Who is let in, what bad messages get, topics and the control plane.
#include "broker_client.h"

namespace weft::broker::test {
namespace {

class Sessions : public testing::TestWithParam<const char*> {
 protected:
  TestServer server_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Broker, Sessions, testing::Values("inprocess", "tcp"));

wire::Refuse hello_is_refused(TestServer& server, const char* transport, const wire::Hello& hello, std::string* text) {
  RawClient client(transport);
  client.connect(server);
  client.say_hello(hello);
  const auto refuse = client.take<wire::Refuse>(wire::MessageType::kRefuse, 0, text);
  EXPECT_TRUE(client.wait([&] { return client.lost_; })) << "a refused peer must be disconnected";
  return refuse;
}

TEST_P(Sessions, GoodHandshakeIsWelcomed) {
  RawClient client(GetParam());
  client.join(server_);
  EXPECT_EQ(client.welcome_.slot, server_.options_.slot);
  EXPECT_EQ(server_.broker_->counters().sessions_now, 1u);
}

// What ends a server with its clients must not wait for the other slots.
TEST_P(Sessions, AnotherSlotIsASessionAndNoClient) {
  RawClient slot(GetParam());
  slot.hello_flags_ = wire::kHelloOfServer;
  slot.join(server_);
  EXPECT_EQ(server_.broker_->counters().sessions_now, 1u);
  EXPECT_EQ(server_.broker_->counters().clients_now, 0u);
  RawClient client(GetParam());
  client.join(server_);
  EXPECT_EQ(server_.broker_->counters().sessions_now, 2u);
  EXPECT_EQ(server_.broker_->counters().clients_now, 1u);
  for (RawClient* each : {&client, &slot}) {
    each->disconnect();
    const uint64_t left = each == &client ? 1 : 0;
    EXPECT_TRUE(TestServer::eventually([&] { return server_.broker_->counters().sessions_now == left; }));
    EXPECT_EQ(server_.broker_->counters().clients_now, 0u);
  }
  EXPECT_EQ(server_.broker_->counters().clients_opened, 1u);
}

TEST_P(Sessions, OtherJobSlotAndVersionAreRefusedByName) {
  RawClient any(GetParam());
  std::string text;
  wire::Hello hello = any.hello_for(server_.options_);
  hello.job = make_uuid(77);
  EXPECT_EQ(hello_is_refused(server_, GetParam(), hello, &text).code, static_cast<int>(Code::GROUP_OTHER_JOB));
  hello = any.hello_for(server_.options_);
  hello.slot = 5;
  EXPECT_EQ(hello_is_refused(server_, GetParam(), hello, &text).code, static_cast<int>(Code::GROUP_STALE));
  EXPECT_NE(text.find("slot 5"), std::string::npos) << text;
  hello = any.hello_for(server_.options_);
  hello.version_min = hello.version_max = 99;
  EXPECT_EQ(hello_is_refused(server_, GetParam(), hello, &text).code, static_cast<int>(Code::PROTOCOL_VERSION));
}

TEST_P(Sessions, WrongSecretIsRefused) {
  RawClient client(GetParam());
  client.connect(server_);
  const wire::Hello hello = client.hello_for(server_.options_);
  client.say_hello(hello);
  const auto challenge = client.take<wire::Challenge>(wire::MessageType::kChallenge);
  client.prove(make_secret(8), hello, challenge);
  EXPECT_EQ(client.take<wire::Refuse>(wire::MessageType::kRefuse).code, static_cast<int>(Code::SECRET_WRONG));
  EXPECT_EQ(server_.broker_->counters().sessions_opened, 0u);
}

TEST_P(Sessions, ClosedDoorIsBusy) {
  server_.broker_->admit(false);
  RawClient any(GetParam());
  std::string text;
  EXPECT_EQ(hello_is_refused(server_, GetParam(), any.hello_for(server_.options_), &text).code,
            static_cast<int>(Code::BUSY));
}

TEST_P(Sessions, GarbageAndRequestsBeforeTheProofEndOnlyThatSession) {
  RawClient good(GetParam());
  good.join(server_);
  for (const size_t length : {1u, 8u, 23u, 24u, 100u, 4000u}) {
    RawClient bad(GetParam());
    bad.connect(server_);
    bad.send_bytes(random_bytes(length, length));
    EXPECT_EQ(bad.take<wire::Refuse>(wire::MessageType::kRefuse).code, static_cast<int>(Code::INVALID_ARGUMENT));
    EXPECT_TRUE(bad.wait([&] { return bad.lost_; }));
  }
  RawClient early(GetParam());
  early.connect(server_);
  early.begin(wire::MessageType::kTopicLookup);
  early.writer_.put(wire::TopicLookup{});
  early.send();
  EXPECT_EQ(early.take<wire::Refuse>(wire::MessageType::kRefuse).code, static_cast<int>(Code::INVALID_ARGUMENT));
  EXPECT_EQ(server_.broker_->counters().messages_malformed, 7u);
  good.begin(wire::MessageType::kControl);
  good.writer_.put(wire::Control{});
  good.writer_.text("{}");
  good.send();
  std::string text;
  EXPECT_EQ(good.take<wire::ControlReply>(wire::MessageType::kControlReply, 0, &text).code, 0);
  EXPECT_EQ(text, "re: {}");
}

TEST_P(Sessions, WrongTokenEndsTheSession) {
  RawClient client(GetParam());
  client.join(server_);
  client.session_ ^= 1;
  client.begin(wire::MessageType::kTopicLookup);
  client.writer_.put(wire::TopicLookup{});
  client.send();
  EXPECT_EQ(client.take<wire::Refuse>(wire::MessageType::kRefuse).code, static_cast<int>(Code::INVALID_ARGUMENT));
  EXPECT_TRUE(TestServer::eventually([&] { return server_.broker_->counters().sessions_now == 0; }));
}

TEST_P(Sessions, TopicsAreFoundByName) {
  TopicEntry topic;
  topic.name = "field";
  topic.uuid = make_uuid(1);
  topic.slots = {0, 0, 3};
  topic.event_data_bytes_max = 123;
  topic.json = "{\"a\":1}";
  server_.broker_->put_topic(topic);
  RawClient client(GetParam());
  client.join(server_);
  const auto lookup = [&](const std::string& name) {
    const uint64_t request = client.begin(wire::MessageType::kTopicLookup);
    client.writer_.put(wire::TopicLookup{});
    client.writer_.text(name);
    client.send();
    return client.expect(wire::MessageType::kTopicInfo, request);
  };
  const Bytes answer = lookup("field");
  wire::MessageReader reader = wire::MessageReader::open(answer).take();
  const auto* info = reader.take<wire::TopicInfo>();
  ASSERT_EQ(info->code, 0);
  EXPECT_EQ(info->partition_count, 3u);
  const auto slots = reader.take_array<uint32_t>(4);
  EXPECT_EQ(slots[2], 3u);
  EXPECT_EQ(reader.rest_text(), "{\"a\":1}");
  for (const char* name : {"other", "", "../x"}) {
    const Bytes refused = lookup(name);
    wire::MessageReader other = wire::MessageReader::open(refused).take();
    EXPECT_NE(other.take<wire::TopicInfo>()->code, 0) << name;
  }
  std::string text;
  EXPECT_EQ(client.open_producer(make_uuid(1), 9, make_producer_id(1), 0, &text).code,
            static_cast<int>(Code::PARTITION_RANGE));
  EXPECT_EQ(client.open_producer(make_uuid(1), 2, make_producer_id(1), 0, &text).code,
            static_cast<int>(Code::PARTITION_UNAVAILABLE));
  EXPECT_NE(text.find("slot 3"), std::string::npos) << text;
}

TEST_P(Sessions, ControlRequestsAreBoundedAndAnsweredWithTheirCode) {
  RawClient client(GetParam());
  client.join(server_);
  const auto ask = [&](const std::string& json) {
    const uint64_t request = client.begin(wire::MessageType::kControl);
    client.writer_.put(wire::Control{});
    client.writer_.text(json);
    client.send();
    return request;
  };
  std::string text;
  EXPECT_EQ(client.take<wire::ControlReply>(wire::MessageType::kControlReply, ask("fail"), &text).code,
            static_cast<int>(Code::TOPIC_EXISTS));
  EXPECT_EQ(text, "re: fail");
  for (uint32_t i = 0; i < server_.options_.control_requests_max; ++i) ask("hold");
  EXPECT_EQ(client.take<wire::ControlReply>(wire::MessageType::kControlReply, ask("{}")).code,
            static_cast<int>(Code::BUSY));
  client.disconnect();
  ASSERT_TRUE(TestServer::eventually([&] { return server_.broker_->counters().sessions_now == 0; }));
  // The session is gone: its answers go nowhere, and disturb nobody.
  std::vector<uint64_t> held;
  {
    std::lock_guard lock(server_.mutex_);
    held = server_.held_;
  }
  for (const uint64_t token : held) server_.broker_->control_reply(token, Code::OK, "late");
}

TEST(Handshake, SilentPeersAreTurnedAwayInTime) {
  BrokerOptions options = TestServer::default_options();
  options.handshake_timeout_ms = 50;
  TestServer server("inprocess", options);
  RawClient client("inprocess");
  client.connect(server);
  EXPECT_EQ(client.take<wire::Refuse>(wire::MessageType::kRefuse).code, static_cast<int>(Code::TIMED_OUT));
  EXPECT_TRUE(client.wait([&] { return client.lost_; }));
}

TEST(Handshake, UnprovedPeersAreBounded) {
  BrokerOptions options = TestServer::default_options();
  options.unproved_peers_max = 2;
  TestServer server("inprocess", options);
  std::vector<std::unique_ptr<RawClient>> silent;
  for (int i = 0; i < 2; ++i) {
    silent.push_back(std::make_unique<RawClient>("inprocess"));
    silent.back()->connect(server);
  }
  ASSERT_TRUE(TestServer::eventually([&] { return server.broker_->counters().unproved_now == 2; }));
  silent.push_back(std::make_unique<RawClient>("inprocess"));
  silent.back()->begin_connect(server);
  EXPECT_TRUE(silent[2]->wait([&] { return silent[2]->lost_; }));
  EXPECT_EQ(server.broker_->counters().sessions_refused, 1u);
  EXPECT_FALSE(silent[0]->lost_);
}

// Whoever asks from outside is not held up by a progress thread that is.
TEST(Describe, WaitsForTheProgressThreadOnlySoLong) {
  TestServer server("inprocess");
  ASSERT_TRUE(server.open(memory_spec()).ok());
  std::atomic<bool> held{true};
  std::atomic<bool> reached{false};
  std::thread holder([&] {
    run_on(*server.lane_, [&] {
      reached = true;
      held.wait(true);
    });
  });
  ASSERT_TRUE(TestServer::eventually([&] { return reached.load(); }));
  const auto late = server.broker_->describe_partition(make_uuid(1), 0);
  held = false;
  held.notify_all();
  holder.join();
  EXPECT_EQ(late.status().code(), Code::TIMED_OUT);
  EXPECT_TRUE(server.broker_->describe_partition(make_uuid(1), 0).ok());
}

}  // namespace
}  // namespace weft::broker::test
