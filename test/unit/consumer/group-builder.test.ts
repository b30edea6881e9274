// Groups of events out of frames: what cannot be passed over yet is told, and comes again.
import { LentMemory } from "../../../src/consumer/lent-memory.js";
import { expect, it } from "vitest";

import { DataSelector } from "../../../src/consumer/data-selector.js";
import type { EventOwner } from "../../../src/consumer/event.js";
import type { EventGroup } from "../../../src/consumer/event-group.js";
import type { Frame } from "../../../src/consumer/frame-layout.js";
import type { FrameSource } from "../../../src/consumer/frame-source.js";
import { GroupBuilder } from "../../../src/consumer/group-builder.js";
import { metadataOnly, nothing } from "../../../src/consumer/selection.js";
import type { SlabPool } from "../../../src/consumer/slab-pool.js";
import { WeftError } from "../../../src/errors.js";

it("an event that counts as acknowledged is told where that is too many, and no event is lost", () => {
  const limit = new WeftError("WEFT_LIMIT", "said by the test");
  const passedOver: number[] = [];
  let isFull = true;
  const owner = {
    acknowledge: (_partition: number, offset: number) => {
      if (isFull && offset >= 2) throw limit;
      passedOver.push(offset);
    },
  } as unknown as EventOwner;
  const frame = {
    ...{ partition: 0, firstOffset: 0, skip: 0, count: 6 },
    ...{ metadataEnd: new Uint32Array(6), bytes: new Uint8Array(), json: false },
  } as Frame;
  const frames = [{ frame, end: frame.count }];
  const source = { next: () => frames.shift() } as unknown as FrameSource;
  const selector = new DataSelector(owner, {
    select: (_metadata, { offset }) => (offset % 3 === 1 ? metadataOnly : nothing),
    selectFrame: undefined,
    eventBytesMax: 1,
  });
  const builder = new GroupBuilder(source, {} as never, {} as SlabPool, owner, selector, undefined, new LentMemory());
  const offsets = (built: unknown) => (built as EventGroup).events.map(({ offset }) => offset);

  expect(offsets(builder.build())).toEqual([1]);
  expect(builder.build()).toEqual({ partition: 0, error: limit });
  expect(builder.build()).toEqual({ partition: 0, error: limit });
  isFull = false;
  expect(offsets(builder.build())).toEqual([4]);
  expect(builder.build()).toBe("dry");
  expect(passedOver).toEqual([0, 2, 3, 5]);
});
