// The demo's judge against made-up reports: a launch where all is well passes, and each single thing that can be wrong is
// found, named, and the only problem.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { judge, type Outcome } from "../../../examples/demo/judge.js";
import { writeReport } from "../../../examples/demo/shared.js";

/** Reports of two simulation ranks with two steps each, four flights, and half of it committed. */
function goodReports() {
  const block = (rank: number, step: number) => ({ rank, step, crc32c: `${rank}${step}` });
  const blocks = [block(0, 40), block(1, 40), block(0, 80), block(1, 80)];
  const simulation = [0, 1].map((rank) => ({
    rank,
    ranks: 2,
    events: 2,
    bytes: 200,
    seconds: 1,
    pushed: blocks.filter((one) => one.rank === rank).map(({ step, crc32c }) => ({ step, crc32c })),
  }));
  const resumed = (topic: string, partition: number, first: number | null, events: number) => ({
    ...{ topic, partition, first, events, contiguous: true, end: (first ?? 3) + events, lag: 0 },
  });
  return {
    simulation,
    flights: { records: 4, bytes: 40, seconds: 1, sha256: "ff" },
    analysis: {
      ...{ fieldEvents: 4, boxBytes: 10, pictureBytes: 10, fieldSeconds: 1 },
      ...{ flightsEvents: 4, flightsBytes: 40, flightsSeconds: 1, delayMean: 0, statistics: [] },
      pictures: ["v-00040.png"],
      committed: {
        field: [
          { partition: 0, offset: 1 },
          { partition: 1, offset: 3 },
        ],
        flights: [{ partition: 0, offset: 3 }],
      },
    },
    replay: {
      ...{ fieldEvents: 4, fieldBytes: 400, fieldSeconds: 1, blocks },
      ...{ flightsEvents: 4, flightsBytes: 40, flightsSeconds: 1, sha256: "ff" },
    },
    // Of partition 1 of the field nothing was left.
    resume: { topics: [resumed("field", 0, 1, 2), resumed("field", 1, null, 0), resumed("flights", 0, 3, 2)] },
    servers: [
      { slot: 0, slotEpoch: 1, address: "127.0.0.1:1", ranks: 5 },
      { slot: 0, slotEpoch: 2, address: "127.0.0.2:1", ranks: 3 },
    ],
  };
}
type Reports = ReturnType<typeof goodReports>;

let folders: [string, string];
beforeEach(() => {
  folders = [mkdtempSync(join(tmpdir(), "weftline-test-")), mkdtempSync(join(tmpdir(), "weftline-test-"))];
});
afterEach(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function judged(change: (reports: Reports) => void = () => undefined): Outcome {
  const reports = goodReports();
  change(reports);
  const [first, second] = folders;
  for (const report of reports.simulation) writeReport(first, `gray-scott.${report.rank}`, report);
  writeReport(first, "flights", reports.flights);
  writeReport(first, "analysis", reports.analysis);
  writeReport(second, "replay", reports.replay);
  writeReport(second, "resume", reports.resume);
  for (const [index, report] of reports.servers.entries()) writeReport(folders[index] ?? "", "server", report);
  return judge(folders, 2);
}

/** Fails where a made-up report has no such entry. */
function at<Item>(list: readonly Item[], index: number): Item {
  const item = list[index];
  if (item === undefined) throw new Error(`there is no item ${index}`);
  return item;
}

it("finds nothing where nothing is wrong", () => {
  expect(judged()).toMatchObject({
    problems: [],
    ...{ eventsLost: 0, eventsExtra: 0, replayIdentical: true, resumedExactly: true, committed: 7, resumed: 4 },
    addresses: ["127.0.0.1:1", "127.0.0.2:1"],
    ranks: [5, 3],
  });
});

describe("finds", () => {
  const cases: [what: string, change: (reports: Reports) => void, problem: RegExp, outcome: Partial<Outcome>][] = [
    [
      "a lost block",
      ({ replay }) => {
        replay.blocks = replay.blocks.slice(1);
        replay.fieldEvents--;
      },
      /^field: the block 0\/40 .* is lost$/,
      { eventsLost: 1, replayIdentical: false, resumedExactly: true },
    ],
    [
      "a changed checksum",
      ({ replay }) => (at(replay.blocks, 3).crc32c = "other"),
      /^field: rank 1, step 80: pushed 180, found other$/,
      { replayIdentical: false },
    ],
    [
      "a block that came twice",
      ({ replay }) => {
        replay.blocks = [...replay.blocks, at(replay.blocks, 2)];
        replay.fieldEvents++;
      },
      /^field: the block of rank 0, step 80 came twice/,
      { eventsExtra: 1, eventsLost: 0, replayIdentical: false },
    ],
    [
      "changed flights",
      ({ replay }) => (replay.sha256 = "00"),
      /^flights: .* checksum ff, those found 00$/,
      { replayIdentical: false },
    ],
    [
      "a number of flights that is not that of those pushed",
      ({ replay }) => (replay.flightsEvents = 3),
      /^flights: 4 were pushed, 3 found$/,
      { eventsLost: 1, replayIdentical: false },
    ],
    [
      "a position that is one too far",
      ({ resume }) => {
        const part = at(resume.topics, 0);
        Object.assign(part, { first: 2, events: 2 });
      },
      /^field\/0: committed up to 1, but the second launch began at 2$/,
      { resumedExactly: false, replayIdentical: true },
    ],
    [
      "a position that is one behind",
      ({ analysis }) => (at(analysis.committed.field, 1).offset = 2),
      /^field\/1: committed up to 2, but the second launch began at nothing$/,
      { resumedExactly: false },
    ],
    [
      "an event that did not come again",
      ({ resume }) => at(resume.topics, 2).events--,
      /^flights\/0: 2 events were left, 1 came$/,
      { resumedExactly: false },
    ],
    [
      "offsets with a gap",
      ({ resume }) => (at(resume.topics, 0).contiguous = false),
      /^field\/0: offsets had gaps/,
      { resumedExactly: false },
    ],
    [
      "events that stayed uncommitted",
      ({ resume }) => (at(resume.topics, 0).lag = 1),
      /^field\/0: 1 events stayed uncommitted$/,
      { resumedExactly: false },
    ],
    [
      "a partition that nobody took up again",
      ({ resume }) => (resume.topics = resume.topics.slice(1)),
      /^field\/0: .* second launch did not take it up$/,
      { resumedExactly: false },
    ],
    [
      "an analysis that missed a block",
      ({ analysis }) => analysis.fieldEvents--,
      /^the analysis had 3 of 4 blocks$/,
      { replayIdentical: true },
    ],
    ["an analysis that missed a flight", ({ analysis }) => analysis.flightsEvents--, /^the analysis had 3 of 4 f/, {}],
    ["a launch without a picture", ({ analysis }) => (analysis.pictures = []), /^no picture was drawn$/, {}],
    [
      "equal addresses",
      ({ servers }) => (at(servers, 1).address = at(servers, 0).address),
      /^the second launch had no address of its own$/,
      {},
    ],
  ];
  it.each(cases)("%s", (_, change, problem, outcome) => {
    const found = judged(change);
    // A position that is wrong is wrong in its number of events too; nothing else is.
    const [first, ...more] = found.problems;
    expect(first).toMatch(problem);
    for (const text of more) expect(text.split(":")[0]).toBe(first?.split(":")[0]);
    expect(found).toMatchObject(outcome);
  });
});
