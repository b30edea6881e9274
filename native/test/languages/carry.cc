// What carry.c does, through the C++ face.
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>
#include <weftline/weftline.hpp>

namespace {
constexpr size_t kPart = 40'000;

void push(weftline::job& job, const char* topic, std::FILE* file) {
  auto out = job.open_producer(topic).value();
  auto region = job.allocate(kPart).value();
  const auto part = region.as<char>();
  size_t length = std::fread(part.data(), 1, kPart, file);
  for (int count = 0; length > 0; ++count) {
    out.push("{\"part\":" + std::to_string(count) + "}", region.slice(0, length)).value();
    region.wait().value();
    length = std::fread(part.data(), 1, kPart, file);
  }
  out.flush().value();
  out.close().value();
  region.release().value();
}

void pull(weftline::job& job, const char* topic, std::FILE* file) {
  weftline::consumer_options options;
  options.until = WEFT_UNTIL_END;
  auto in = job.open_consumer(topic, options).value();
  std::vector<char> part(kPart);
  auto event = in.pull();
  for (; event; event = in.pull()) {
    const auto data = std::span(part).first(event->data_length());
    event->fetch(weftline::selection::all(), data).value();
    const std::string_view metadata = event->metadata();
    std::printf("%.*s\n", static_cast<int>(metadata.size()), metadata.data());
    if (std::fwrite(data.data(), 1, data.size(), file) != data.size()) std::exit(EXIT_FAILURE);
  }
  if (event.code() != WEFT_END_OF_STREAM) event.why().value();
  in.close().value();
}
}  // namespace

int main(int argc, char** argv) {
  const bool pushes = argc == 4 && std::string_view(argv[1]) == "push";
  std::FILE* file = argc == 4 ? std::fopen(argv[3], pushes ? "rb" : "wb") : nullptr;
  if (file == nullptr) return 2;
  auto job = weftline::job::attach().value();
  if (pushes) {
    push(job, argv[2], file);
  } else {
    pull(job, argv[2], file);
  }
  job.close().value();
  return std::fclose(file) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
