// A selection out of a selection, from a real server: exactly those bytes come, no more are sent, and in one request.
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type Selection, type Topic, box, range, strided } from "../../src/index.js";
import { Place } from "./support.js";

const shape = [12, 20, 30] as const;
const items = shape[0] * shape[1] * shape[2];
const itemSize = 4;
const field = Uint32Array.from({ length: items }, (_, index) => index);

let place: Place;
let topic: Topic<{ step: number }>;
beforeAll(async () => {
  place = await Place.open();
  topic = await place.job.createTopic<{ step: number }>("field");
  await using out = await topic.producer();
  for (let step = 0; step < 3; step++)
    out.push(
      { step },
      field.map((value) => value + step * items),
    );
  await out.flush();
});
afterAll(async () => {
  await place.close();
});

interface Part {
  readonly origin: readonly number[];
  readonly size: readonly number[];
}

/** A box somewhere within a shape. */
const partOf = (extents: readonly number[]): fc.Arbitrary<Part> =>
  fc
    .tuple(
      ...extents.map((extent) => fc.tuple(fc.integer({ min: 0, max: extent }), fc.integer({ min: 0, max: extent }))),
    )
    .map((corners) => ({
      origin: corners.map(([a, b]) => Math.min(a, b)),
      size: corners.map(([a, b]) => Math.abs(a - b)),
    }));

/** The reference: the indices themselves, cut twice. */
function cut(values: readonly number[], extents: readonly number[], { origin, size }: Part): number[] {
  const [, rows = 0, columns = 0] = extents;
  const [x = 0, y = 0, z = 0] = origin;
  const [dx = 0, dy = 0, dz = 0] = size;
  const taken: number[] = [];
  for (let a = x; a < x + dx; a++) {
    for (let b = y; b < y + dy; b++) {
      for (let c = z; c < z + dz; c++) taken.push(values[(a * rows + b) * columns + c] ?? NaN);
    }
  }
  return taken;
}

async function read(select: Selection): Promise<number[][]> {
  const seen: number[][] = [];
  for await (const event of topic.consumer({ from: "earliest", until: "end", select })) {
    seen.push([...event.uint32()].map((value) => value - event.metadata.step * items));
  }
  return seen;
}

describe("a selection out of a selection", () => {
  it("is a box of a box, whatever they are", async () => {
    const boxes = partOf(shape).chain((outer) => fc.tuple(fc.constant(outer), partOf(outer.size)));
    await fc.assert(
      fc.asyncProperty(boxes, async ([outer, inner]) => {
        const isEmpty = outer.size.includes(0);
        const whole = box({ shape, ...outer, itemSize });
        const select = isEmpty
          ? whole.narrow(range(0, 0))
          : whole.narrow(box({ shape: outer.size, ...inner, itemSize }));
        const expected = isEmpty ? [] : cut(cut([...field], shape, outer), outer.size, inner);
        expect(await read(select)).toEqual([expected, expected, expected]);
      }),
      { numRuns: 40 },
    );
  }, 120_000);

  it("is every tenth item of a plane, and of that the last ones", async () => {
    const plane = box({ shape, origin: [5, 0, 0], size: [1, 20, 30], itemSize });
    const tenth = plane.narrow(strided({ length: itemSize, stride: 10 * itemSize, count: 60 }));
    const last = tenth.narrow(range(57 * itemSize, 60 * itemSize));
    const first = 5 * 600;
    const everyTenth = Array.from({ length: 60 }, (_, index) => first + index * 10);
    expect((await read(tenth))[0]).toEqual(everyTenth);
    expect((await read(last))[2]).toEqual(everyTenth.slice(57));
    const before = place.job.counters() as { client: { fetches: number } };
    await read(last);
    const after = place.job.counters() as { client: { fetches: number } };
    expect(after.client.fetches - before.client.fetches).toBe(1);
  });
});
