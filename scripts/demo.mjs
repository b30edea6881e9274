// `npm run demo`: sets up, builds and runs the main job. Arguments after `--` go to it.
import { buildAndRun } from "./lib/program.mjs";

await buildAndRun("demo", "examples/demo/main.ts", process.argv.slice(2));
