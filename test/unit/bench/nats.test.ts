// Which NATS servers can sync each message, and how they are told to.
import { describe, expect, it } from "vitest";

import { configurationOf, syncsEachMessage } from "../../../bench/peers/nats/server.js";

describe("syncsEachMessage", () => {
  it.each(["2.10.0", "2.10.29", "2.11.4", "3.0.0"])("%s can", (version) => {
    expect(syncsEachMessage(version)).toBe(true);
  });
  it.each(["2.9.10", "2.9.25", "2.1.10", "1.10.0", "0.0.0", ""])("'%s' cannot", (version) => {
    expect(syncsEachMessage(version)).toBe(false);
  });
});

describe("configurationOf", () => {
  it("asks for a sync of each message only where that is wanted: 2.9 refuses the field", () => {
    expect(configurationOf(4222, "/place", true)).toContain("jetstream { sync_interval: always, store_dir");
    expect(configurationOf(4222, "/place", false)).not.toContain("sync");
  });

  it("quotes the folder", () => {
    expect(configurationOf(4222, '/a "b"', false)).toContain('store_dir: "/a \\"b\\"/data"');
  });
});
