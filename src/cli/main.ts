#!/usr/bin/env node
// The `weftline` command.

import { run } from "./program.js";

process.exitCode = await run(process.argv.slice(2), {
  input: process.stdin,
  output: process.stdout,
  words: process.stderr,
  environment: process.env,
  directory: process.cwd(),
});
