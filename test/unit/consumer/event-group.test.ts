// Requests for the data of events: whose failure they are, and when their memory may be used again.
import { describe, expect, it } from "vitest";

import { DataRequests, EventGroup } from "../../../src/consumer/event-group.js";
import type { WantedEvent } from "../../../src/consumer/event-group.js";
import type { Event } from "../../../src/consumer/event.js";
import { all } from "../../../src/consumer/selection.js";
import type { ConsumeMemory, SlabPool } from "../../../src/consumer/slab-pool.js";
import { WeftError } from "../../../src/errors.js";
import type { CompletionRecord, Completions, RequestHandling } from "../../../src/native/completions.js";

interface Answer {
  readonly code?: "WEFT_CORRUPT" | "WEFT_TIMED_OUT" | "WEFT_CLOSED";
  readonly failed?: number;
  /** Undefined: no completion came. */
  readonly safe?: 0 | 1;
}

function requestsAnswering(answers: readonly Answer[]): { requests: DataRequests; memory: ConsumeMemory } {
  const left = [...answers];
  const completions = {
    request: (_what: string, _start: unknown, { failed }: RequestHandling) => {
      const { code, failed: at = 0, safe } = left.shift() ?? {};
      if (code === undefined) return Promise.resolve({ values: [0, 0, 0, safe] });
      if (safe !== undefined) failed?.({ value: (index: number) => [0, 0, at, safe][index] } as CompletionRecord);
      return Promise.reject(new WeftError(code, "said by the test"));
    },
  } as unknown as Completions;
  const memory = { bytes: new Uint8Array(1024), spoiled: false } as ConsumeMemory;
  const pool = { lend: () => memory } as unknown as SlabPool;
  return { requests: new DataRequests(completions, {} as never, pool), memory };
}

const wantedEvents = (count: number): WantedEvent[] =>
  Array.from({ length: count }, (_, index) => ({
    event: { partition: 0, offset: index, dataLength: 8 } as Event,
    selection: all,
    at: index * 64,
  }));

async function fill(answers: readonly Answer[]): Promise<{ spoiled: boolean; failures: (string | undefined)[] }> {
  const { requests, memory } = requestsAnswering(answers);
  const wanted = wantedEvents(3);
  const group = new EventGroup(wanted.map(({ event }) => event));
  requests.start(group, wanted, 192);
  expect(memory.spoiled).toBe(true);
  await group.ready;
  return { spoiled: memory.spoiled, failures: wanted.map(({ event }) => event.failure?.code) };
}

describe("DataRequests", () => {
  const none = [undefined, undefined, undefined];

  it("lets memory be used again only if no server can write into it", async () => {
    expect(await fill([{ safe: 1 }])).toEqual({ spoiled: false, failures: none });
    expect(await fill([{ safe: 0 }])).toEqual({ spoiled: true, failures: none });
    const timedOut = Array<string>(3).fill("WEFT_TIMED_OUT");
    expect(await fill([{ code: "WEFT_TIMED_OUT", safe: 0 }])).toEqual({ spoiled: true, failures: timedOut });
    expect(await fill([{ code: "WEFT_TIMED_OUT", safe: 1 }])).toEqual({ spoiled: false, failures: timedOut });
    expect((await fill([{ code: "WEFT_CLOSED" }])).spoiled).toBe(true);
  });

  it("asks again for the others when one event is damaged", async () => {
    const failures = [undefined, "WEFT_CORRUPT", undefined];
    const damaged = { code: "WEFT_CORRUPT", failed: 1 } as const;
    expect(await fill([{ ...damaged, safe: 1 }, { safe: 1 }])).toEqual({ spoiled: false, failures });
    expect(await fill([{ ...damaged, safe: 0 }, { safe: 1 }])).toEqual({ spoiled: true, failures });
    expect(await fill([{ ...damaged, safe: 1 }, { safe: 0 }])).toEqual({ spoiled: true, failures });
  });

  it("fails the events that there is no memory for, and no others", () => {
    const noMemory = new WeftError("WEFT_LIMIT", "said by the test");
    const pool = {
      lend: () => {
        throw noMemory;
      },
    } as unknown as SlabPool;
    const wanted = wantedEvents(2);
    const group = new EventGroup(wanted.map(({ event }) => event));
    new DataRequests({} as Completions, {} as never, pool).start(group, wanted, 128);
    expect(group.ready).toBeUndefined();
    expect(wanted.map(({ event }) => event.failure)).toEqual([noMemory, noMemory]);
  });
});
