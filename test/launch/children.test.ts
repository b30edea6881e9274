// Output of parts: as it is, with labels, however long its lines are and however slowly it is taken.
import { PassThrough, Readable, Writable } from "node:stream";
import { expect, it } from "vitest";
import { passOn } from "../../src/launch/children.js";

const label = (line: string): string => `part.0: ${line}`;

async function passed(pieces: readonly (string | Buffer)[], relabel: typeof label | undefined): Promise<string> {
  const to = new PassThrough({ highWaterMark: 2 ** 30 });
  await passOn(Readable.from(pieces.map((piece) => Buffer.from(piece))), to, relabel);
  to.end();
  return Buffer.concat(await to.toArray()).toString();
}

it("has its label before each line, also where pieces break lines and characters", async () => {
  const euro = Buffer.from("€\n");
  expect(await passed(["a\nb", "c\r\n", euro.subarray(0, 2), euro.subarray(2), "end"], label)).toBe(
    ["a", "bc", "€", "end"].map((line) => `part.0: ${line}\n`).join(""),
  );
  expect(await passed(["a\nb", "c\r\n", euro, "end"], undefined)).toBe("a\nbc\r\n€\nend");
});

it("of 32 MiB without a line's end comes through, broken into lines", async () => {
  const piece = "x".repeat(64 * 1024);
  const begun = performance.now();
  const text = await passed(Array<string>(512).fill(piece), label);
  expect(performance.now() - begun).toBeLessThan(20_000); // it took a minute when every piece was looked at anew
  expect(text.replaceAll(/part\.0: |\n/g, "").length).toBe(512 * piece.length);
});

it("is taken from a part no faster than it goes on", async () => {
  let asked = 0;
  const from = new Readable({
    read() {
      asked++;
      this.push(asked > 1000 ? null : Buffer.alloc(64 * 1024));
    },
  });
  const held: (() => void)[] = [];
  const to = new Writable({ write: (_piece, _encoding, done) => void held.push(done) });
  const end = passOn(from, to, undefined);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(asked).toBeLessThan(20);
  to.destroy();
  await end;
  expect(asked).toBeGreaterThan(1000); // nobody is there any more: the part does not hang for that
});
