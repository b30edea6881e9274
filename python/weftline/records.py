"""Metadata as the topic's serializer stores it: JSON, bytes, or packed records (docs/formats/packed.md)."""

import json
import struct
from typing import Any, Dict, List, NamedTuple, Optional

from .errors import failure

_FORMATS = {
    "u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i8": "b", "i16": "h", "i32": "i", "i64": "q",
    "f32": "f", "f64": "d", "bool": "?",
}  # fmt: skip


class Field(NamedTuple):
    name: str
    type: str
    at: int
    count: int  # of numbers, or bytes of a text; 1 for what is in the variable part
    is_array: bool
    is_variable: bool


def _aligned(at: int, to: int) -> int:
    return (at + to - 1) // to * to


class Packed:
    """Writes and reads the records of one schema."""

    def __init__(self, schema: Dict[str, Any]):
        if schema.get("version", 1) != 1:
            raise failure("WEFT_FORMAT_NEWER", f"version {schema['version']} of packed records")
        self.fields: List[Field] = []
        at = 0
        alignment = 1
        for field in schema["fields"]:
            kind = field["type"]
            is_text = kind in ("string", "bytes")
            is_variable = is_text and "bytes" not in field
            width = 4 if is_variable else 1 if is_text else struct.calcsize("<" + _FORMATS[kind])
            count = 1 if is_variable else field.get("bytes" if is_text else "length", 1)
            at = _aligned(at, width)
            self.fields.append(Field(field["name"], kind, at, count, not is_text and "length" in field, is_variable))
            at += width * count
            alignment = max(alignment, width)
        self.fixed_bytes = _aligned(at, alignment)

    def encode(self, values: Any) -> bytes:
        """A dict with every field, or bytes (also a NumPy structured value of `dtype`) that are the record already."""
        if not isinstance(values, dict):
            return bytes(memoryview(values).cast("B")) if not hasattr(values, "tobytes") else values.tobytes()
        record = bytearray(self.fixed_bytes)
        tail = b""
        unknown = set(values) - {field.name for field in self.fields}
        if unknown:
            raise failure("WEFT_METADATA_INVALID", f"the topic's records have no field '{sorted(unknown)[0]}'")
        for field in self.fields:
            if field.name not in values:
                raise failure("WEFT_METADATA_INVALID", f"the field '{field.name}' of the record is missing")
            try:
                tail += self._put(record, field, values[field.name])
            except (struct.error, TypeError, ValueError, OverflowError) as error:
                what = f"the field '{field.name}' of the record is not {field.type}: {error}"
                raise failure("WEFT_METADATA_INVALID", what) from None
        return bytes(record) + tail

    def _put(self, record: bytearray, field: Field, value: Any) -> bytes:
        if field.type in _FORMATS:
            values = list(value) if field.is_array else [value]
            if len(values) != field.count:
                raise ValueError(f"{len(values)} values, it has {field.count}")
            struct.pack_into(f"<{field.count}{_FORMATS[field.type]}", record, field.at, *values)
            return b""
        content = value.encode() if isinstance(value, str) else bytes(value)
        if field.is_variable:
            struct.pack_into("<I", record, field.at, len(content))
            return content
        if len(content) > field.count or (field.type == "bytes" and len(content) != field.count):
            raise ValueError(f"{len(content)} bytes, it has {field.count}")
        record[field.at : field.at + len(content)] = content
        return b""

    def decode(self, record: bytes) -> Dict[str, Any]:
        """WEFT_METADATA_INVALID for a record of another length."""
        values: Dict[str, Any] = {}
        tail = self.fixed_bytes
        if len(record) >= tail:
            for field in self.fields:
                if field.is_variable:
                    (length,) = struct.unpack_from("<I", record, field.at)
                    content = record[tail : tail + length]
                    tail += length
                    values[field.name] = content.decode(errors="replace") if field.type == "string" else content
                else:
                    values[field.name] = self._get(record, field)
        if len(record) != tail:
            raise failure("WEFT_METADATA_INVALID", f"a record of {len(record)} bytes was expected to have {tail}")
        return values

    @staticmethod
    def _get(record: bytes, field: Field) -> Any:
        if field.type not in _FORMATS:
            content = record[field.at : field.at + field.count]
            return content if field.type == "bytes" else content.split(b"\0", 1)[0].decode(errors="replace")
        kind = field.type if field.type != "bool" else "u8"  # a bool of any other value than 0 is true
        found = struct.unpack_from(f"<{field.count}{_FORMATS[kind]}", record, field.at)
        values = [bool(value) for value in found] if field.type == "bool" else list(found)
        return values if field.is_array else values[0]

    @property
    def dtype(self) -> Any:
        """The fixed part as a NumPy structured type; lengths of variable fields are called `<name>_bytes`."""
        import numpy

        def kind(field: Field) -> Any:
            if field.is_variable:
                return "<u4"
            if field.type in ("string", "bytes"):
                return f"S{field.count}" if field.type == "string" else f"V{field.count}"
            one = numpy.dtype("<" + _FORMATS[field.type])
            return (one, (field.count,)) if field.is_array else one

        return numpy.dtype(
            {
                "names": [field.name + ("_bytes" if field.is_variable else "") for field in self.fields],
                "formats": [kind(field) for field in self.fields],
                "offsets": [field.at for field in self.fields],
                "itemsize": self.fixed_bytes,
            }
        )


class Codec:
    """Metadata of one topic."""

    def __init__(self, topic: str, serializer: str, schema: Optional[Dict[str, Any]]):
        self._topic = topic
        self._serializer = serializer
        self.packed = Packed(schema) if serializer == "packed" and schema is not None else None

    def encode(self, metadata: Any) -> bytes:
        """What is stored of it. The library checks it once more."""
        if self.packed is not None:
            return self.packed.encode(metadata)
        if self._serializer == "json":
            try:
                return json.dumps(metadata, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()
            except (TypeError, ValueError) as error:
                what = f"metadata for topic '{self._topic}' is no JSON: {error}"
                raise failure("WEFT_METADATA_INVALID", what) from None
        if isinstance(metadata, (bytes, bytearray, memoryview)):
            return bytes(metadata)
        what = f"metadata of type {type(metadata).__name__} for topic '{self._topic}', which stores bytes"
        raise failure("WEFT_METADATA_INVALID", what, "give bytes")

    def decode(self, metadata: bytes) -> Any:
        """A dict or another JSON value, the fields of a record, or the bytes themselves."""
        if self.packed is not None:
            return self.packed.decode(metadata)
        return json.loads(metadata) if self._serializer == "json" else metadata
