// A topic's schema as a process that opens it gets it: one that this version does not know is never taken for another.
import { describe, expect, it } from "vitest";

import { eventLine } from "../../../src/cli/commands/consume.js";
import { Event, type EventOwner } from "../../../src/consumer/event.js";
import { FrameScratch } from "../../../src/consumer/frame-layout.js";
import type { JobContext } from "../../../src/job/context.js";
import type { TopicHandle } from "../../../src/native/binding.js";
import { Topic } from "../../../src/topic/topic.js";

async function topicOf(description: object, serializer = 2): Promise<Topic> {
  const facts = {
    name: "steps",
    partitionCount: 1,
    serializer,
    eventDataBytesMax: 0,
    json: JSON.stringify(description),
  };
  return await Topic.open(
    { completions: { binding: { topicFacts: () => facts } } } as unknown as JobContext,
    {} as TopicHandle,
  );
}
const fields = [{ name: "step", type: "u32" }];

describe("a topic", () => {
  it("of packed metadata has the codec of its schema", async () => {
    expect(await topicOf({ packed: { version: 1, fields } })).toMatchObject({
      serializer: "packed",
      codec: { fixedBytes: 4 },
    });
    expect(await topicOf({}, 0)).toMatchObject({ serializer: "json", codec: undefined });
    expect(await topicOf({}, 1)).toMatchObject({ serializer: "raw", codec: undefined });
  });

  it("of a later version of the format, or with a schema that is none, is not opened", async () => {
    await expect(topicOf({ packed: { version: 2, fields } })).rejects.toThrow(
      /^WEFT_FORMAT_NEWER: topic 'steps': packed\.version: 2 is not 1, the only version$/,
    );
    await expect(topicOf({ packed: { fields: [{ name: "step", type: "u33" }] } })).rejects.toThrow(
      /^WEFT_CONFIG_INVALID: topic 'steps': packed\.fields\[0\]\.type: "u33" is not one of/,
    );
  });

  it("shows what is no record as the bytes that it is", async () => {
    const topic = await topicOf({ packed: { fields } });
    const scratch = new FrameScratch();
    new Uint32Array(scratch.memory).set([0, 2], 0);
    new Uint32Array(scratch.memory).set([4, 7], 16);
    const frame = scratch.take(Uint8Array.of(5, 0, 0, 0, 1, 2, 3), false, topic.codec);
    const lines = [0, 1].map((index) => eventLine(new Event({} as EventOwner, frame, index), topic, true));
    expect(lines).toEqual(['{"step":5}\n', '{"metadataBase64":"AQID"}\n']);
  });
});
