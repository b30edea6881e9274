// `npm run bench:smoke`: sets up, builds and runs bench/<name>.ts. Arguments after the name go to it.
import { buildAndRun } from "./lib/program.mjs";

const [name, ...args] = process.argv.slice(2);
if (name === undefined || !/^[a-z][a-z0-9-]*$/.test(name)) {
  console.error("which benchmark? use: node scripts/bench.mjs smoke");
  process.exit(2);
}
await buildAndRun(name === "guard" ? "guard" : "bench", `bench/${name}.ts`, args);
