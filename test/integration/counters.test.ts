// Counters of a client and a server: they count what happened, and docs/counters.md names each of them and no other.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { all, attach, type Job, serve, type Server } from "../../src/index.js";
import { Workplace } from "./support/weftline.js";

type Counters = Record<string, Record<string, number>>;
const eventCount = 100;
const dataBytes = 100_000;

let place: Workplace;
let server: Server;
let job: Job;
beforeAll(async () => {
  place = new Workplace();
  server = await serve({ data: place.path("weft"), signals: false });
  // Over the network, so that there is a transport whose bytes can be told from the server's own.
  job = await attach(server.group, { transports: "tcp" });
  const topic = await job.createTopic<{ step: number }>("field", { durability: "synced" });
  await using out = await topic.producer();
  const region = out.alloc(dataBytes);
  for (let step = 0; step < eventCount; step++) {
    out.push({ step }, step % 10 === 0 ? region : undefined);
    if (step % 10 === 9) await out.flush();
  }
  await using consumer = topic.consumer({ name: "reader", until: "end", select: all });
  for await (const event of consumer) event.ack();
});
afterAll(async () => {
  await job.close();
  await server.close();
  await place.close();
});

describe("counters", () => {
  it("of a client count its batches, frames, requests and commits", () => {
    const { client, fabric } = job.counters() as Counters;
    expect(client).toMatchObject({ batchesResent: 0, batchesFailed: 0, reconnects: 0, messagesMalformed: 0 });
    expect(client?.["batchesSent"]).toBeGreaterThanOrEqual(eventCount / 10);
    expect(client?.["batchesAcknowledged"]).toBe(client?.["batchesSent"]);
    for (const name of ["framesReceived", "fetches", "commits"]) expect(client?.[name], name).toBeGreaterThan(0);
    expect(fabric?.["peersUp"]).toBe(1);
    const { tcp } = fabric?.["transports"] as unknown as Counters;
    expect(tcp?.["messagesSent"]).toBeGreaterThan(eventCount / 10);
    expect(tcp).toMatchObject({ reads: 0, writes: 0, errors: 0 }); // clients answer, servers ask
  });

  it("of a server count what it stored, pulled, synced and sent", () => {
    const counters = server.counters() as Counters;
    const stored = job.counters()["client"] as Record<string, number>;
    expect(counters["server"]).toMatchObject({
      eventsStored: eventCount,
      batchesStored: stored["batchesSent"],
      batchesRepeated: 0,
      batchesRefused: 0,
      dataBytesPulled: (eventCount / 10) * dataBytes,
      dataBytesInline: 0,
      eventsSent: eventCount,
      dataBytesSent: (eventCount / 10) * dataBytes,
      partitions: 1,
      transfersFailed: 0,
    });
    expect(counters["server"]?.["syncs"]).toBeGreaterThan(0);
    expect(counters["server"]?.["syncBatches"]).toBe(stored["batchesSent"]);
    const { tcp } = counters["fabric"]?.["transports"] as unknown as Counters;
    expect(tcp?.["readBytes"]).toBeGreaterThanOrEqual((eventCount / 10) * dataBytes);
    expect(tcp?.["writeBytes"]).toBeGreaterThanOrEqual((eventCount / 10) * dataBytes);
  });

  it("are in docs/counters.md, each of them and no other", () => {
    const text = readFileSync(fileURLToPath(new URL("../../docs/counters.md", import.meta.url)), "utf8");
    const { fabric, client, server: hosted, join } = server.counters() as Counters;
    const { transports, ...lane } = fabric as unknown as { transports: Counters };
    const counted = [lane, transports["tcp"], client, hosted, join].map((part) => Object.keys(part ?? {}));
    const named = text
      .split(/^\| name .*$/m)
      .slice(1)
      .map((table) => [...table.matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name));
    expect(named).toEqual(counted);
    expect(Object.keys(job.counters()).sort()).toEqual(["client", "fabric"]);
  });
});
