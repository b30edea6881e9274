// The reader of the error table: a row that it does not understand must stop it, never be left out.
import { describe, expect, it } from "vitest";
import { fortranOf, markdownOf, parseErrorTable, pythonOf, typescriptOf } from "../../scripts/generate-errors.mjs";

const table = (...rows: string[]) =>
  `/* X(NAME, …) */\n#define WEFT_ERROR_TABLE(X) \\\n${rows.join(" \\\n")}\n/* end */\n`;

describe("parseErrorTable", () => {
  it("reads every row, and nothing outside of the table", () => {
    const text = table('  X(OK, 0, 0, "no error", "")', '  X(BUSY, 8, 1, "a \\"queue\\" is full", "wait")');
    expect(parseErrorTable(`${text}  X(OTHER, 9, 0, "", "")\n`)).toEqual([
      { name: "WEFT_OK", number: 0, canRetry: false, meaning: "no error", next: "" },
      { name: "WEFT_BUSY", number: 8, canRetry: true, meaning: 'a "queue" is full', next: "wait" },
    ]);
  });

  it.each([
    ["a row of another form", '  X(BUSY, eight, 1, "full", "wait")', /weft_errors\.h:4: not of the form/],
    ["a number used twice", '  X(BUSY, 0, 1, "full", "wait")', /number 0 is used twice/],
    ["a name used twice", '  X(OK, 7, 1, "full", "wait")', /name WEFT_OK is used twice/],
  ])("stops at %s", (_what, second, message) => {
    const rows = ['  X(OK, 0, 0, "no error", "")', second];
    expect(() => parseErrorTable(table(...rows))).toThrow(message);
  });

  it("stops where there is no table", () => {
    expect(() => parseErrorTable("#define OTHER 1\n")).toThrow(/no table row/);
  });
});

describe("the generated files", () => {
  const errors = parseErrorTable(table('  X(OK, 0, 0, "no error", "")', '  X(BUSY, 8, 1, "this | that", "wait")'));

  it("name every failure in TypeScript, and not OK", () => {
    const text = typescriptOf(errors);
    expect(text).toContain('| "WEFT_BUSY"');
    expect(text).not.toContain("WEFT_OK");
  });

  it("name every code in Fortran, with lines that it takes, and in Python", () => {
    const fortran = fortranOf(errors);
    expect(fortran).toContain("  integer, parameter, public :: WEFT_BUSY = 8 ! this | that\n");
    expect(fortran.split("\n").filter((line) => line.length > 132)).toEqual([]);
    expect(pythonOf(errors)).toContain('    Code("WEFT_BUSY", 8, True, "this | that", "wait"),\n');
    expect(pythonOf(errors)).toContain('    Code("WEFT_OK", 0, False, "no error", ""),\n');
  });

  it("escape what would end a cell in the docs", () => {
    expect(markdownOf(errors)).toContain("| `WEFT_BUSY` | 8 | yes | this \\| that | wait |");
  });
});
