// `npm run bench` and `npm run bench:smoke`: sets up, builds and runs bench/main.ts or bench/<name>.ts. Arguments after
// the name go to it. The suite wants its peers as well: those that cannot be had are named, and stop nothing.
import { parseArgs } from "node:util";
import { peerStepsOf, recordMissingPeers } from "./lib/peers.mjs";
import { buildAndRun } from "./lib/program.mjs";

const [name, ...args] = process.argv.slice(2);
if (name === undefined || !/^[a-z][a-z0-9-]*$/.test(name)) {
  console.error(
    "which benchmark? use: node scripts/bench.mjs main, smoke, guard, scaling, simulation, stored or workers",
  );
  process.exit(2);
}
const isSuite = name === "main";
/** The program says what is wrong with its arguments; here only what has to be there before it starts. */
function systemsWanted() {
  const options = { systems: { type: "string" }, help: { type: "boolean" }, list: { type: "boolean" } };
  const { values } = parseArgs({ args, options: { ...options }, strict: false });
  if (!isSuite || values.help || values.list) return [];
  return typeof values.systems === "string" ? values.systems.split(",") : ["kafka", "kafka-tools", "nats"];
}
const steps = peerStepsOf(systemsWanted());
const packages = isSuite ? "suite" : name === "guard" ? "guard" : "bench";
await buildAndRun(
  packages,
  `bench/${name}.ts`,
  args,
  steps.length > 0 ? { steps, afterwards: recordMissingPeers } : {},
);
