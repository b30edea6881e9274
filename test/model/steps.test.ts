// Steps: parts of several ranks that are seen together or not at all, whoever dies in the middle; boxes out of them.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { type StepProducer, type Topic, attach } from "../../src/index.js";
import { launchers } from "../integration/support/launchers.js";
import { Workplace, parseLines, until } from "../integration/support/weftline.js";
import { Place, errorOf } from "./support.js";

interface Part {
  n: number;
  rank: number;
}
const program = fileURLToPath(new URL("../../build/ts/test/programs/stepping.js", import.meta.url));
const shape = [8, 6];

let place: Place;
beforeAll(async () => {
  place = await Place.open();
});
afterAll(async () => {
  await place.close();
});

async function groupOf(topic: Topic<Part>, size: number, run: string): Promise<StepProducer<Part>[]> {
  const open = (_: unknown, rank: number) => topic.stepProducer({ group: { rank, size, run } });
  return await Promise.all(Array.from({ length: size }, open));
}
async function closeAll(group: readonly StepProducer<Part>[]): Promise<void> {
  await Promise.all(group.map((out) => out.close()));
}

/** Its rows; item `at` of the array is 100 * n + at. */
function pushRows(out: StepProducer<Part>, number: number): ReturnType<StepProducer<Part>["step"]> {
  const { rank, size } = out;
  const step = out.step(number);
  const [from, end] = [Math.floor((8 * rank) / size), Math.floor((8 * (rank + 1)) / size)];
  const data = Float64Array.from({ length: (end - from) * 6 }, (_, at) => 100 * number + from * 6 + at);
  step.push({ n: number, rank }, data, { array: { shape, origin: [from, 0], size: [end - from, 6], itemSize: 8 } });
  return step;
}
async function makeStep(group: readonly StepProducer<Part>[], number: number): Promise<void> {
  await Promise.all(group.map((out) => pushRows(out, number).commit({ signal: AbortSignal.timeout(30_000) })));
}

const numbers = (bytes: Uint8Array): number[] => [
  ...new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8),
];
const wholeOf = (number: number): number[] => Array.from({ length: 48 }, (_, at) => 100 * number + at);

/** All steps there are, each checked to be whole. */
async function stepsOf(topic: Topic<Part>, ranks: number): Promise<number[]> {
  const seen: number[] = [];
  for await (const step of topic.consumer({ from: "earliest", until: "end" }).steps()) {
    expect(step.parts.map(({ rank }) => rank)).toEqual(Array.from({ length: ranks }, (_, rank) => rank));
    expect(step.parts.every(({ metadata }) => metadata.n === step.number)).toBe(true);
    expect(numbers(await step.assemble())).toEqual(wholeOf(step.number));
    seen.push(step.number);
  }
  return seen;
}

describe.each(["disk", "memory"] as const)("steps of three ranks, storage %s", (storage) => {
  it("come whole, in order, with boxes out of several parts, and end with the topic", async () => {
    const name = `field-${storage}`;
    const topic = await place.job.createTopic<Part>(name, { partitions: 4, storage, producers: 3 });
    const group = await groupOf(topic, 3, "first");
    const seen: number[] = [];
    const reading = (async () => {
      const memory = new Float64Array(6);
      for await (const step of topic.consumer({ signal: AbortSignal.timeout(60_000) }).steps()) {
        expect(step.ranks).toBe(3);
        expect(numbers(await step.assemble())).toEqual(wholeOf(step.number));
        const box = { origin: [1, 2], size: [6, 1] }; // a column through all parts
        expect(numbers(await step.assemble(box, { into: memory }))).toEqual(
          Array.from({ length: 6 }, (_, row) => 100 * step.number + (row + 1) * 6 + 2),
        );
        expect(memory[0]).toBe(100 * step.number + 8);
        const [part] = step.parts;
        expect(numbers((await part?.fetch()) ?? new Uint8Array())).toHaveLength((part?.dataLength ?? 0) / 8);
        expect(numbers(await step.assemble({ origin: [0, 0], size: [0, 6] }))).toEqual([]);
        seen.push(step.number);
      }
    })();
    for (let number = 0; number < 10; number++) await makeStep(group, number);
    expect(group.map((out) => out.lastStep)).toEqual([9, 9, 9]);
    await closeAll(group);
    await reading; // ends by itself
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

describe("a step that is not committed", () => {
  it("is seen by nobody: given up by a rank, or of ranks that do not agree on its number", async () => {
    const topic = await place.job.createTopic<Part>("given-up", { partitions: 2 });
    const group = await groupOf(topic, 3, "first");
    await makeStep(group, 5);
    const [zero, one, two] = group as [StepProducer<Part>, StepProducer<Part>, StepProducer<Part>];
    const others = [zero, one].map((out) => errorOf("WEFT_STEP_FAILED", () => pushRows(out, 6).commit()));
    await pushRows(two, 6).abandon("its solver diverged");
    for (const { message } of await Promise.all(others)) expect(message).toContain("rank 2: its solver diverged");
    // The parts are stored, as events; the next step is a step again.
    const attempts = group.map((out, rank) => errorOf("WEFT_STEP_FAILED", () => pushRows(out, 7 + rank).commit()));
    for (const { message } of await Promise.all(attempts)) expect(message).toMatch(/rank \d is at step \d/);
    // A rank that is late for one that was given up, while the others are at the next.
    await zero.step(6).abandon();
    const late = errorOf("WEFT_STEP_FAILED", () => pushRows(two, 6).commit());
    const [retriedZero, retriedOne] = [pushRows(zero, 7), pushRows(one, 7)];
    const committed = [retriedZero.commit()];
    await late;
    await errorOf("WEFT_STEP_FAILED", () => retriedOne.commit());
    committed.push(pushRows(one, 7).commit(), pushRows(two, 7).commit());
    await Promise.all(committed);
    await closeAll(group);
    const again = await groupOf(topic, 3, "second");
    expect(again.map((out) => out.lastStep)).toEqual([7, 7, 7]);
    await makeStep(again, 8);
    await closeAll(again);
    expect(await stepsOf(topic, 3)).toEqual([5, 7, 8]);
  });

  it("is begun with a number that is free, one at a time, and ended once", async () => {
    const topic = await place.job.createTopic<Part>("misused");
    await using out = await topic.stepProducer();
    const step = out.step(3);
    await errorOf("WEFT_BUSY", () => out.step(4));
    await errorOf("WEFT_INVALID_ARGUMENT", () =>
      step.push({ n: 3, rank: 0 }, new Float64Array(5), {
        array: { shape, origin: [0, 0], size: [1, 6], itemSize: 8 },
      }),
    );
    await step.commit();
    await errorOf("WEFT_CLOSED", () => step.commit());
    await errorOf("WEFT_CLOSED", () => step.push({ n: 3, rank: 0 }));
    await errorOf("WEFT_INVALID_ARGUMENT", () => out.step(3));
    await errorOf("WEFT_INVALID_ARGUMENT", () => out.step(0.5));
    for (const group of [
      { rank: 2, size: 2, run: "x" },
      { rank: 0, size: 0, run: "x" },
      { rank: 0, size: 1, run: "" },
    ]) {
      await errorOf("WEFT_INVALID_ARGUMENT", () => topic.stepProducer({ group }));
    }
    const raw = await place.job.createTopic<Part>("raw-steps", { serializer: "raw" });
    await errorOf("WEFT_UNSUPPORTED", () => raw.stepProducer());
    await place.job.createTopic("taken");
    await place.job.createTopic("taken.steps");
    await errorOf("WEFT_TOPIC_EXISTS", async () => (await place.job.topic<Part>("taken")).stepProducer());
  });

  it("asks for boxes that there are", async () => {
    const topic = await place.job.createTopic<Part>("boxes");
    await using out = await topic.stepProducer();
    const step = out.step(0);
    const part = { shape: [4], origin: [0], size: [2], itemSize: 8 };
    step.push({ n: 0, rank: 0 }, new Float64Array(2), { array: part });
    step.push({ n: 0, rank: 0 }, new Float64Array(2), { array: { ...part, name: "other", shape: [2] } });
    step.push({ n: 0, rank: 0 }, new Float64Array(2), { array: { ...part, name: "odd" } });
    step.push({ n: 0, rank: 0 }, new Float64Array(2), { array: { ...part, name: "odd", shape: [5] } });
    step.push({ n: 0, rank: 0 });
    await step.commit();
    for await (const read of topic.consumer({ from: "earliest", until: "end" }).steps()) {
      expect(read.parts).toHaveLength(5);
      expect(numbers(await read.assemble({ origin: [0], size: [2] }))).toEqual([0, 0]);
      expect(numbers(await read.assemble(undefined, { array: "other" }))).toEqual([0, 0]);
      await errorOf("WEFT_SELECTION_OUTSIDE", () => read.assemble());
      await errorOf("WEFT_SELECTION_OUTSIDE", () => read.assemble({ origin: [3], size: [2] }));
      await errorOf("WEFT_INVALID_ARGUMENT", () => read.assemble({ origin: [0, 0], size: [2, 1] }));
      await errorOf("WEFT_INVALID_ARGUMENT", () => read.assemble({ origin: [0.5], size: [1] }));
      await errorOf("WEFT_INVALID_ARGUMENT", () => read.assemble(undefined, { array: "none" }));
      await errorOf("WEFT_INVALID_ARGUMENT", () => read.assemble(undefined, { array: "odd" }));
      const [small] = [new Float64Array(1)];
      await errorOf("WEFT_INVALID_ARGUMENT", () => read.assemble({ origin: [0], size: [2] }, { into: small }));
    }
  });
});

describe("a step of which retention removed a part", () => {
  it("is an error for who goes on, and passed over by who begins; never a part of it is given", async () => {
    const topic = await place.job.createTopic<Part>("forgotten", {
      segmentBytes: "1 MiB",
      retention: { bytes: "2 MiB" },
    });
    await using out = await topic.stepProducer();
    const push = async (number: number): Promise<void> => {
      const step = out.step(number);
      for (let part = 0; part < 2; part++) step.push({ n: number, rank: part }, new Uint8Array(450_000).fill(number));
      await step.commit();
    };
    await push(0);
    const named = topic.consumer({ name: "plots" }).steps();
    expect((await named.next()).value?.number).toBe(0);
    await named.return();
    for (let number = 1; number < 10; number++) await push(number);
    await expect
      .poll(async () => (await topic.partition(0)).firstOffset, { timeout: 20_000, message: "retention" })
      .toBeGreaterThan(4);
    const { firstOffset } = await topic.partition(0);
    const error = await errorOf("WEFT_OFFSET_GONE", () =>
      topic
        .consumer({ name: "plots", from: { offset: 0 } })
        .steps()
        .next(),
    );
    expect(error.message).toContain(`step 0 of topic 'forgotten' is not whole any more`);
    const seen: number[] = [];
    for await (const step of topic.consumer({ name: "plots", until: "end" }).steps()) {
      for (const part of step.parts) expect((await part.fetch()).every((byte) => byte === step.number)).toBe(true);
      expect(step.parts).toHaveLength(2);
      seen.push(step.number);
    }
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9].filter((number) => 2 * number >= firstOffset));
  });
});

it("a commit that is given up names the ranks that it waited for", async () => {
  const topic = await place.job.createTopic<Part>("waiting");
  const group = await groupOf(topic, 3, "first");
  const [zero, one] = group as [StepProducer<Part>, StepProducer<Part>];
  const commits = [zero, one].map((out) =>
    errorOf("WEFT_CANCELLED", () => pushRows(out, 4).commit({ signal: AbortSignal.timeout(1500) })),
  );
  const [first, second] = await Promise.all(commits);
  expect(first?.message).toContain("the commit of step 4 of topic 'waiting' was cancelled");
  expect(first?.message).toContain("waited for the vote of rank 2");
  expect(second?.message).toContain("waited for the commit by rank 0");
  expect(first?.cause).toMatchObject({ name: "TimeoutError" });
  await closeAll(group);
});

describe("an assembly", () => {
  it("asks each server once for all of its parts", async () => {
    const topic = await place.job.createTopic<Part>("asked-once", {
      partitions: 4,
      partitionSelector: { keyAt: "/rank" }, // not by chance all in one partition
    });
    const group = await groupOf(topic, 4, "first");
    await makeStep(group, 0);
    await closeAll(group);
    const requests = (): number =>
      (place.server.counters() as { server: { dataRequests: number } }).server.dataRequests;
    let assembled = 0;
    for await (const step of topic.consumer({ from: "earliest", until: "end" }).steps()) {
      expect(new Set(step.parts.map(({ partition }) => partition)).size).toBeGreaterThan(1);
      const before = requests();
      expect(numbers(await step.assemble())).toEqual(wholeOf(0));
      expect(numbers(await step.assemble({ origin: [0, 5], size: [8, 1] }))).toEqual(
        Array.from({ length: 8 }, (_, row) => row * 6 + 5),
      );
      expect(requests()).toBe(before + 2);
      assembled++;
    }
    expect(assembled).toBe(1);
  });

  it("that its consumer's end meets is whole, or an error", async () => {
    const topic = await place.job.createTopic<Part>("ended-early", { partitions: 4 });
    const group = await groupOf(topic, 4, "first");
    for (let number = 0; number < 5; number++) await makeStep(group, number);
    await closeAll(group);
    for (let round = 0; round < 10; round++) {
      const under: Promise<Uint8Array | Error>[] = [];
      const memories: Float64Array[] = [];
      for await (const step of topic.consumer({ from: "earliest", until: "end" }).steps()) {
        for (let i = 0; i < 8; i++) {
          const memory = new Float64Array(48).fill(-1);
          memories.push(memory);
          under.push(step.assemble(undefined, { into: memory }).catch((error: unknown) => error as Error));
        }
        if (round % 3 === 0) await under[0];
        break;
      }
      const outcomes = await Promise.all(under);
      outcomes.forEach((outcome, at) => {
        if (outcome instanceof Error) {
          expect(outcome).toMatchObject({ code: "WEFT_CLOSED" });
          expect(new Set(memories[at])).toEqual(new Set([-1]));
        } else {
          expect([...(memories[at] ?? [])]).toEqual(wholeOf(0));
        }
      });
    }
    expect(await stepsOf(topic, 4)).toEqual([0, 1, 2, 3, 4]);
  });
});

it("a consumer goes on behind the step that it acknowledged, also over a restart of the server", async () => {
  const topic = await place.job.createTopic<Part>("followed", { partitions: 2, retention: { consumedBy: ["plots"] } });
  const group = await groupOf(topic, 2, "first");
  for (let number = 0; number < 4; number++) await makeStep(group, number);
  const read = async (of: Topic<Part>, count: number): Promise<number[]> => {
    const seen: number[] = [];
    for await (const step of of.consumer({ name: "plots", until: "end" }).steps()) {
      seen.push(step.number);
      step.ack();
      if (seen.length === count) break;
    }
    return seen;
  };
  expect(await read(topic, 2)).toEqual([0, 1]);
  await closeAll(group);
  await place.restart();
  const again = await place.job.topic<Part>("followed");
  const more = await groupOf(again, 2, "second");
  expect(more.map((out) => out.lastStep)).toEqual([3, 3]);
  await makeStep(more, 4);
  await closeAll(more);
  expect(await read(again, 99)).toEqual([2, 3, 4]);
  expect(await read(again, 99)).toEqual([]);
});

describe("ranks in processes of their own, without MPI", () => {
  const children: ChildProcess[] = [];
  const words = new Map<ChildProcess, string>();
  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  });
  function rank(group: string, topic: string, number: number, run: string, last: number, mode: string): ChildProcess {
    const argv = [program, "log", group, topic, String(number), "2", run, String(last), mode];
    const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
    words.set(child, "");
    child.stdout.on("data", (chunk: Buffer) => words.set(child, `${words.get(child) ?? ""}${chunk.toString()}`));
    children.push(child);
    return child;
  }
  const said = async (child: ChildProcess, text: string): Promise<void> => {
    await until(`'${text}'`, () => words.get(child)?.includes(text));
  };

  it.each([0, 1])(
    "rank %i is killed in the middle of a step: it is no step; the next start makes it anew",
    async (dies) => {
      const name = `killed-${dies}`;
      const topic = await place.job.createTopic<Part>(name, { partitions: 2 });
      const { group } = place.server;
      const start = (number: number, run: string, last: number, mode: string): ChildProcess =>
        rank(group, name, number, run, last, mode);
      const killed = start(dies, "one", 3, "push");
      const other = start(1 - dies, "one", 3, "commit");
      await said(killed, "pushed");
      killed.kill("SIGKILL");
      await once(killed, "exit");
      expect(await stepsOf(topic, 2)).toEqual([0, 1, 2]);
      other.kill("SIGKILL");
      await once(other, "exit");
      const next = [start(0, "two", 4, "commit"), start(1, "two", 4, "commit")] as const;
      for (const child of next) await said(child, "done");
      expect(words.get(next[0])).toContain("last 2");
      expect(await stepsOf(topic, 2)).toEqual([0, 1, 2, 3, 4]);
    },
  );

  it("the server is killed again and again: what consumers see are whole steps, and all that were committed", async () => {
    const there = new Workplace();
    try {
      const data = there.path("weft");
      let server = await there.serve(["--data", data]);
      await there.ok(["topic", "create", "field", "--partitions", "2", "--group", path.join(data, "group")]);
      const group = path.join(data, "group");
      let committed = -1;
      for (let round = 0; round < 4; round++) {
        const ranks = [0, 1].map((number) => rank(group, "field", number, `run ${round}`, 1000, "commit"));
        await using job = await attach(group);
        const topic = await job.topic<Part>("field");
        const consumer = topic.consumer({ from: "latest", signal: AbortSignal.timeout(60_000) });
        let seen = 0;
        for await (const step of consumer.steps()) {
          expect(numbers(await step.assemble())).toEqual(wholeOf(step.number));
          committed = Math.max(committed, step.number);
          if (++seen === 3 + round) break;
        }
        server.child.kill("SIGKILL");
        await server.finished;
        for (const child of ranks) child.kill("SIGKILL");
        await Promise.all(ranks.map(async (child) => void (await once(child, "exit"))));
        server = await there.serve(["--data", data]);
      }
      await using job = await attach(group);
      const all = await stepsOf(await job.topic<Part>("field"), 2);
      expect(all.at(-1)).toBeGreaterThanOrEqual(committed);
      expect(all).toEqual(Array.from({ length: all.length }, (_, number) => number));
    } finally {
      await there.close();
    }
  });
});

describe.each(launchers)("under $mpi", ({ program: mpiexec, argv, env, there }) => {
  it.skipIf(!there)("ranks of a communicator make steps", async () => {
    const workplace = new Workplace();
    try {
      const node = [process.execPath, program];
      const servers = ["-n", "1", ...node, "serve", workplace.path("weft")];
      const launch = workplace.startProgram(mpiexec, [...argv, ...servers, ":", "-n", "3", ...node, "steps"], { env });
      const { exitCode, output, words: said } = await launch.finished;
      expect(exitCode, said + output.toString()).toBe(0);
      expect(parseLines(output)).toEqual([0, 1, 2, 3, 4].map((step) => ({ step, ranks: [0, 1, 2], isRight: true })));
    } finally {
      await workplace.close();
    }
  });
});
