// Event patterns: each operator as its public documentation has it, what is no pattern, and that words name the field.
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { type EventPattern, compilePattern, problemOfPattern } from "../../../src/validator/event-pattern.js";

const meets = (pattern: EventPattern, metadata: unknown): boolean => compilePattern(pattern)(metadata) === undefined;

describe("an event pattern", () => {
  const cases: [what: string, pattern: EventPattern, met: unknown[], unmet: unknown[]][] = [
    ["exact texts", { a: ["x", "y"] }, [{ a: "x" }, { a: "y", b: 1 }], [{ a: "X" }, { a: "" }, {}, { a: { x: 1 } }]],
    ["exact numbers", { a: [5] }, [{ a: 5 }, { a: 5.0 }, { a: 5n }], [{ a: "5" }, { a: 5.1 }]],
    [
      "null, true and the empty text",
      { a: [null, true, ""] },
      [{ a: null }, { a: true }, { a: "" }],
      [{ a: false }, {}],
    ],
    ["prefix", { a: [{ prefix: "ab" }] }, [{ a: "ab" }, { a: "abc" }], [{ a: "a" }, { a: "AB" }, { a: 1 }]],
    [
      "prefix, ignoring case",
      { a: [{ prefix: { "equals-ignore-case": "aB" } }] },
      [{ a: "ABc" }, { a: "ab" }],
      [{ a: "a" }, { a: "xab" }],
    ],
    ["suffix", { a: [{ suffix: ".h5" }] }, [{ a: "x.h5" }, { a: ".h5" }], [{ a: "x.H5" }, { a: "h5" }]],
    ["suffix, ignoring case", { a: [{ suffix: { "equals-ignore-case": ".h5" } }] }, [{ a: "x.H5" }], [{ a: "x.h4" }]],
    ["equals-ignore-case", { a: [{ "equals-ignore-case": "Hilo" }] }, [{ a: "hILO" }], [{ a: "Hil" }, { a: 1 }]],
    [
      "wildcard",
      { a: [{ wildcard: "a*b*c" }] },
      [{ a: "abc" }, { a: "axbybc" }, { a: "a**b*c" }],
      [{ a: "ab" }, { a: "acb" }, { a: "abcd" }],
    ],
    [
      "wildcard with escapes",
      { a: [{ wildcard: "\\**\\\\" }] },
      [{ a: "*\\" }, { a: "*xy\\" }],
      [{ a: "x\\" }, { a: "*" }],
    ],
    ["wildcard of one *", { a: [{ wildcard: "*" }] }, [{ a: "" }, { a: "x" }], [{ a: 1 }, {}]],
    ["wildcards that would overlap", { a: [{ wildcard: "aba*aba" }] }, [{ a: "abaaba" }], [{ a: "ababa" }]],
    [
      "numeric",
      { a: [{ numeric: [">", 0, "<=", 5] }] },
      [{ a: 5 }, { a: 0.1 }, { a: 3n }],
      [{ a: 0 }, { a: 5.1 }, { a: "3" }, {}],
    ],
    ["numeric, equal", { a: [{ numeric: ["=", 3.0e2] }] }, [{ a: 300 }], [{ a: 301 }]],
    ["exists", { a: [{ exists: true }] }, [{ a: null }, { a: 0 }, { a: [1] }], [{}, { a: [] }, { a: { b: 1 } }]],
    ["exists not", { a: [{ exists: false }] }, [{}, { b: 1 }, { a: { b: 1 } }], [{ a: null }, { a: "x" }]],
    [
      "anything-but",
      { a: [{ "anything-but": ["x", 3] }] },
      [{ a: "y" }, { a: 4 }, { a: null }, { a: ["x", "y"] }],
      [{ a: "x" }, { a: 3 }, {}, { a: ["x"] }],
    ],
    ["anything-but of one", { a: [{ "anything-but": "x" }] }, [{ a: "y" }], [{ a: "x" }]],
    [
      "anything-but prefix",
      { a: [{ "anything-but": { prefix: ["in", "out"] } }] },
      [{ a: "x" }, { a: 1 }],
      [{ a: "init" }, { a: "outer" }, {}],
    ],
    ["anything-but suffix", { a: [{ "anything-but": { suffix: ".h5" } }] }, [{ a: "x" }], [{ a: "x.h5" }]],
    ["anything-but wildcard", { a: [{ "anything-but": { wildcard: "a*c" } }] }, [{ a: "ab" }], [{ a: "abc" }]],
    [
      "anything-but, ignoring case",
      { a: [{ "anything-but": { "equals-ignore-case": ["x", "y"] } }] },
      [{ a: "z" }],
      [{ a: "X" }, { a: "y" }],
    ],
    [
      "several operators of a field",
      { a: [{ prefix: "x" }, { suffix: "y" }, 3] },
      [{ a: "x1" }, { a: "1y" }, { a: 3 }],
      [{ a: "1" }],
    ],
    [
      "several fields",
      { a: [1], b: { c: [2] } },
      [{ a: 1, b: { c: 2 } }],
      [{ a: 1 }, { a: 1, b: { c: 3 } }, { a: 1, b: 2 }],
    ],
    ["a member of a list", { a: ["x"] }, [{ a: ["y", "x"] }, { a: [["x"]] }], [{ a: [] }, { a: ["y"] }]],
    [
      "one object of a list, as a whole",
      { a: { b: [1], c: [2] } },
      [{ a: [{ b: 0 }, { b: 1, c: 2 }] }],
      [{ a: [{ b: 1 }, { c: 2 }] }, { a: [] }],
    ],
    [
      "$or",
      { $or: [{ a: [1] }, { b: { c: [{ exists: true }] } }], d: [4] },
      [
        { a: 1, d: 4 },
        { b: { c: 0 }, d: 4 },
      ],
      [{ a: 1 }, { d: 4 }],
    ],
    ["a field that is called $or", { $or: ["x"] }, [{ $or: "x" }], [{ $or: "y" }]],
    ["names that objects have by themselves", { constructor: [{ exists: true }] }, [{ constructor: 1 }], [{}]],
  ];
  it.each(cases)("knows %s", (_what, pattern, met, unmet) => {
    expect(problemOfPattern(pattern)).toBeUndefined();
    for (const metadata of met) expect(meets(pattern, metadata), JSON.stringify(String(metadata))).toBe(true);
    for (const metadata of [...unmet, null, undefined, "x", 3, []]) {
      const isMet = pattern["a"] !== undefined && JSON.stringify(pattern["a"]) === '[{"exists":false}]';
      if (!unmet.includes(metadata) && isMet) continue; // what is not there at all meets "is not there"
      expect(meets(pattern, metadata)).toBe(false);
    }
  });

  it("names the field that is not met, and what is there", () => {
    const check = compilePattern({ place: { name: [{ prefix: "Hi" }] }, mag: [{ numeric: [">=", 4] }] });
    expect(check({ place: { name: "Kona" }, mag: 5 })).toBe(
      'metadata.place.name is "Kona"; it has to meet [{"prefix":"Hi"}]',
    );
    expect(check({ place: { name: "Hilo" } })).toBe('metadata.mag is not there; it has to meet [{"numeric":[">=",4]}]');
    expect(check({ place: [{ name: "Kona" }], mag: 5 })).toContain("metadata.place[0].name");
  });

  it("is refused with the place that is wrong", () => {
    const wrong: [unknown, (string | number)[], string][] = [
      [[], [], "an object"],
      [{}, [], "names no field"],
      [{ a: [] }, ["a"], "empty list"],
      [{ a: "x" }, ["a"], "an object"],
      [{ a: [{ prefx: "x" }] }, ["a", 0], "prefx"],
      [{ a: [{ prefix: "x", suffix: "y" }] }, ["a", 0], "prefix, suffix"],
      [{ a: [{ prefix: 3 }] }, ["a", 0, "prefix"], "a text"],
      [{ a: [{ wildcard: "a**b" }] }, ["a", 0, "wildcard"], "two *"],
      [{ a: [{ wildcard: "a\\b" }] }, ["a", 0, "wildcard"], "\\"],
      [{ a: [{ numeric: [">"] }] }, ["a", 0, "numeric"], "comparisons"],
      [{ a: [{ numeric: ["!", 3] }] }, ["a", 0, "numeric"], "comparisons"],
      [{ a: [{ exists: "yes" }] }, ["a", 0, "exists"], "true or false"],
      [{ a: [{ "anything-but": [] }] }, ["a", 0, "anything-but"], "empty list"],
      [{ a: [{ "anything-but": { numeric: ["=", 1] } }] }, ["a", 0, "anything-but"], "wildcard"],
      [{ a: [["x"]] }, ["a", 0], "no text"],
      [{ b: { $or: [{ a: [] }] } }, ["b", "$or", 0, "a"], "empty list"],
    ];
    for (const [pattern, path, words] of wrong) {
      const problem = problemOfPattern(pattern);
      expect(problem?.path, JSON.stringify(pattern)).toEqual(path);
      expect(problem?.message).toContain(words);
    }
  });

  it("finds wildcards as a regular expression does, in time that does not explode", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 12 });
    const wildcard = fc
      .array(fc.constantFrom("a", "b", "*"), { maxLength: 8 })
      .map((units) => units.join("").replaceAll(/\*+/g, "*"));
    fc.assert(
      fc.property(text, wildcard, (value, pattern) => {
        const expected = new RegExp(`^${pattern.replaceAll("*", ".*")}$`).test(value);
        expect(meets({ a: [{ wildcard: pattern }] }, { a: value })).toBe(expected);
      }),
      { numRuns: 2000 },
    );
    const begun = performance.now();
    const many = Array.from({ length: 200 }, () => "a").join("*");
    expect(meets({ a: [{ wildcard: `${many}b` }] }, { a: "a".repeat(100_000) })).toBe(false);
    expect(performance.now() - begun).toBeLessThan(1000);
  });
});
