// Answers the requests of docs/formats/control.md at one slot. JavaScript thread. Bounded: more than
// REQUESTS_UNDER_WAY_MAX at a time are refused, replies have a limit. Never throws: every fault becomes a coded reply.

import { hostname } from "node:os";
import { WeftError } from "../errors.js";
import { errorWords } from "./error-text.js";
import { CONTROL_BYTES_MAX, type ControlRequest, parseControlRequest, REQUESTS_UNDER_WAY_MAX } from "./requests.js";
import type { Log, ServerHost } from "./server-host.js";
import type { SlotPartitions } from "./slot-partitions.js";
import { summarizeTopic } from "./topic-description.js";
import type { Topics } from "./topics.js";

export type ServerState = "starting" | "running" | "draining";

export type ControlReply = { json: string } | { code: WeftError["code"]; text: string };

const LIST_LIMIT_DEFAULT = 100;
const REQUESTS_WAITING_MAX = 4096;
const PARTITIONS_LISTED_MAX = 128; // about 300 bytes each at most

export interface ControlPlaneParts {
  host: ServerHost;
  partitions: SlotPartitions;
  /** Only at slot 0. */
  topics: Topics | undefined;
  version: string;
  log: Log;
  startedAtMs: number;
}

export class ControlPlane {
  state: ServerState = "starting";
  /** Called when a client asks this slot to end. */
  onStopRequest: () => void = () => undefined;
  /** Called when slot 0 says that no client is left in the job. */
  onClientsGone: () => void = () => undefined;
  private underWay = 0;
  private waiting = 0;
  private readonly started: Promise<void>;
  private resolveStarted!: () => void;

  constructor(private readonly parts: ControlPlaneParts) {
    this.started = new Promise((resolve) => {
      this.resolveStarted = resolve;
    });
  }

  /** The start is complete: requests about topics that waited for it are answered. */
  running(): void {
    this.state = "running";
    this.resolveStarted();
  }

  async answer(text: string): Promise<ControlReply> {
    if (this.underWay >= REQUESTS_UNDER_WAY_MAX) {
      return {
        code: "WEFT_BUSY",
        text: `slot ${this.parts.host.facts().slot} has ${REQUESTS_UNDER_WAY_MAX} control requests under way, which is the limit; ask again later`,
      };
    }
    this.underWay++;
    try {
      const json = JSON.stringify(await this.perform(parseControlRequest(text)));
      const bytes = Buffer.byteLength(json);
      if (bytes > CONTROL_BYTES_MAX) {
        throw new WeftError("WEFT_LIMIT", `the reply has ${bytes} bytes; at most ${CONTROL_BYTES_MAX}`, {
          next: "ask for less at a time",
        });
      }
      return { json };
    } catch (error) {
      if (error instanceof WeftError) return { code: error.code, text: errorWords(error) };
      this.parts.log(
        "error",
        `a control request failed: ${error instanceof Error ? (error.stack ?? "") : String(error)}`,
      );
      return { code: "WEFT_INTERNAL", text: String(error) };
    } finally {
      this.underWay--;
    }
  }

  private async perform(request: ControlRequest): Promise<object> {
    const { host, partitions } = this.parts;
    if (this.state === "draining" && request.op !== "ping" && request.op !== "status") {
      throw new WeftError("WEFT_CLOSED", `slot ${host.facts().slot} is draining and takes no ${request.op}`, {
        next: "start the server again",
      });
    }
    // A client may be in before the topics that the server was given are there: it is to find them.
    if (request.op.startsWith("topic.") && this.state === "starting") await this.waitForStart();
    switch (request.op) {
      case "ping":
        return { slot: host.facts().slot };
      case "status":
        return this.status();
      case "server.stop":
        // After the reply is on its way.
        setImmediate(this.onStopRequest);
        return { slot: host.facts().slot };
      case "clients.gone":
        setImmediate(this.onClientsGone);
        return { slot: host.facts().slot };
      case "topic.create":
        return this.topics(request.op).create(request);
      case "topic.list":
        return this.list(request.after, request.limit ?? LIST_LIMIT_DEFAULT);
      case "topic.describe":
        return { topic: this.topics(request.op).describe(request.name) };
      case "topic.delete":
        return this.topics(request.op).delete(request.name);
      case "topic.seal":
        return { topic: await this.topics(request.op).seal(request.name) };
      case "topic.alter":
        return { topic: await this.topics(request.op).alter(request.name, request.change) };
      case "partition.alter":
        return { partitions: await partitions.alter(request.topic, request.partitions) };
      case "partition.create":
        return { partitions: await partitions.create(request.topic, request.partitions) };
      case "partition.remove":
        return { removed: await partitions.remove(request.name, request.uuid, request.partitions) };
      case "partition.state":
        return { partitions: partitions.states(request.uuid, request.partitions) };
      case "partition.list": {
        const { partitions: page, next } = partitions.list(request.after, PARTITIONS_LISTED_MAX);
        return {
          partitions: page.map(({ topic, partition }) => ({ topic: topic.name, uuid: topic.uuid, partition })),
          ...(next === undefined ? {} : { next }),
        };
      }
    }
  }

  private async waitForStart(): Promise<void> {
    if (this.waiting >= REQUESTS_WAITING_MAX) {
      throw new WeftError(
        "WEFT_BUSY",
        `${REQUESTS_WAITING_MAX} requests wait for this slot to start, which is the limit`,
      );
    }
    // One that waits does no work, so it does not count among those under way.
    this.underWay--;
    this.waiting++;
    await this.started;
    this.waiting--;
    this.underWay++;
  }

  private topics(op: string): Topics {
    if (this.parts.topics) return this.parts.topics;
    throw new WeftError(
      "WEFT_INVALID_ARGUMENT",
      `${op} was sent to slot ${this.parts.host.facts().slot}; the catalogue is at slot 0`,
      { next: "send it to slot 0" },
    );
  }

  private list(after: string | undefined, limit: number): object {
    const all = this.topics("topic.list").created();
    const behind = after === undefined ? all : all.filter(({ topic }) => topic.name > after);
    // Names may be long: as many as surely fit, and `next` says that more follow.
    const page = [];
    let bytes = 0;
    for (const { topic } of behind.slice(0, limit)) {
      const summary = summarizeTopic(topic);
      bytes += JSON.stringify(summary).length + 1;
      if (bytes > CONTROL_BYTES_MAX - 1024) break;
      page.push(summary);
    }
    const last = page.at(-1);
    return { topics: page, ...(last && page.length < behind.length ? { next: last.name } : {}) };
  }

  private status(): object {
    const { slot, slotEpoch, slotCount, sessionCount, data, group } = this.parts.host.facts();
    return {
      slot,
      slotEpoch,
      slots: slotCount,
      state: this.state,
      version: this.parts.version,
      data: data ?? null,
      group,
      topics: this.parts.topics?.created().length ?? this.parts.partitions.topics().length,
      partitions: this.parts.partitions.count,
      sessions: sessionCount,
      pid: process.pid,
      host: hostname(),
      uptimeMs: Date.now() - this.parts.startedAtMs,
    };
  }
}
