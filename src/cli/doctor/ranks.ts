// `weftline doctor --ranks`: every rank of a launch joins MPI, no server needed, looks at its own node, and measures
// against ranks of the other nodes; rank 0 prints what all found. Collective from begin to end: what goes wrong on one rank
// alone is told to all, so that none is left waiting.

import { hostname } from "node:os";
import { asError, isWeftError } from "../../errors.js";
import { Communicator } from "../../job/communicator.js";
import type { JobHandle, NativeBinding, ProbeHandle } from "../../native/binding.js";
import { Completions } from "../../native/completions.js";
import { columns, type Terminal } from "../terminal.js";
import { bad, type Finding, findingLines, note, ok, summary } from "./finding.js";
import { type Measurement, rateText, timeText } from "./native-report.js";
import { schedule, type Schedule } from "./pairing.js";
import { measure } from "./self-test.js";

const CLOCK_SKEW_US_MAX = 1000;

export interface RankCard {
  readonly rank: number;
  readonly host: string;
  readonly nodeRank: number;
  /** Of the first rank of a node all, of the others those that are not ok. */
  readonly findings: readonly Finding[];
  /** Of the rank's probe, in base64; "" where it has none. */
  readonly address: string;
}

export interface Pair {
  readonly from: number;
  readonly to: number;
  readonly fromHost: string;
  readonly toHost: string;
  readonly measured?: Measurement;
  readonly error?: string;
}

export interface RanksOptions {
  readonly transports?: string | undefined;
  readonly bind?: string | undefined;
  /** What this rank finds on its own: `first` is true for one rank of each node. */
  readonly look: (first: boolean) => Promise<Finding[]>;
}

/** The ranks of each host, in order of rank. */
export function nodesOf(cards: readonly { readonly rank: number; readonly host: string }[]): Map<string, number[]> {
  const nodes = new Map<string, number[]>();
  for (const { rank, host } of cards) nodes.set(host, [...(nodes.get(host) ?? []), rank]);
  return nodes;
}

/** "0-3, 6". */
export function rankList(ranks: readonly number[]): string {
  const parts: string[] = [];
  for (let at = 0; at < ranks.length;) {
    let last = at;
    while (ranks[last + 1] === (ranks[last] ?? 0) + 1) last++;
    parts.push(last === at ? `${ranks[at]}` : `${ranks[at]}-${ranks[last]}`);
    at = last + 1;
  }
  return parts.join(", ");
}

/** What is not ok, each once, with the ranks that it holds for. */
export function merged(cards: readonly RankCard[]): Finding[] {
  const ranks = new Map<string, { finding: Finding; ranks: number[] }>();
  for (const { rank, findings } of cards) {
    for (const finding of findings.filter(({ state }) => state !== "ok")) {
      const key = JSON.stringify(finding);
      const known = ranks.get(key) ?? { finding, ranks: [] };
      if (!known.ranks.includes(rank)) known.ranks.push(rank);
      ranks.set(key, known);
    }
  }
  return [...ranks.values()].map(({ finding, ranks: those }) => ({
    ...finding,
    text: `${those.length === cards.length ? "all ranks" : `rank ${rankList(those)}`}: ${finding.text}`,
  }));
}

function clockFinding(pairs: readonly Pair[]): Finding[] {
  const measured = pairs.flatMap((pair) => (pair.measured === undefined ? [] : [pair.measured]));
  if (measured.length === 0) return [];
  const apart = Math.max(...measured.map(({ clockOffsetUs, clockErrorUs }) => Math.abs(clockOffsetUs) - clockErrorUs));
  if (apart <= 0) {
    const error = Math.max(...measured.map(({ clockErrorUs }) => clockErrorUs));
    return [ok("clock", `the ranks' clocks agree, as far as can be seen (to ${timeText(error)})`)];
  }
  const text = `the ranks' clocks differ by up to ${timeText(apart)}`;
  return apart <= CLOCK_SKEW_US_MAX
    ? [ok("clock", text)]
    : [
        note(
          "clock",
          `${text}: time stamps of events are their producers' own`,
          "ask the site for chrony on compute nodes; `from: time` uses the server's clock",
        ),
      ];
}

function pairFindings(pairs: readonly Pair[], { rounds, roundsWanted }: Schedule): Finding[] {
  const failed = pairs.filter(({ error }) => error !== undefined);
  return [
    ...failed.map(({ from, to, fromHost, toHost, error }) =>
      bad(
        "pair",
        `ranks ${from} (${fromHost}) and ${to} (${toHost}): ${error}`,
        "allow a transport that both have; look at VNIs, firewalls, and --bind with the address of a network that both nodes have",
      ),
    ),
    ...(roundsWanted > rounds.length
      ? [note("pair", `${roundsWanted - rounds.length} of ${roundsWanted} rounds of pairs were left out`)]
      : []),
    ...(pairs.length === 0
      ? [note("pair", "one rank: there is nobody to measure against", "launch two or more, on different nodes")]
      : []),
  ];
}

function pairTable(pairs: readonly Pair[]): string {
  const rows = pairs.map(({ from, to, fromHost, toHost, measured }) => [
    `${from} ${fromHost} - ${to} ${toHost}`,
    ...(measured === undefined
      ? ["failed"]
      : [
          measured.transport,
          timeText(measured.latencyP50Us),
          timeText(measured.latencyP99Us),
          rateText(measured.readBytesPerSecond),
          rateText(measured.writeBytesPerSecond),
          `${timeText(measured.clockOffsetUs)} (+- ${timeText(measured.clockErrorUs)})`,
        ]),
  ]);
  return columns([["pair", "transport", "one way", "p99", "reads", "writes", "clock"], ...rows]);
}

interface World {
  readonly communicator: Communicator;
  readonly mpi: string;
  readonly nodeRank: number;
}

async function gather(
  binding: NativeBinding,
  world: World,
  options: RanksOptions,
): Promise<{ cards: RankCard[]; pairs: Pair[]; plan: Schedule }> {
  const { communicator } = world;
  const findings: Finding[] = [];
  let probe: ProbeHandle | undefined;
  let address = "";
  try {
    findings.push(...(await options.look(world.nodeRank === 0)));
    probe = await binding.probeOpen({ transports: options.transports, bindAddress: options.bind });
    address = Buffer.from(binding.probeAddress(probe)).toString("base64");
  } catch (error) {
    findings.push(
      bad("probe", asError(error).message, "look at the transports of this rank: weftline doctor on its node"),
    );
  }
  try {
    const cards = await communicator.allgatherValues<RankCard>({
      rank: communicator.rank,
      host: hostname(),
      nodeRank: world.nodeRank,
      findings: world.nodeRank === 0 ? findings : findings.filter(({ state }) => state !== "ok"),
      address,
    });
    const plan = schedule([...nodesOf(cards).values()]);
    const mine: Pair[] = [];
    for (const round of plan.rounds) {
      const pair = round.find(([from]) => from === communicator.rank);
      if (pair !== undefined) mine.push(await measurePair(binding, probe, cards, pair));
      await communicator.barrier();
    }
    return { cards, pairs: (await communicator.allgatherValues(mine)).flat(), plan };
  } finally {
    if (probe !== undefined) binding.probeClose(probe);
  }
}

async function measurePair(
  binding: NativeBinding,
  probe: ProbeHandle | undefined,
  cards: readonly RankCard[],
  [from, to]: readonly [number, number],
): Promise<Pair> {
  const pair = { from, to, fromHost: cards[from]?.host ?? "?", toHost: cards[to]?.host ?? "?" };
  const address = cards[to]?.address ?? "";
  if (probe === undefined || address === "") {
    return { ...pair, error: `rank ${probe === undefined ? from : to} has no probe` };
  }
  try {
    return { ...pair, measured: await measure(binding, probe, Buffer.from(address, "base64")) };
  } catch (error) {
    return { ...pair, error: asError(error).message };
  }
}

/** Rank 0 prints; resolves on every rank with whether nothing is bad. Rejects where MPI cannot be joined. */
export async function doctorOfRanks(
  terminal: Terminal,
  binding: NativeBinding,
  options: RanksOptions,
): Promise<boolean> {
  const job: JobHandle = binding.joinBegin({
    role: "client",
    name: "weftline-doctor",
    transports: options.transports,
    bindAddress: options.bind,
  });
  const completions = new Completions(binding, job);
  try {
    const { mpi, nodeRank } = binding.jobFacts(job);
    const communicator = new Communicator(completions, binding.communicatorWorld(job), false);
    const { cards, pairs, plan } = await gather(binding, { communicator, mpi, nodeRank }, options);
    const findings = [...merged(cards), ...clockFinding(pairs), ...pairFindings(pairs, plan)];
    const fine = findings.every(({ state }) => state !== "bad");
    if (communicator.rank === 0) {
      await print(terminal, { mpi, cards, pairs, findings, fine });
      // Before MPI's end, which may take the process with it.
      await terminal.flush();
    }
    return fine;
  } finally {
    completions.close();
    await binding.jobClose(job, true).catch((error: unknown) => {
      if (!isWeftError(error, "WEFT_RANK_LOST")) throw error;
      terminal.say(`weftline doctor: ${error.message}; what was found stands`);
    });
  }
}

interface Outcome {
  readonly mpi: string;
  readonly cards: readonly RankCard[];
  readonly pairs: readonly Pair[];
  readonly findings: readonly Finding[];
  readonly fine: boolean;
}

async function print(terminal: Terminal, { mpi, cards, pairs, findings, fine }: Outcome): Promise<void> {
  if (terminal.json) {
    const ranks = cards.map(({ rank, host, nodeRank, findings: own }) => ({ rank, host, nodeRank, findings: own }));
    await terminal.writeJson({ ok: fine, mpi, findings, ranks, pairs });
    return;
  }
  const nodes = nodesOf(cards);
  const places = [...nodes].map(([host, ranks]) => `${host} (${rankList(ranks)})`).join(", ");
  const all = [...cards.flatMap(({ findings: own }) => own.filter(({ state }) => state === "ok")), ...findings];
  await terminal.write(
    `${cards.length} ranks on ${nodes.size === 1 ? "1 node" : `${nodes.size} nodes`}, ${mpi}: ${places}\n`,
  );
  await terminal.write(findingLines(findings));
  if (pairs.length > 0) await terminal.write(pairTable(pairs));
  await terminal.write(`${summary(all)}\n`);
}
