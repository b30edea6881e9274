// Stops itself (SIGSTOP) while a server is pulling a large event from it over tcp, so that the server's drain has
// something to wait for: a child process of test/integration/signals.test.ts.
import { attach } from "weftline";

const [, , group = "", topicName = ""] = process.argv;
const job = await attach(group, { name: "stopped", transports: "tcp" });
const topic = await job.topic(topicName);
const out = await topic.producer();
await out.push({ stored: true }).wait();
const region = out.alloc(64 * 1024 * 1024);
out.push(
  { stored: false },
  Array.from({ length: 16 }, () => region.slice(0)),
);
void out.flush();
// Messages of a connection stay in order: with this answer the server has the batch, and 1 GiB takes it longer.
await job.control(0, { op: "status" });
console.log("ready");
process.kill(process.pid, "SIGSTOP");
