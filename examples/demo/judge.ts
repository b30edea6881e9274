/** From the ranks' reports to the outcome: what was lost, whether the replay is identical, where the cursor went on. */
import {
  type AnalysisReport,
  type FlightsReport,
  type Position,
  readReport,
  type ReplayReport,
  type ResumeReport,
  type ServerReport,
  type SimulationReport,
} from "./shared.js";

export interface Row {
  readonly what: string;
  readonly events: number;
  readonly bytes: number;
  readonly seconds: number;
}

export interface Outcome {
  readonly rows: readonly Row[];
  /** Pushed and not found again. */
  readonly eventsLost: number;
  /** Found and not pushed. */
  readonly eventsExtra: number;
  readonly replayIdentical: boolean;
  readonly resumedExactly: boolean;
  /** Events that the first launch had committed, and those that the second one got under the same name. */
  readonly committed: number;
  readonly resumed: number;
  readonly addresses: readonly [string, string];
  readonly ranks: readonly [number, number];
  readonly pictures: readonly string[];
  /** What is wrong, in words; empty if all is well. */
  readonly problems: readonly string[];
}

function fieldProblems(
  simulation: readonly SimulationReport[],
  replay: ReplayReport,
): { lost: number; problems: string[] } {
  const wanted = new Map<string, string>();
  for (const { rank, pushed } of simulation)
    for (const { step, crc32c } of pushed) wanted.set(`${rank}/${step}`, crc32c);
  const problems: string[] = [];
  for (const { rank, step, crc32c } of replay.blocks) {
    const pushed = wanted.get(`${rank}/${step}`);
    if (pushed === undefined)
      problems.push(`field: the block of rank ${rank}, step ${step} came twice or was never pushed`);
    else if (pushed !== crc32c) problems.push(`field: rank ${rank}, step ${step}: pushed ${pushed}, found ${crc32c}`);
    wanted.delete(`${rank}/${step}`);
  }
  for (const key of wanted.keys()) problems.push(`field: the block ${key} (rank/step) is lost`);
  return { lost: wanted.size, problems };
}

function resumeProblems(analysis: AnalysisReport, resume: ResumeReport): string[] {
  const problems: string[] = [];
  const committedOf = (topic: string): readonly Position[] =>
    topic === "field" ? analysis.committed.field : analysis.committed.flights;
  for (const topic of ["field", "flights"]) {
    for (const { partition, offset } of committedOf(topic)) {
      if (!resume.topics.some((part) => part.topic === topic && part.partition === partition))
        problems.push(`${topic}/${partition}: committed up to ${offset}, but the second launch did not take it up`);
    }
  }
  for (const { topic, partition, first, events, contiguous, end, lag } of resume.topics) {
    const name = `${topic}/${partition}`;
    const committed = committedOf(topic).find((position) => position.partition === partition)?.offset ?? 0;
    const left = end - committed;
    if (left > 0 && first !== committed) {
      problems.push(`${name}: committed up to ${committed}, but the second launch began at ${first ?? "nothing"}`);
    }
    if (events !== left) problems.push(`${name}: ${left} events were left, ${events} came`);
    if (!contiguous) problems.push(`${name}: offsets had gaps or repetitions`);
    if (lag !== 0) problems.push(`${name}: ${lag} events stayed uncommitted`);
  }
  return problems;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

export function judge(directories: readonly [string, string], simulationRanks: number): Outcome {
  const [first, second] = directories;
  const simulation = Array.from({ length: simulationRanks }, (_, rank) =>
    readReport<SimulationReport>(first, `gray-scott.${rank}`),
  );
  const flights = readReport<FlightsReport>(first, "flights");
  const analysis = readReport<AnalysisReport>(first, "analysis");
  const replay = readReport<ReplayReport>(second, "replay");
  const resume = readReport<ResumeReport>(second, "resume");
  const servers = [readReport<ServerReport>(first, "server"), readReport<ServerReport>(second, "server")] as const;

  const blocks = sum(simulation.map(({ events }) => events));
  const field = fieldProblems(simulation, replay);
  const problems = [...field.problems];
  if (replay.sha256 !== flights.sha256) {
    problems.push(`flights: the texts pushed have the checksum ${flights.sha256}, those found ${replay.sha256}`);
  }
  if (replay.flightsEvents !== flights.records)
    problems.push(`flights: ${flights.records} were pushed, ${replay.flightsEvents} found`);
  const lost = field.lost + Math.max(0, flights.records - replay.flightsEvents);
  const extra = Math.max(0, replay.fieldEvents - blocks) + Math.max(0, replay.flightsEvents - flights.records);
  const identical = problems.length === 0 && lost === 0 && extra === 0;
  const resumed = resumeProblems(analysis, resume);
  problems.push(...resumed);
  if (analysis.fieldEvents !== blocks) problems.push(`the analysis had ${analysis.fieldEvents} of ${blocks} blocks`);
  if (analysis.flightsEvents !== flights.records) {
    problems.push(`the analysis had ${analysis.flightsEvents} of ${flights.records} flights`);
  }
  if (analysis.pictures.length === 0) problems.push("no picture was drawn");
  if (servers.some(({ address }) => address === "") || servers[0].address === servers[1].address)
    problems.push("the second launch had no address of its own");

  const simulationS = Math.max(...simulation.map(({ seconds }) => seconds));
  return {
    rows: [
      {
        what: "simulation pushed",
        events: blocks,
        bytes: sum(simulation.map(({ bytes }) => bytes)),
        seconds: simulationS,
      },
      { what: "flights pushed", events: flights.records, bytes: flights.bytes, seconds: flights.seconds },
      {
        what: "analysis, field (boxes, pictures)",
        events: analysis.fieldEvents,
        bytes: analysis.boxBytes + analysis.pictureBytes,
        seconds: analysis.fieldSeconds,
      },
      {
        what: "analysis, flights",
        events: analysis.flightsEvents,
        bytes: analysis.flightsBytes,
        seconds: analysis.flightsSeconds,
      },
      { what: "replay, field", events: replay.fieldEvents, bytes: replay.fieldBytes, seconds: replay.fieldSeconds },
      {
        what: "replay, flights",
        events: replay.flightsEvents,
        bytes: replay.flightsBytes,
        seconds: replay.flightsSeconds,
      },
    ],
    eventsLost: lost,
    eventsExtra: extra,
    replayIdentical: identical,
    resumedExactly: resumed.length === 0,
    committed: sum([...analysis.committed.field, ...analysis.committed.flights].map(({ offset }) => offset)),
    resumed: sum(resume.topics.map(({ events }) => events)),
    addresses: [servers[0].address, servers[1].address],
    ranks: [servers[0].ranks, servers[1].ranks],
    pictures: analysis.pictures,
    problems,
  };
}
