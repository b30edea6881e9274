/**
 * So much of the addon as a producer uses, in JavaScript: it takes batches and answers all of them when it is asked to. So
 * what is measured is the producer's own path, with batches, receipts and completions, and no server.
 */
import type { BatchHandle, JobHandle, NativeBatch, NativeBinding, TopicHandle } from "../../src/native/binding.js";
import { Completions, completionKind } from "../../src/native/completions.js";
import type { PackedCodec } from "../../src/packed/codec.js";
import { Producer } from "../../src/producer/producer.js";
import type { TopicContext } from "../../src/topic/context.js";

export class AnsweringCore {
  readonly completions: Completions;
  bytes = 0;
  readonly #arenas = new Map<BatchHandle, NativeBatch>();
  readonly #free: NativeBatch[] = [];
  #answers: { kind: number; tag: number; handle?: object }[] = [];
  #wake: () => void = () => undefined;

  constructor(batches: number, events: number) {
    for (let index = 0; index < batches; index++) {
      const arena: NativeBatch = {
        handle: {} as BatchHandle,
        eventCapacity: events,
        metadataEnd: new ArrayBuffer(4 * events),
        timeDeltaUs: new ArrayBuffer(4 * events),
        dataLength: new ArrayBuffer(8 * events),
        metadata: new ArrayBuffer(1024 * 1024),
        data: new ArrayBuffer(1024 * 1024),
      };
      this.#arenas.set(arena.handle, arena);
      this.#free.push(arena);
    }
    const binding = {
      jobSetWake: (_job: JobHandle, wake: () => void) => (this.#wake = wake),
      jobSetReferenced: () => undefined,
      jobPoll: (_job: JobHandle, records: ArrayBuffer, extras: unknown[]) => {
        const words = new Uint32Array(records);
        const taken = this.#answers.splice(0);
        taken.forEach(({ kind, tag, handle }, index) => {
          words.fill(0, 16 * index, 16 * index + 16);
          words.set([kind, 0, tag], 16 * index);
          extras[index] = handle;
        });
        return taken.length;
      },
      producerOpenAsync: (_topic: TopicHandle, _options: object, tag: number) => {
        this.#answers.push({ kind: completionKind.producer, tag, handle: {} });
        this.#wake();
      },
      batchOpen: () => this.#free.shift() ?? null,
      batchSubmit: (handle: BatchHandle, _partition: number, _count: number, bytes: number, ...rest: unknown[]) => {
        const arena = this.#arenas.get(handle);
        if (arena !== undefined) this.#free.push(arena);
        this.bytes += bytes;
        this.#answers.push({ kind: completionKind.batch, tag: rest[3] as number });
      },
    };
    this.completions = new Completions(binding as unknown as NativeBinding, {} as JobHandle);
  }

  async producer(serializer: TopicContext["serializer"], codec?: PackedCodec): Promise<Producer> {
    const topic = {
      ...{ name: "bench", partitionCount: 1, serializer, codec, eventDataBytesMax: Infinity },
      description: { partitionSelector: "round-robin" },
      job: { rank: 0, completions: this.completions, opened: new Set() },
      handle: {},
    };
    return await Producer.open<unknown>(topic as unknown as TopicContext, {});
  }

  /** Answers the batches that were sent. */
  answer(): void {
    this.#wake();
  }
}
