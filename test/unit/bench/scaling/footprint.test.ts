// Numbers out of texts of /proc.
import { describe, expect, it } from "vitest";

import { slope } from "../../../../bench/scaling/comparison.js";
import { establishedInodes, footprint, kibibytesOf } from "../../../../bench/scaling/footprint.js";

describe("kibibytesOf", () => {
  const text = "Rss:             1024 kB\nAnonymous:         12 kB\nAnonHugePages:     99 kB\n";
  it("is the line of just that name, in bytes", () => {
    expect(kibibytesOf(text, "Rss")).toBe(2 ** 20);
    expect(kibibytesOf(text, "Anonymous")).toBe(12 * 1024);
  });
  it("says which line is missing", () => {
    expect(() => kibibytesOf(text, "Pss")).toThrow("'Pss'");
  });
});

describe("establishedInodes", () => {
  it("leaves out what listens or ends", () => {
    const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0000000000000000 100
   1: 0100007F:0CEA 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 222 1 0000000000000000 20
   2: 0100007F:0CEA 0100007F:1235 06 00000000:00000000 03:00000F5C 00000000     0        0 333 3 0000000000000000
`;
    expect([...establishedInodes(table)]).toEqual(["222"]);
  });
});

describe("slope", () => {
  it("is that of a line, and of the best line through points beside it", () => {
    const line = [1, 4, 16, 64].map((x) => [x, 7 + 3 * x] as const);
    expect(slope(line)).toBeCloseTo(3);
    const beside: (readonly [number, number])[] = [
      [0, 1],
      [0, -1],
      [2, 5],
      [2, 3],
    ];
    expect(slope(beside)).toBeCloseTo(2);
  });
});

describe("footprint", () => {
  it("counts what this process holds", () => {
    const held = footprint();
    expect(held.residentBytes).toBeGreaterThan(held.anonymousBytes);
    expect(held.anonymousBytes).toBeGreaterThan(held.nativeBytes);
    expect(held.descriptors).toBeGreaterThan(2);
    expect(held.threads).toBeGreaterThan(0);
  });
});
