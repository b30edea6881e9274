/** CRC32C (Castagnoli), as the simulation computes it of what it pushes: eight bytes at a time, with eight tables. */
const polynomial = 0x82f63b78;

/** `tables[k][byte]`: what a byte with k bytes of zeros behind it comes to. */
const tables = Array.from({ length: 8 }, () => new Int32Array(256));
for (const [zeros, table] of tables.entries()) {
  for (let byte = 0; byte < 256; byte++) {
    let value = zeros === 0 ? byte : at(tables[zeros - 1], byte);
    if (zeros > 0) value = (value >>> 8) ^ at(tables[0], value);
    else for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? polynomial : 0);
    table[byte] = value;
  }
}

function at(table: Int32Array | undefined, value: number): number {
  return table?.[value & 0xff] ?? 0;
}

/** Eight hexadecimal digits. */
export function crc32c(bytes: Uint8Array): string {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = tables;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let value = -1;
  let next = 0;
  for (; next + 8 <= bytes.byteLength; next += 8) {
    const low = view.getInt32(next, true) ^ value;
    const high = view.getInt32(next + 4, true);
    value =
      at(t7, low) ^
      at(t6, low >>> 8) ^
      at(t5, low >>> 16) ^
      at(t4, low >>> 24) ^
      at(t3, high) ^
      at(t2, high >>> 8) ^
      at(t1, high >>> 16) ^
      at(t0, high >>> 24);
  }
  for (; next < bytes.byteLength; next++) value = (value >>> 8) ^ at(t0, value ^ (bytes[next] ?? 0));
  return (~value >>> 0).toString(16).padStart(8, "0");
}
