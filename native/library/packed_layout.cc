#include "library/packed_layout.h"

#include <rapidjson/document.h>

#include <cstring>

namespace weft::library {

namespace {
constexpr uint64_t kFieldsMax = 256;
constexpr uint64_t kFixedBytesMax = 65'536;

uint64_t align_to(uint64_t value, uint64_t alignment) { return (value + alignment - 1) / alignment * alignment; }

// Bytes of one value of a number or bool; 0 for other types.
uint64_t width_of(std::string_view type) {
  if (type == "u8" || type == "i8" || type == "bool") return 1;
  if (type == "u16" || type == "i16") return 2;
  if (type == "u32" || type == "i32" || type == "f32") return 4;
  if (type == "u64" || type == "i64" || type == "f64") return 8;
  return 0;
}

// The member, or `otherwise` where there is none; 0 where it is no count.
uint64_t count_of(const rapidjson::Value& field, const char* name, uint64_t otherwise) {
  const auto member = field.FindMember(name);
  if (member == field.MemberEnd()) return otherwise;
  if (!member->value.IsUint64() || member->value.GetUint64() > kFixedBytesMax) return 0;
  return member->value.GetUint64();
}

// Places a field behind those before it; false if it is none of version 1.
bool place(const rapidjson::Value& field, PackedLayout* layout, uint64_t* alignment) {
  if (!field.IsObject() || !field.HasMember("type") || !field["type"].IsString()) return false;
  const std::string_view type(field["type"].GetString(), field["type"].GetStringLength());
  const bool text = type == "string" || type == "bytes";
  const bool variable = text && !field.HasMember("bytes");
  const uint64_t width = variable ? 4 : text ? 1 : width_of(type);
  const uint64_t count = variable ? 1 : count_of(field, text ? "bytes" : "length", 1);
  if (width == 0 || count == 0) return false;
  const uint64_t at = align_to(layout->fixed_bytes, width);
  if (at + width * count > kFixedBytesMax) return false;
  if (variable) layout->lengths_at.push_back(static_cast<uint32_t>(at));
  layout->fixed_bytes = at + width * count;
  *alignment = std::max(*alignment, width);
  return true;
}
}  // namespace

Result<PackedLayout> packed_layout_of(std::string_view topic, std::string_view description) {
  rapidjson::Document parsed;
  parsed.Parse(description.data(), description.size());
  PackedLayout layout;
  if (parsed.HasParseError() || !parsed.IsObject() || !parsed.HasMember("packed")) return layout;
  const rapidjson::Value& schema = parsed["packed"];
  const auto invalid = [&](std::string_view why) {
    return Status(Code::CONFIG_INVALID, join_text("the schema of topic '", topic, "' is not valid: ", why,
                                                  "; create the topic again with a schema that is"));
  };
  if (!schema.IsObject() || !schema.HasMember("fields") || !schema["fields"].IsArray()) return invalid("no fields");
  if (schema.HasMember("version") && !(schema["version"].IsUint() && schema["version"].GetUint() == 1)) {
    return Status(Code::FORMAT_NEWER,
                  join_text("the schema of topic '", topic, "' is not of version 1; use a newer Weftline"));
  }
  const auto& fields = schema["fields"];
  if (fields.Size() < 1 || fields.Size() > kFieldsMax) return invalid("the number of fields");
  uint64_t alignment = 1;
  for (rapidjson::SizeType i = 0; i < fields.Size(); ++i) {
    if (!place(fields[i], &layout, &alignment)) return invalid(join_text("field ", i));
  }
  layout.fixed_bytes = align_to(layout.fixed_bytes, alignment);
  return layout;
}

Status check_record(const PackedLayout& layout, std::string_view topic, std::string_view record) {
  if (layout.fixed_bytes == 0) return {};
  const auto invalid = [&](std::string_view is, uint64_t wanted) {
    return Status(Code::METADATA_INVALID,
                  join_text("the metadata of an event of topic '", topic, "' has ", record.size(), " bytes; ", is, " ",
                            wanted, "; `weftline topic header` writes the struct"));
  };
  const bool whole = record.size() >= layout.fixed_bytes;
  if (layout.lengths_at.empty() || !whole) {
    if (record.size() == layout.fixed_bytes) return {};
    return invalid(layout.lengths_at.empty() ? "its record has" : "its record has at least", layout.fixed_bytes);
  }
  uint64_t wanted = layout.fixed_bytes;
  for (const uint32_t at : layout.lengths_at) {
    uint32_t length = 0;
    std::memcpy(&length, record.data() + at, sizeof length);
    wanted += length;
  }
  return record.size() == wanted ? Status() : invalid("the lengths in its record make", wanted);
}

}  // namespace weft::library
