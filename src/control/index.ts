// What the other folders use of the control plane.

export { serve, Server, type ServeOptions } from "./serve.js";
export type { HostFacts, Log, LogLevel } from "./server-host.js";
export type { ServerState } from "./control-plane.js";
export type { TopicChange } from "./topic-change.js";
export type { TopicDescription, TopicSummary } from "./topic-description.js";
