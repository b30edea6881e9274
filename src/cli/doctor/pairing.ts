// Which ranks measure against each other, and when: in each round every node takes part in at most one pair, so that no
// two pairs share a network card, and every two nodes meet.

/** More are left out: a round takes about a second. */
export const ROUNDS_MAX = 64;

export interface Schedule {
  readonly rounds: readonly (readonly (readonly [number, number])[])[];
  /** That would have been needed for all pairs. */
  readonly roundsWanted: number;
}

/** `nodes`: the ranks of each node. On one node neighbours meet, one pair at a time. */
export function schedule(nodes: readonly (readonly number[])[], roundsMax = ROUNDS_MAX): Schedule {
  const rounds = nodes.length === 1 ? neighbours(nodes[0] ?? []) : tournament(nodes);
  return { rounds: rounds.slice(0, roundsMax), roundsWanted: rounds.length };
}

function neighbours(ranks: readonly number[]): [number, number][][] {
  const rounds: [number, number][][] = [];
  for (let at = 0; at + 1 < ranks.length; at += 2) rounds.push([[ranks[at] ?? 0, ranks[at + 1] ?? 0]]);
  return rounds;
}

/** The circle method: one node stays, the others go round it. The n-th ranks of all nodes first, for each n. */
function tournament(nodes: readonly (readonly number[])[]): [number, number][][] {
  const places = nodes.length % 2 === 0 ? nodes.length : nodes.length + 1;
  const mostRanks = Math.max(...nodes.map((ranks) => ranks.length));
  const rounds: [number, number][][] = [];
  for (let local = 0; local < mostRanks; local++) {
    for (let turn = 0; turn < places - 1; turn++) {
      const at = (place: number): number => (place === 0 ? 0 : 1 + ((place - 1 + turn) % (places - 1)));
      const round: [number, number][] = [];
      for (let place = 0; place < places / 2; place++) {
        const [from, to] = [nodes[at(place)]?.[local], nodes[at(places - 1 - place)]?.[local]];
        if (from !== undefined && to !== undefined) round.push(from < to ? [from, to] : [to, from]);
      }
      if (round.length > 0) rounds.push(round);
    }
  }
  return rounds;
}
