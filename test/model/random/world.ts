// All that exists during one sequence of calls: topics, producers and consumers beside what they should have; and what every
// command needs: which of them is meant, and how everything is brought to rest.
import fc from "fast-check";

import type { Place } from "../support.js";
import type { ConsumerModel } from "./consumer-model.js";
import { type ProducerModel, checkWhole } from "./producer-model.js";
import type { TopicModel } from "./topic-model.js";

export class World {
  topics: TopicModel[] = [];
  producers: ProducerModel[] = [];
  consumers: ConsumerModel[] = [];
  /** Of the serializer's module. */
  readonly module: string;
  readonly #prefix: string;
  #names = 0;
  #salt = 0;

  constructor(prefix: string, module: string) {
    this.#prefix = prefix;
    this.module = module;
  }

  freshName(): string {
    return `${this.#prefix}-${this.#names++}`;
  }
  /** Of the next event's bytes. */
  nextSalt(): number {
    return ++this.#salt;
  }

  /** Everything that was pushed to the topic is stored, or has failed as it must. */
  async settle(topic: TopicModel): Promise<void> {
    for (const producer of this.producers) if (producer.topic === topic) await producer.settle();
    checkWhole(topic);
  }
}

export type Command = fc.AsyncCommand<World, Place>;
/** Which one of those there are. */
export const which = fc.nat(1000);
export function pick<T>(list: readonly T[], number: number): T {
  const one = list[number % list.length];
  if (one === undefined) throw new Error("there is none");
  return one;
}
/** Numbers and texts as a command prints them. */
export const shown = (...values: readonly unknown[]): string =>
  values
    .map((value) =>
      JSON.stringify(value, (_key, part: unknown) =>
        typeof part === "string" && part.length > 60 ? `${part.slice(0, 20)}… (${part.length})` : part,
      ),
    )
    .join(", ");
