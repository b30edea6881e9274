// A part of a launch that ends as a test wants it: exits with a status, is killed, or serves itself.
//   node launched-part.js exit CODE | die | serve
import { join, serve } from "weftline";

const [action, text] = process.argv.slice(2);

if (action === "serve") {
  // Where the launcher says; the topics of the plan are the launcher's to make.
  const server = await serve({ data: process.env["WEFTLINE_DATA"], name: "inside" });
  console.log(`serves slot ${server.slot}`);
  await server.closed;
} else {
  const job = await join({ name: "part" });
  if (action === "die") process.kill(process.pid, "SIGKILL");
  await job.close();
  process.exitCode = Number(text);
}
