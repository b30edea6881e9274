// A native core in memory for serve(): notes the order of calls, opens partitions at once, stops when told.
import type { NativeBinding, NativePartitionRules } from "../../../src/native/binding.js";
import { completionKind } from "../../../src/native/completions.js";
import { errorTable } from "../../../src/native/error-codes.js";
import type { WeftError } from "../../../src/errors.js";
import { type ErrorCode } from "../../../src/errors.js";
import { crc32c } from "./support.js";

interface Record64 {
  kind: number;
  code: number;
  tag: bigint;
  values: bigint[];
  text?: string;
}

export class FakeCore {
  readonly calls: string[] = [];
  readonly replies: { request: bigint; code: number; text: string }[] = [];
  sessionCount = 0;
  clientCount = 0;
  /** Since the start. */
  clientsOpened = 0;
  countersAsked = 0;
  slot = 0;
  slotCount = 1;
  /** Thrown by the call of that name. */
  readonly failures = new Map<string, WeftError>();
  #queue: Record64[] = [];
  #wake: () => void = () => undefined;

  complete(kind: number, tag: number | bigint, values: number[] = [], text?: string): void {
    this.#queue.push({
      kind,
      code: 0,
      tag: BigInt(tag),
      values: values.map(BigInt),
      ...(text === undefined ? {} : { text }),
    });
    setImmediate(() => this.#wake());
  }

  /** A client's request arrives. */
  request(request: bigint, json: object): void {
    this.complete(completionKind.controlRequest, request, [1], JSON.stringify(json));
  }

  log(level: number, line: string): void {
    this.complete(completionKind.log, 0, [level], line);
  }

  #call(name: string, detail = ""): void {
    this.calls.push(detail === "" ? name : `${name} ${detail}`);
    const failure = this.failures.get(name);
    if (failure) throw failure;
  }

  readonly binding = {
    version: "0.1.0",
    codeName: (code: number) => Object.entries(errorTable).find(([, entry]) => entry.number === code)?.[0] as ErrorCode,
    codeMeaning: () => "",
    crc32c: (bytes: Uint8Array) => crc32c(bytes),
    joinBegin: () => (this.#call("joinBegin"), {}),
    joinFinish: (_job: unknown, server: unknown, failure: string | null) =>
      this.#call("joinFinish", server === null ? `failure: ${failure}` : ""),
    jobClose: () => {
      this.#call("jobClose");
      return Promise.resolve();
    },
    jobFacts: () => ({ serverCount: this.slotCount, groupRank: 0 }),
    jobCounters: () => {
      this.countersAsked++;
      return JSON.stringify({ server: { clients: this.clientCount, clientsOpened: this.clientsOpened } });
    },
    jobSetWake: (_job: unknown, wake: () => void) => (this.#wake = wake),
    jobSetReferenced: () => undefined,
    jobPoll: (_job: unknown, records: ArrayBuffer, extras: unknown[]) => {
      const some = this.#queue.splice(0, records.byteLength / 64);
      const view = new DataView(records);
      some.forEach(({ kind, code, tag, values, text }, index) => {
        const at = index * 64;
        view.setUint32(at, kind, true);
        view.setInt32(at + 4, code, true);
        view.setBigUint64(at + 8, tag, true);
        for (let word = 0; word < 4; word++) view.setBigUint64(at + 16 + 8 * word, values[word] ?? 0n, true);
        extras[index] = text;
      });
      return some.length;
    },
    serverStart: (_job: unknown, options: { data?: string }) => (
      this.#call("serverStart", options.data ?? "memory"),
      {}
    ),
    serverStopAsync: (_server: unknown, timeoutMs: number, tag: number) => {
      this.#call("serverStop", String(timeoutMs));
      this.complete(completionKind.server, tag);
    },
    serverFacts: () => ({
      slot: this.slot,
      slotEpoch: 3,
      sessionCount: this.sessionCount,
      data: "/data",
      group: "/data/group",
    }),
    serverTopicPut: (_server: unknown, topic: { name: string }) => this.#call("topicPut", topic.name),
    serverTopicRemove: () => undefined,
    serverPartitionOpenAsync: (_server: unknown, spec: { topic: string; partition: number }, tag: number) => {
      this.#call("partitionOpen", `${spec.topic}/${spec.partition}`);
      this.complete(completionKind.server, tag, [0, 5, 1], "");
    },
    serverPartitionAlterAsync: (
      _server: unknown,
      _uuid: unknown,
      partition: number,
      rules: NativePartitionRules,
      tag: number,
    ) => {
      this.#call("partitionAlter", `${partition} ${JSON.stringify(rules)}`);
      this.complete(completionKind.server, tag);
    },
    serverPartitionCloseAsync: (_server: unknown, _uuid: unknown, partition: number, remove: boolean, tag: number) => {
      this.#call("partitionClose", `${partition} ${remove}`);
      this.complete(completionKind.server, tag);
    },
    controlAsync: (_job: unknown, slot: number, json: string, _timeoutMs: number, tag: number) => {
      this.#call("control", `${slot} ${json}`);
      this.complete(completionKind.control, tag, [], "{}");
    },
    serverPartitionDescribe: () => "{}",
    serverControlReply: (_server: unknown, request: bigint, code: number, text: string) => {
      this.replies.push({ request, code, text });
    },
  } as unknown as NativeBinding;
}
