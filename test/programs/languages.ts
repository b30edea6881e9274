// One rank of a launch whose producers are Fortran and C++ programs: reads all that they push, compares every byte with
// what its producer says of it, and prints what the consumers in other languages should have found. Ends with the topics.
import { all, join } from "weftline";

interface Strip {
  readonly step: number;
  readonly rank: number;
  readonly fingerprint: string;
}

const columns = 64;
const word = (1n << 64n) - 1n;

/** As examples/fortran/heat.f90 has it. */
function fingerprintOf(values: Float64Array): string {
  const bits = new BigUint64Array(values.buffer, values.byteOffset, values.length);
  let fingerprint = 0n;
  for (const value of bits) fingerprint = (((fingerprint << 5n) & word) | (fingerprint >> 59n)) ^ value;
  return fingerprint.toString(16).toUpperCase().padStart(16, "0");
}

/** The sum of a box of a strip. */
function sumOf(values: Float64Array, [row, column]: [number, number], [rows, width]: [number, number]): number {
  let sum = 0;
  for (let y = row; y < row + rows; y++) {
    for (let x = column; x < column + width; x++) sum += values[y * columns + x] ?? NaN;
  }
  return sum;
}

await using job = await join({ name: "languages" });
const heat = await job.topic<Strip>("heat");
const particles = await job.topic<{ step: number; time: number; count: bigint }>("particles");

const strips: unknown[] = [];
for await (const event of heat.consumer({ from: "earliest", select: all })) {
  const values = event.float64().slice();
  const { step, rank, fingerprint } = event.metadata;
  const isSame = values.length === 32 * columns && fingerprintOf(values) === fingerprint;
  const corner = sumOf(values, [1, 1], [4, 4]);
  const probe = sumOf(values, [2, 1], [4, 8]) / 32;
  const half = values.filter((_, index) => index % 2 === 0).reduce((sum, value) => sum + value, 0) / (16 * columns);
  strips.push({ id: `${event.partition}:${event.offset}`, step, rank, isSame, corner, probe, half });
}
const steps: unknown[] = [];
for await (const event of particles.consumer({ from: "earliest", select: all })) {
  const { step, time, count } = event.metadata;
  const values = event.float64();
  const isSame =
    values.length === Number(count) * 3 && values.every((value, index) => value === step + 0.5 * (index + 1));
  steps.push({ step, time, isSame });
}
console.log(JSON.stringify({ strips, steps }));
