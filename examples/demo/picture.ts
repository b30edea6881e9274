/** A field on the whole grid, put together from the ranks' blocks, and its picture. */
import { writeFileSync } from "node:fs";
import { encode } from "fast-png";
import type { BlockMetadata } from "./shared.js";

/** Colours from low to high, evenly spaced. */
const colours = [
  [12, 8, 40],
  [38, 43, 122],
  [33, 113, 156],
  [57, 173, 142],
  [170, 216, 93],
  [253, 246, 190],
] as const;

export class Picture {
  readonly rows: number;
  readonly columns: number;
  readonly #cells: Float64Array;
  #missing: number;
  #min = Infinity;
  #max = -Infinity;

  constructor(grid: readonly [number, number]) {
    [this.rows, this.columns] = grid;
    this.#cells = new Float64Array(this.rows * this.columns);
    this.#missing = this.#cells.length;
  }

  /** Whether every block is there. */
  get complete(): boolean {
    return this.#missing === 0;
  }

  add(block: BlockMetadata, values: Float64Array): void {
    const [rows, columns] = block.shape;
    const [row, column] = block.origin;
    if (values.length !== rows * columns) {
      throw new Error(`step ${block.step}, rank ${block.rank}: ${values.length} values for ${rows} x ${columns} cells`);
    }
    for (let y = 0; y < rows; y++) {
      this.#cells.set(values.subarray(y * columns, (y + 1) * columns), (row + y) * this.columns + column);
    }
    this.#missing -= values.length;
    this.#min = Math.min(this.#min, block.min);
    this.#max = Math.max(this.#max, block.max);
  }

  write(path: string): void {
    const data = new Uint8Array(this.#cells.length * 3);
    const scale = this.#max > this.#min ? (colours.length - 1) / (this.#max - this.#min) : 0;
    for (let cell = 0; cell < this.#cells.length; cell++) {
      const place = ((this.#cells[cell] ?? 0) - this.#min) * scale;
      const index = Math.min(Math.max(Math.floor(place), 0), colours.length - 2);
      const low = colours[index] ?? colours[0];
      const high = colours[index + 1] ?? low;
      const part = place - index;
      for (let channel = 0; channel < 3; channel++) {
        const from = low[channel] ?? 0;
        data[3 * cell + channel] = Math.round(from + ((high[channel] ?? 0) - from) * part);
      }
    }
    writeFileSync(path, encode({ width: this.columns, height: this.rows, data, depth: 8, channels: 3 }));
  }
}
