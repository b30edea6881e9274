// What scripts/lib/peers.mjs decides by itself; nothing is fetched here.
import { expect, it } from "vitest";
import { peerStepsOf, stampOfPeer } from "../../scripts/lib/peers.mjs";

it("makes a peer anew when one of its sources or Node's line changed", () => {
  const stamp = stampOfPeer(["a", "b"], "20.19.0");
  expect(stampOfPeer(["a", "b"], "20.20.2")).toBe(stamp);
  expect(stampOfPeer(["a", "c"], "20.19.0")).not.toBe(stamp);
  expect(stampOfPeer(["ab", ""], "20.19.0")).not.toBe(stamp);
  expect(stampOfPeer(["a", "b"], "22.0.0")).not.toBe(stamp);
});

it("never stops the benchmarks because a peer is missing", () => {
  const steps: { stops: boolean }[] = peerStepsOf(["kafka", "kafka-tools", "nats"]);
  expect(steps.map(({ stops }) => stops)).toEqual([false, false, false, false]);
});

it("gets the peers that are measured, and no others", () => {
  const namesOf = (systems: string[]): string[] => peerStepsOf(systems).map(({ name }: { name: string }) => name);
  expect(namesOf(["weftline", "limit"])).toEqual([]);
  expect(namesOf(["kafka-tools"])).toEqual(["packages of peers", "peer kafka"]);
  expect(namesOf(["nats", "weftline"])).toEqual(["packages of peers", "peer nats"]);
});
