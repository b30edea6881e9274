// A client with nothing to do: a producer and a consumer are open, an iteration waits. Prints "ready" then. A child process of
// test/integration/idle.test.ts.
import { attach } from "weftline";

const [, , group = "", topicName = ""] = process.argv;
const job = await attach(group, { name: "idle" });
const topic = await job.topic(topicName);
const out = await topic.producer();
await out.push({ awake: true }).wait();
const consumer = await topic.consumer({ from: "latest" }).open();
console.log("ready");
for await (const event of consumer) event.ack();
