/** A producer as a `Writable` of Node. JavaScript thread. */
import { Writable } from "node:stream";

import { invalid } from "../check.js";
import { type WeftError, isWeftError } from "../errors.js";
import type { EventData, PushOptions, StreamedEvent } from "./options.js";

/** What it needs of a producer. */
export interface StreamedProducer<Metadata> {
  readonly failure: WeftError | undefined;
  push(metadata: Metadata, data?: EventData, options?: PushOptions): unknown;
  ready(): Promise<void>;
  flush(): Promise<void>;
}

/** Waits where `push` would be WEFT_BUSY; flushes at its end; the producer stays open. */
export function writableOf<Metadata>(producer: StreamedProducer<Metadata>): Writable {
  return new Writable({
    objectMode: true,
    write: (event: StreamedEvent<Metadata>, _encoding, done) => {
      pushWhenReady(producer, event).then(() => {
        done();
      }, done);
    },
    final: (done) => {
      producer.flush().then(() => {
        done();
      }, done);
    },
  });
}

async function pushWhenReady<Metadata>(
  producer: StreamedProducer<Metadata>,
  event: StreamedEvent<Metadata>,
): Promise<void> {
  if (typeof event !== "object" || event === null || !("metadata" in event)) {
    throw invalid("what was written to the stream of a producer", event, "an object with metadata");
  }
  const { metadata, data, partition, key } = event;
  for (;;) {
    if (producer.failure !== undefined) throw producer.failure;
    try {
      producer.push(metadata, data, { partition, key });
      return;
    } catch (error) {
      if (!isWeftError(error, "WEFT_BUSY")) throw error;
      await producer.ready();
    }
  }
}
