/** The demo's server rank: hosts the topics until every rank of the launch is done. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { serve } from "weftline";
import { needed, runRank, topics, writeReport } from "./shared.js";

const { values } = parseArgs({
  options: {
    data: { type: "string" },
    bind: { type: "string" },
    reports: { type: "string" },
    create: { type: "boolean" },
  },
});

/** The slot's file in the group directory holds the address that clients are told. */
function addressIn(group: string): string {
  const file = readdirSync(group).find((name) => name.startsWith("slot"));
  const text = file === undefined ? "" : readFileSync(join(group, file), "utf8");
  return /address\W+([0-9a-f]+)/.exec(text)?.[1] ?? "";
}

await runRank("server", async () => {
  const server = await serve({
    data: needed("data", values.data),
    bind: values.bind,
    // The second launch creates nothing: its topics are those that the catalogue has.
    ...(values.create === true ? { topics } : {}),
    log: (level, text) => process.stderr.write(`server: ${level}: ${text}\n`),
  });
  const { world } = server;
  const { slot, slotEpoch, group } = server.facts();
  writeReport(needed("reports", values.reports), "server", {
    slot,
    slotEpoch,
    address: addressIn(group),
    ranks: world.size,
  });
  await Promise.race([world.barrier(), server.closed]);
  await server.close();
});
