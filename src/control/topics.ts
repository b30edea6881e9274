// Slot 0's part: creating topics on all slots in two phases, and bringing half-created ones to an end
// (docs/formats/control.md, "How a topic is created"). JavaScript thread.
//
// Promises: a topic is either on all its slots or nowhere, whatever dies in between, once all slots were there again; the
// same request id is answered with the same reply; topics of other names never wait for a slot that is away.

import { randomUUID } from "node:crypto";
import { WeftError } from "../errors.js";
import {
  formatPath,
  type NormalizedTopicConfig,
  normalizeTopicConfig,
  type TopicConfig,
} from "../config/topic-config.js";
import { isModuleConfig } from "../config/module-config.js";
import { describeValue, nearest } from "../config/units.js";
import type { Catalogue, CatalogueEntry } from "./catalogue.js";
import { errorText, errorWords } from "./error-text.js";
import { PARTITIONS_PER_REQUEST_MAX } from "./requests.js";
import type { Log, ServerHost } from "./server-host.js";
import type { SlotPartitions } from "./slot-partitions.js";
import { type TopicChange, changedTopic } from "./topic-change.js";
import {
  describeTopic,
  firstDifference,
  partitionsOnSlot,
  placePartitions,
  stableJson,
  type TopicDescription,
} from "./topic-description.js";

/** Whether a slot is there at all. All limits together stay below the 30 s that a client waits by default. */
const SLOT_PING_TIMEOUT_MS = 5_000;
/** For one request to a slot that is there. Opening partitions takes long on a slow file system. */
const SLOT_REQUEST_TIMEOUT_MS = 15_000;

export interface TopicCreation {
  name: string;
  config?: TopicConfig | undefined;
  requestId?: string | undefined;
  ifExists?: "fail" | "open" | undefined;
}

export interface TopicCreated {
  topic: TopicDescription;
  created: boolean;
}

export interface TopicDeleted {
  name: string;
  uuid: string;
  /** The first slot that could not be asked. */
  away?: number;
}

export class Topics {
  private readonly underWay = new Map<string, { requestId: string; done: Promise<TopicCreated> }>();
  private readonly deleting = new Map<string, Promise<unknown>>(); // by name
  private readonly altering = new Map<string, Promise<unknown>>(); // by name; the last of those that wait for each other

  constructor(
    private readonly host: ServerHost,
    private readonly catalogue: Catalogue,
    private readonly partitions: SlotPartitions,
    private readonly log: Log,
    private readonly now: () => Date = () => new Date(),
  ) {}

  /** Offers all created topics to clients; before the data plane lets anybody in. */
  offerAll(): void {
    for (const { topic } of this.created()) this.host.topicPut(topic);
  }

  describe(name: string): TopicDescription {
    const entry = this.catalogue.get(name);
    if (entry !== undefined && isThere(entry)) return entry.topic;
    const names = this.created().map(({ topic }) => topic.name);
    const guess = nearest(name, names);
    const known = names.length === 0 ? "there are none yet" : `there are: ${names.slice(0, 10).join(", ")}`;
    throw new WeftError(
      "WEFT_TOPIC_UNKNOWN",
      `no topic is named '${name}'; ${guess ? `did you mean '${guess}'?` : `${known}${names.length > 10 ? ", …" : ""}`}`,
    );
  }

  created(): CatalogueEntry[] {
    return this.catalogue.entries().filter(isThere);
  }

  /** A topic that is new, or, by request id or `ifExists`, the one that is there. */
  async create(creation: TopicCreation): Promise<TopicCreated> {
    const normalized = normalizeTopicConfig(creation.config);
    if ("problem" in normalized) {
      const { path, message } = normalized.problem;
      throw new WeftError(
        "WEFT_CONFIG_INVALID",
        `topic '${creation.name}': config${path.length > 0 ? `: ${formatPath(path)}` : ""}: ${message}`,
        { next: "correct that member" },
      );
    }
    const unhashed = (["validator", "partitionSelector", "serializer"] as const).find((member) => {
      const value = normalized.config[member];
      return isModuleConfig(value) && value.sha256 === undefined;
    });
    if (unhashed !== undefined) {
      throw new WeftError("WEFT_CONFIG_INVALID", `topic '${creation.name}': config: ${unhashed}: sha256 is missing`, {
        next: "give the SHA-256 of the module's file; Job.createTopic and weftline topic create do so",
      });
    }
    await this.deleting.get(creation.name)?.catch(() => undefined);
    const requestId = creation.requestId ?? randomUUID();
    const running = this.underWay.get(creation.name);
    if (running) {
      if (running.requestId === requestId) return running.done;
      // Whoever is first decides; then this request is answered like any later one.
      await running.done.catch(() => undefined);
      return this.create({ ...creation, requestId });
    }
    const there = this.catalogue.get(creation.name);
    if (there !== undefined && isThere(there)) return this.answerExisting(there, creation, requestId);
    const done = this.createNew(creation.name, normalized.config, requestId, there);
    this.underWay.set(creation.name, { requestId, done });
    try {
      return await done;
    } finally {
      this.underWay.delete(creation.name);
    }
  }

  /** No more events: resolves when all that was accepted is stored. A topic that is sealed already stays so. */
  async seal(name: string): Promise<TopicDescription> {
    return await this.inTurn(name, (topic) => ({ ...topic, sealed: true }));
  }

  /** Changes what may be changed; a repetition changes nothing. WEFT_CONFIG_INVALID. */
  async alter(name: string, change: TopicChange): Promise<TopicDescription> {
    const { slotCount } = this.host.facts();
    const topicsBefore = this.catalogue.begunCount;
    return await this.inTurn(name, (topic) => changedTopic(topic, change, { slotCount, topicsBefore }));
  }

  /** One change of a topic after another. */
  private async inTurn(name: string, change: (topic: TopicDescription) => TopicDescription): Promise<TopicDescription> {
    const done = (this.altering.get(name) ?? Promise.resolve())
      .catch(() => undefined)
      .then(async () => await this.change(name, change));
    this.altering.set(name, done);
    try {
      return await done;
    } finally {
      if (this.altering.get(name) === done) this.altering.delete(name);
    }
  }

  private async change(name: string, change: (topic: TopicDescription) => TopicDescription): Promise<TopicDescription> {
    await this.underWay.get(name)?.done.catch(() => undefined);
    const topic = this.describe(name);
    const next = change(topic);
    const isWhole = this.catalogue.get(name)?.state === "created";
    if (isWhole && stableJson(next) === stableJson(topic)) return topic;
    await this.requireSlots(next, "changed");
    // On record before any slot has it: were this server to end now, the next start goes on with it.
    await this.catalogue.alter(next);
    const failed = await this.alterEverywhere(next);
    if (failed) throw failed;
    await this.finishAltering(next);
    return next;
  }

  /** Every slot has the description. New partitions first, so that nobody hears of one that is not there. */
  private async alterEverywhere(topic: TopicDescription): Promise<WeftError | undefined> {
    const failed = await this.createEverywhere(topic);
    if (failed) return failed;
    const [first] = await this.eachSlot(topic, (slot, partitions) =>
      slot === this.host.facts().slot
        ? this.partitions.alter(topic, partitions)
        : this.host.control(slot, { op: "partition.alter", topic, partitions }, SLOT_REQUEST_TIMEOUT_MS),
    );
    return first && notDone(topic, first, "changed on all its slots");
  }

  private async finishAltering(topic: TopicDescription): Promise<void> {
    await this.catalogue.setState(topic.uuid, "created");
    this.host.topicPut(topic);
    this.log("info", `topic ${topic.name} is changed${topic.sealed === true ? ": it is sealed" : ""}`);
  }

  /**
   * Takes a topic out of the catalogue, then its partitions and their files from all slots. A slot that is away keeps its part
   * until it is back; the name is free again then.
   */
  async delete(name: string): Promise<TopicDeleted> {
    await this.underWay.get(name)?.done.catch(() => undefined);
    const running = this.deleting.get(name);
    if (running) await running.catch(() => undefined);
    const topic = this.describe(name);
    const done = this.deleteKnown(topic);
    this.deleting.set(name, done);
    try {
      const deleted = await done;
      // Its steps name events that are gone.
      const steps = this.catalogue.get(`${name}.steps`);
      if (steps !== undefined && isThere(steps) && steps.topic.options["stepsOf"] === name) {
        await this.delete(steps.topic.name);
      }
      return deleted;
    } finally {
      this.deleting.delete(name);
    }
  }

  private async deleteKnown(topic: TopicDescription): Promise<TopicDeleted> {
    // Recorded first: were this server to end now, the topic is gone, and its files go at the next start.
    await this.catalogue.setState(topic.uuid, "removing");
    this.host.topicRemove(topic.name);
    const away = await this.removeEverywhere(topic);
    this.log(
      away ? "warning" : "info",
      `topic ${topic.name} is deleted${away ? `; slot ${away.slot} keeps a part of it until it is back` : ""}`,
    );
    return { name: topic.name, uuid: topic.uuid, ...(away ? { away: away.slot } : {}) };
  }

  private answerExisting(there: CatalogueEntry, creation: TopicCreation, requestId: string): TopicCreated {
    if (there.requestId === requestId) return { topic: there.topic, created: true };
    if (creation.ifExists !== "open") {
      throw new WeftError(
        "WEFT_TOPIC_EXISTS",
        `a topic named '${creation.name}' exists since ${there.topic.createdAt}`,
      );
    }
    const difference = differenceFrom(creation.config, there.topic);
    if (difference) {
      throw new WeftError(
        "WEFT_TOPIC_EXISTS",
        `topic '${creation.name}' exists with ${difference.member} ${describeValue(difference.is)}, not ${describeValue(difference.wanted)}`,
        { next: "ask for what it has, or choose another name" },
      );
    }
    return { topic: there.topic, created: false };
  }

  private async createNew(
    name: string,
    config: NormalizedTopicConfig,
    requestId: string,
    leftOver: CatalogueEntry | undefined,
  ): Promise<TopicCreated> {
    if (leftOver) {
      const away = await this.removeEverywhere(leftOver.topic);
      if (away) {
        throw new WeftError(
          "WEFT_PARTITION_UNAVAILABLE",
          `the name '${name}' still belongs to a topic that could not be created, and slot ${away.slot} cannot be asked to remove its part: ${errorWords(away.error)}`,
          { next: `start slot ${away.slot} again, or choose another name` },
        );
      }
    }
    const { slotCount } = this.host.facts();
    const beyond = config.slots?.find((slot) => slot >= slotCount);
    if (beyond !== undefined) {
      throw new WeftError(
        "WEFT_INVALID_ARGUMENT",
        `topic '${name}': slots names slot ${beyond}, but there are ${slotCount} slots, 0 to ${slotCount - 1}`,
      );
    }
    const slots = config.slots ?? placePartitions(config.partitions, slotCount, this.catalogue.begunCount);
    const topic = describeTopic(name, randomUUID(), this.now().toISOString(), config, slots);
    await this.requireSlots(topic, "created");
    await this.catalogue.begin(topic, requestId);
    const failed = await this.createEverywhere(topic);
    if (failed) {
      const away = await this.removeEverywhere(topic);
      if (away) this.log("warning", `topic ${name}: slot ${away.slot} keeps a part of it until it is back`);
      throw failed;
    }
    await this.finish(topic);
    return { topic, created: true };
  }

  /** Before anything is recorded: a slot that is away costs its asker a moment and leaves nothing. */
  private async requireSlots(topic: TopicDescription, what: string): Promise<void> {
    const [away] = await this.eachSlot(topic, (slot) => this.ping(slot));
    if (away) throw notDone(topic, away, what);
  }

  private async ping(slot: number): Promise<void> {
    if (slot !== this.host.facts().slot) await this.host.control(slot, { op: "ping" }, SLOT_PING_TIMEOUT_MS);
  }

  private async finish(topic: TopicDescription): Promise<void> {
    await this.catalogue.setState(topic.uuid, "created");
    this.host.topicPut(topic);
    this.log(
      "info",
      `topic ${topic.name} is created: ${topic.partitions} partitions, ${topic.storage}, ${topic.durability}`,
    );
  }

  /** Asks every slot of the topic, a bounded number of partitions at a time. The first error, naming the slot. */
  private async createEverywhere(topic: TopicDescription): Promise<WeftError | undefined> {
    const errors = await this.eachSlot(topic, (slot, partitions) =>
      slot === this.host.facts().slot
        ? this.partitions.create(topic, partitions)
        : this.host.control(slot, { op: "partition.create", topic, partitions }, SLOT_REQUEST_TIMEOUT_MS),
    );
    return errors[0] && notDone(topic, errors[0], "created");
  }

  /** Removes what the slots have of it, and records how far that went. The first slot that could not be asked. */
  private async removeEverywhere(topic: TopicDescription): Promise<{ slot: number; error: WeftError } | undefined> {
    const { name, uuid } = topic;
    const errors = await this.eachSlot(topic, async (slot, partitions) => {
      if (slot === this.host.facts().slot) return await this.partitions.remove(name, uuid, partitions);
      await this.ping(slot);
      return await this.host.control(slot, { op: "partition.remove", name, uuid, partitions }, SLOT_REQUEST_TIMEOUT_MS);
    });
    await this.catalogue.setState(topic.uuid, errors.length === 0 ? "removed" : "removing");
    return errors[0];
  }

  private async eachSlot(
    topic: TopicDescription,
    action: (slot: number, partitions: number[]) => Promise<unknown>,
  ): Promise<{ slot: number; error: WeftError }[]> {
    const errors: { slot: number; error: WeftError }[] = [];
    await Promise.all(
      [...new Set(topic.slots)].map(async (slot) => {
        const partitions = partitionsOnSlot(topic, slot);
        try {
          for (let from = 0; from < partitions.length; from += PARTITIONS_PER_REQUEST_MAX) {
            await action(slot, partitions.slice(from, from + PARTITIONS_PER_REQUEST_MAX));
          }
        } catch (error) {
          errors.push({
            slot,
            error:
              error instanceof WeftError ? error : new WeftError("WEFT_INTERNAL", errorText(error), { cause: error }),
          });
        }
      }),
    );
    return errors.sort((left, right) => left.slot - right.slot);
  }

  /**
   * Once the other slots can be asked: completes what was being created, removes what could not be, and says which
   * partitions nobody knows.
   */
  async reconcile(): Promise<void> {
    for (const { topic, state } of this.catalogue.entries()) {
      if (state === "creating") await this.settleHalfCreated(topic);
      else if (state === "altering") await this.settleAltering(topic);
      else if (state === "removing") await this.settleRemoving(topic);
    }
    for (const topic of this.partitions.topics()) {
      const entry = this.catalogue.get(topic.name);
      if (entry?.topic.uuid === topic.uuid) continue;
      this.log(
        "warning",
        `this slot holds partitions of topic ${topic.name} (${topic.uuid}) that the catalogue does not know; they are left alone`,
      );
    }
  }

  private async settleHalfCreated(topic: TopicDescription): Promise<void> {
    const failed = await this.createEverywhere(topic);
    if (!failed) {
      await this.finish(topic);
      this.log("info", `topic ${topic.name} was half created when the server ended; it is complete now`);
      return;
    }
    const away = await this.removeEverywhere(topic);
    this.log(
      "warning",
      `topic ${topic.name} was half created when the server ended, and is removed${away ? ` except on slot ${away.slot}` : ""}: ${errorWords(failed)}`,
    );
  }

  private async settleAltering(topic: TopicDescription): Promise<void> {
    const failed = await this.alterEverywhere(topic);
    if (!failed) return await this.finishAltering(topic);
    this.log("warning", `the last change of topic ${topic.name} is not on all its slots: ${errorWords(failed)}`);
  }

  private async settleRemoving(topic: TopicDescription): Promise<void> {
    const away = await this.removeEverywhere(topic);
    this.log(
      away ? "warning" : "info",
      away
        ? `what slot ${away.slot} may have of topic ${topic.name} is still to be removed: ${errorWords(away.error)}`
        : `what was left of topic ${topic.name} is removed`,
    );
  }
}

/** Offered to clients. */
function isThere({ state }: CatalogueEntry): boolean {
  return state === "created" || state === "altering";
}

function notDone(
  topic: TopicDescription,
  { slot, error }: { slot: number; error: WeftError },
  what: string,
): WeftError {
  const away = isAway(error);
  return new WeftError(
    away ? "WEFT_PARTITION_UNAVAILABLE" : error.code,
    `topic '${topic.name}' was not ${what}: slot ${slot}: ${errorWords(error)}`,
    {
      cause: error,
      next: away
        ? `start slot ${slot} again${what === "created" ? ", or name other slots in the topic's config" : ", and ask again"}`
        : error.next,
    },
  );
}

function isAway(error: WeftError): boolean {
  return ["WEFT_PEER_LOST", "WEFT_TIMED_OUT", "WEFT_PARTITION_UNAVAILABLE", "WEFT_GROUP_STALE"].includes(error.code);
}

/** Only members that were asked for count; what was left to the default may be anything. */
function differenceFrom(
  given: TopicConfig | undefined,
  topic: TopicDescription,
): { member: string; wanted: unknown; is: unknown } | undefined {
  const normalized = normalizeTopicConfig(given);
  if (!("config" in normalized) || !given) return undefined;
  const asked = Object.fromEntries(Object.entries(normalized.config).filter(([member]) => member in given));
  return firstDifference(asked, topic);
}
