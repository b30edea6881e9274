// The door of a job: group directories that are stale, unreadable, damaged or another job's; the secret; the protocol
// version; data directories that cannot be used; garbage at the port. Each gets its code and hurts nobody else.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <random>

#include "fault_support.h"

namespace {

using weft_test::ChildProcess;
using weft_test::Client;
using weft_test::client_command;
using weft_test::counter;
using weft_test::read_file;
using weft_test::Server;
using weft_test::ServerChild;
using weft_test::TemporaryFolder;
using weft_test::until;

constexpr int64_t kTimeoutMs = 30'000;

// The code of an attempt to attach; it must say something, and quickly.
int attach_code(const std::string& group, int64_t timeout_ms = 5000) {
  weft_join_options options = WEFT_JOIN_OPTIONS_DEFAULT;
  options.timeout_ms = timeout_ms;
  weft_job* job = nullptr;
  const auto began = weft_test::Clock::now();
  const int code = weft_attach(group.c_str(), &options, &job);
  EXPECT_LT(weft_test::Clock::now() - began, weft_test::milliseconds(timeout_ms + 8000));
  EXPECT_EQ(job == nullptr, code != WEFT_OK);
  if (code != WEFT_OK) {
    EXPECT_GT(std::string(weft_error_text(nullptr)).size(), 20u);
  }
  weft_close(job);
  return code;
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

// A record of the group directory with one value changed and its checksum made right again.
void edit_record(const std::string& path, const std::string& key, const std::string& value) {
  const std::string text = read_file(path);
  std::string body = text.substr(0, text.rfind("crc32c "));
  const size_t at = body.find("\n" + key + " ") + 1;
  ASSERT_NE(at, std::string::npos + 1) << key << " is not in " << text;
  body.replace(at, body.find('\n', at) - at, key + " " + value);
  char line[32];
  std::snprintf(line, sizeof line, "crc32c %08x\n", weft_crc32c(body.data(), body.size(), 0));
  write_file(path, body + line);
}

std::string value_of(const std::string& path, const std::string& key) {
  const std::string text = read_file(path);
  const size_t at = text.find("\n" + key + " ") + key.size() + 2;
  return text.substr(at, text.find('\n', at) - at);
}

class Group : public ::testing::Test {
 protected:
  Group() : server_(folder_.path() + "/data", {{"t"}}), group_(server_.group()) {}
  // Others attach, and what is attached goes on.
  void expect_others_unhurt() {
    Client client(group_);
    weft_producer* producer = client.producer("t");
    EXPECT_WEFT_OK(weft_push(producer, "1", 1, nullptr, 0, 0, nullptr));
    EXPECT_WEFT_OK(weft_flush(producer, kTimeoutMs));
  }

  TemporaryFolder folder_;
  Server server_;
  std::string group_;
};

TEST_F(Group, DamagedFilesAreUnreadable) {
  const std::string copy = folder_.path() + "/copy";
  for (const char* name : {"job", "slot-0"}) {
    SCOPED_TRACE(name);
    const std::string text = read_file(group_ + "/" + name);
    const auto with = [&](const std::string& changed) {
      std::filesystem::remove_all(copy);
      std::filesystem::copy(group_, copy);
      write_file(copy + "/" + name, changed);
      return attach_code(copy);
    };
    EXPECT_EQ(with(""), WEFT_GROUP_UNREADABLE);
    EXPECT_EQ(with(text.substr(0, text.size() / 2)), WEFT_GROUP_UNREADABLE);
    std::string flipped = text;
    flipped[text.size() / 2] = static_cast<char>(flipped[text.size() / 2] ^ 1);
    EXPECT_EQ(with(flipped), WEFT_GROUP_UNREADABLE);
    EXPECT_EQ(with(text + text), WEFT_GROUP_UNREADABLE);
    EXPECT_EQ(with(std::string(100'000, 'x')), WEFT_GROUP_UNREADABLE);
  }
  std::filesystem::permissions(group_ + "/job", std::filesystem::perms(0644));
  EXPECT_EQ(attach_code(group_), WEFT_GROUP_UNREADABLE);
  std::filesystem::permissions(group_ + "/job", std::filesystem::perms(0600));
  expect_others_unhurt();
}

TEST_F(Group, OfManySlotsThoseThatAreThereAreEnough) {
  const std::string copy = folder_.path() + "/copy";
  std::filesystem::copy(group_, copy);
  edit_record(copy + "/job", "slots", "1000");
  EXPECT_EQ(attach_code(copy), WEFT_OK) << weft_error_text(nullptr);
  weft_join_options options = WEFT_JOIN_OPTIONS_DEFAULT;
  options.slots_expected = 1;
  weft_job* job = nullptr;
  const auto began = weft_test::Clock::now();
  EXPECT_WEFT_OK(weft_attach(copy.c_str(), &options, &job));
  EXPECT_LT(weft_test::Clock::now() - began, weft_test::milliseconds(options.timeout_ms / 2))
      << "the others are not waited for";
  weft_close(job);
  options.slots_expected = 2;
  options.timeout_ms = 2000;
  EXPECT_NE(weft_attach(copy.c_str(), &options, &job), WEFT_OK);
  expect_others_unhurt();
}

TEST_F(Group, OfAnotherUserIsUnreadable) {
  if (geteuid() != 0) GTEST_SKIP() << "becoming another user needs root";
  std::filesystem::permissions(folder_.path(), std::filesystem::perms(0755));
  std::filesystem::permissions(folder_.path() + "/data", std::filesystem::perms(0755));
  ChildProcess other(
      {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", TEST_CLIENT, "idle", group_, "t", "-", "0"},
      folder_.path() + "/other.log");
  other.start();
  EXPECT_NE(other.wait_end(), 0);
  EXPECT_NE(other.output().find("WEFT_GROUP_UNREADABLE"), std::string::npos) << other.output();
  expect_others_unhurt();
}

TEST_F(Group, AnotherSecretIsRefusedByBothSides) {
  const std::string copy = folder_.path() + "/copy";
  std::filesystem::copy(group_, copy);
  std::string secret = value_of(copy + "/job", "secret");
  secret[0] = secret[0] == 'a' ? 'b' : 'a';
  edit_record(copy + "/job", "secret", secret);
  EXPECT_EQ(attach_code(copy), WEFT_SECRET_WRONG) << weft_error_text(nullptr);
  // The address of a server of another job, under this job's name and secret.
  TemporaryFolder other_folder;
  ServerChild other(other_folder.path() + "/data", 1, 0, 1);
  other.start();
  ASSERT_TRUE(until([&] { return !read_file(other.group() + "/slot-0").empty(); }));
  std::filesystem::remove_all(copy);
  std::filesystem::copy(group_, copy);
  edit_record(copy + "/slot-0", "address", value_of(other.group() + "/slot-0", "address"));
  const int code = attach_code(copy);
  EXPECT_TRUE(code == WEFT_GROUP_OTHER_JOB || code == WEFT_SECRET_WRONG) << weft_error_text(nullptr);
  // Job and slot files of two jobs in one directory.
  std::filesystem::remove(copy + "/slot-0");
  std::filesystem::copy(other.group() + "/slot-0", copy + "/slot-0");
  EXPECT_EQ(attach_code(copy), WEFT_GROUP_OTHER_JOB);
  expect_others_unhurt();
  Client at_other(other.group());
  at_other.close();
  EXPECT_EQ(other.end(), 0) << other.output();
}

TEST_F(Group, AnotherProtocolVersionIsNamed) {
  // The version of the lane is byte 5 of its address, in hexadecimal; the last four bytes are the CRC32C of the others.
  const std::string copy = folder_.path() + "/copy";
  std::filesystem::copy(group_, copy);
  const std::string address = value_of(copy + "/slot-0", "address");
  std::string bytes;
  for (size_t at = 0; at + 8 < address.size(); at += 2)
    bytes += static_cast<char>(std::stoi(address.substr(at, 2), nullptr, 16));
  ASSERT_EQ(bytes[5], 1);
  bytes[5] = 2;
  const uint32_t checksum = __builtin_bswap32(weft_crc32c(bytes.data(), bytes.size(), 0));
  char sealed[16];
  std::snprintf(sealed, sizeof sealed, "%08x", checksum);
  std::string other = address.substr(0, address.size() - 8) + sealed;
  other.replace(10, 2, "02");
  edit_record(copy + "/slot-0", "address", other);
  EXPECT_EQ(attach_code(copy, 2000), WEFT_PROTOCOL_VERSION);
  const std::string words = weft_error_text(nullptr);
  EXPECT_NE(words.find("version 2"), std::string::npos) << words;
  EXPECT_NE(words.find("version 1"), std::string::npos) << words;
  // Another version of the record itself.
  std::string text = read_file(group_ + "/job");
  std::string body = text.substr(0, text.rfind("crc32c "));
  body.replace(body.find("weftline-job 1"), 14, "weftline-job 2");
  char line[32];
  std::snprintf(line, sizeof line, "crc32c %08x\n", weft_crc32c(body.data(), body.size(), 0));
  write_file(copy + "/job", body + line);
  EXPECT_EQ(attach_code(copy), WEFT_GROUP_UNREADABLE);
  EXPECT_NE(std::string(weft_error_text(nullptr)).find("weftline-job 2"), std::string::npos)
      << weft_error_text(nullptr);
  expect_others_unhurt();
}

TEST(GroupTakenOver, ByAnotherJobEndsTheClientsOfTheOld) {
  TemporaryFolder folder;
  ServerChild server(folder.path() + "/data", 1, 0, 1);
  server.start();
  Client client(server.group(), nullptr, 5000, 3000);
  weft_producer* producer = client.producer("t");
  ASSERT_WEFT_OK(weft_push(producer, "1", 1, nullptr, 0, 0, nullptr));
  ASSERT_WEFT_OK(weft_flush(producer, kTimeoutMs));
  server.kill_now();
  EXPECT_EQ(attach_code(server.group()), WEFT_GROUP_STALE);
  // The job's file is gone: what starts now on the same directory is a new job.
  std::filesystem::remove_all(server.group());
  server.start();
  ASSERT_TRUE(until([&] { return !read_file(server.group() + "/slot-0").empty(); })) << server.output();
  ASSERT_WEFT_OK(weft_push(producer, "2", 1, nullptr, 0, 0, nullptr));
  EXPECT_EQ(weft_flush(producer, WEFT_FOREVER), WEFT_GROUP_OTHER_JOB) << weft_error_text(nullptr);
  Client next(server.group());
  EXPECT_WEFT_OK(weft_producer_close(next.producer("t"), kTimeoutMs));
  next.close();
  EXPECT_EQ(server.end(), 0) << server.output();
}

// ---- data directories

// The code of starting a server there.
int start_code(const std::string& data, int32_t slot = -1, const char* group = nullptr) {
  weft_join_options options = WEFT_JOIN_OPTIONS_DEFAULT;
  options.role = "server";
  weft_job* job = nullptr;
  EXPECT_WEFT_OK(weft_join_begin(WEFT_COMM_WORLD, &options, &job));
  weft_server_options server_options = WEFT_SERVER_OPTIONS_DEFAULT;
  server_options.data = data.c_str();
  server_options.slot = slot;
  server_options.group = group;
  weft_server* server = nullptr;
  const int code = weft_server_start(job, &server_options, &server);
  if (code != WEFT_OK) {
    EXPECT_NE(std::string(weft_error_text(nullptr)).find(std::filesystem::path(data).parent_path().string()),
              std::string::npos)
        << weft_error_text(nullptr);
  }
  weft_close(job);
  return code;
}

TEST(DataDirectory, OfALiveServerIsLocked) {
  TemporaryFolder folder;
  const std::string data = folder.path() + "/data";
  ServerChild server(data, 1, 0, 1);
  server.start();
  Client client(server.group());
  EXPECT_EQ(start_code(data), WEFT_DATA_DIRECTORY_LOCKED);
  EXPECT_NE(std::string(weft_error_text(nullptr)).find(std::to_string(server.pid())), std::string::npos)
      << weft_error_text(nullptr);
  // A second server for the same slot with another data directory, in the same group.
  const std::string second = folder.path() + "/second";
  ServerChild rival(second, 1, 0, 1);
  rival.start({"WEFTLINE_GROUP=" + server.group()});
  EXPECT_NE(rival.wait_end(), 0);
  EXPECT_NE(rival.output().find("slot 0"), std::string::npos) << rival.output();
  weft_producer* producer = client.producer("t");
  EXPECT_WEFT_OK(weft_push(producer, "1", 1, nullptr, 0, 0, nullptr));
  EXPECT_WEFT_OK(weft_flush(producer, kTimeoutMs));
  EXPECT_EQ(value_of(server.group() + "/slot-0", "pid"), std::to_string(server.pid()));
  server.kill_now();
  // The lock of a dead server does not hold anybody up.
  EXPECT_EQ(start_code(data), WEFT_OK) << weft_error_text(nullptr);
}

TEST(DataDirectory, OfANewerFormatOrDamagedIsRefused) {
  TemporaryFolder folder;
  const std::string data = folder.path() + "/data";
  ASSERT_EQ(start_code(data), WEFT_OK) << weft_error_text(nullptr);
  const std::string format = read_file(data + "/weftline.format");
  std::string newer = format;
  const size_t at = newer.find("format 1");
  ASSERT_NE(at, std::string::npos) << format;
  newer.replace(at, 8, "format 9");
  write_file(data + "/weftline.format", newer);
  EXPECT_EQ(start_code(data), WEFT_FORMAT_NEWER);
  write_file(data + "/weftline.format", "something else\n");
  EXPECT_EQ(start_code(data), WEFT_CORRUPT);
  write_file(data + "/weftline.format", format);
  EXPECT_EQ(start_code(data, 3), WEFT_INVALID_ARGUMENT);
  EXPECT_EQ(start_code(data), WEFT_OK) << weft_error_text(nullptr);
}

TEST(DataDirectory, ThatCannotBeWrittenSaysSo) {
  if (geteuid() != 0) GTEST_SKIP() << "mounting a read-only file system needs root";
  TemporaryFolder folder;
  const std::string disk = folder.path() + "/disk";
  std::filesystem::create_directory(disk);
  ASSERT_EQ(mount("weft-test", disk.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "size=1m"), 0);
  EXPECT_EQ(start_code(disk + "/data"), WEFT_OK) << weft_error_text(nullptr);
  EXPECT_EQ(mount("weft-test", disk.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr), 0);
  EXPECT_EQ(start_code(disk + "/data"), WEFT_NOT_WRITABLE);
  EXPECT_EQ(start_code(disk + "/new"), WEFT_NOT_WRITABLE);
  EXPECT_EQ(umount2(disk.c_str(), MNT_DETACH), 0);
  write_file(folder.path() + "/file", "x");
  EXPECT_NE(start_code(folder.path() + "/file"), WEFT_OK);
  EXPECT_NE(start_code(folder.path() + "/file/below"), WEFT_OK);
}

// ---- garbage at the port

// TCP ports on which the process listens.
std::vector<uint16_t> listening_ports(pid_t pid) {
  std::set<std::string> sockets;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    std::error_code error;
    const std::string target = std::filesystem::read_symlink(entry.path(), error).string();
    if (target.rfind("socket:[", 0) == 0) sockets.insert(target.substr(8, target.size() - 9));
  }
  std::vector<uint16_t> ports;
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::istringstream lines(read_file(table));
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) {
      std::istringstream fields(line);
      std::string number, local, remote, state, skipped, inode;
      fields >> number >> local >> remote >> state >> skipped >> skipped >> skipped >> skipped >> skipped >> inode;
      if (state != "0A" || sockets.count(inode) == 0) continue;
      ports.push_back(static_cast<uint16_t>(std::stoul(local.substr(local.rfind(':') + 1), nullptr, 16)));
    }
  }
  return ports;
}

// Sends the bytes and hangs up; the other side may do so first.
void send_garbage(uint16_t port, const std::string& bytes) {
  const int link = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_GE(link, 0);
  const timeval limit{0, 200'000};
  setsockopt(link, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(link, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0) {
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t count = send(link, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
      if (count <= 0) break;
      done += static_cast<size_t>(count);
    }
  }
  close(link);
}

TEST(Garbage, AtTheTcpPortLosesNothing) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  TemporaryFolder folder;
  ServerChild server(folder.path() + "/data", 1, 0, 1);
  server.start({"WEFTLINE_TRANSPORTS=tcp", "WEFTLINE_BIND=127.0.0.1"});
  ASSERT_TRUE(until([&] { return !read_file(server.group() + "/slot-0").empty(); })) << server.output();
  ChildProcess producer(client_command("produce", server.group(), "tcp"), folder.path() + "/producer.log");
  producer.start();
  ASSERT_TRUE(producer.says("acknowledged")) << producer.output();
  const std::vector<uint16_t> ports = listening_ports(server.pid());
  ASSERT_FALSE(ports.empty());
  for (int i = 0; i < 120; ++i) {
    std::string bytes(i % 4 == 0 ? random() % 16 : random() % 4000, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    // As libfabric's connection requests begin (version, kind, then lengths), with what follows made up.
    if (i % 3 == 0 && bytes.size() > 8) {
      bytes[0] = static_cast<char>(random() % 6);
      bytes[1] = static_cast<char>(random() % 8);
    }
    for (const uint16_t port : listening_ports(server.pid())) send_garbage(port, bytes);
    int status = 0;
    if (waitpid(server.pid(), &status, WNOHANG) != 0) {
      ADD_FAILURE() << "the server ended with status " << status << " after " << i << " pieces of garbage";
      return;
    }
  }
  const std::string before = producer.output();
  EXPECT_TRUE(until([&] { return producer.output().size() > before.size() + 100; }, weft_test::milliseconds(90'000)))
      << "the producer stands still";
  EXPECT_EQ(producer.end(), 0) << producer.output();
  Client client(server.group(), "tcp");
  weft_consumer* consumer = client.consumer("t");
  const std::string said = producer.output();
  const uint64_t acknowledged = std::stoull(said.substr(said.rfind("acknowledged ") + 13));
  for (uint64_t i = 0; i < acknowledged; ++i) {
    weft_event event;
    ASSERT_WEFT_OK(weft_pull(consumer, kTimeoutMs, &event));
    ASSERT_EQ(event.offset, i);
    ASSERT_EQ(weft_test::metadata_of(event), "{\"p\":0,\"n\":" + std::to_string(i) + "}");
  }
  client.close();
  EXPECT_EQ(server.end(), 0) << server.output();
}

}  // namespace
