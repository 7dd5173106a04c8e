/** Parts of an image in memory, at full or reduced resolution. */

import type { NumberArray } from "./npy";
import { halveLevel, toTextureLevel, type Level } from "./reduce";

/** Pixels of an image, of which each stands for `step` × `step` stored ones. */
export class Layer {
  readonly rows: number;
  readonly columns: number;
  readonly #levels: Level[] = []; // made when the screen needs them

  /**
   * @param key distinguishes it from all other layers
   * @param array of the values
   * @param step stored pixels per pixel of this layer
   * @param row the first stored row
   * @param column the first stored column
   */
  constructor(
    readonly key: string,
    readonly array: NumberArray,
    readonly step: number,
    readonly row = 0,
    readonly column = 0,
  ) {
    const [rows = 1, columns = 1] = array.shape.slice(-2);
    this.rows = rows;
    this.columns = columns;
  }

  /** The value at a stored pixel; undefined where the layer has none of full resolution. */
  valueAt(row: number, column: number): number | undefined {
    const [y, x] = [row - this.row, column - this.column];
    return this.step === 1 && y >= 0 && x >= 0 && y < this.rows && x < this.columns
      ? this.array.data[y * this.columns + x]
      : undefined;
  }

  /** The smallest version that has at least one pixel for each `ratio` stored pixels, and its power of two. */
  levelFor(ratio: number): Level & { readonly power: number } {
    const wanted = Math.max(0, Math.floor(Math.log2(Math.max(1, ratio / this.step))));
    let power = 0;
    let level = this.#levelAt(0, () => toTextureLevel(this.array.data, this.rows, this.columns));
    while (power < wanted && Math.min(level.rows, level.columns) > 1) {
      const finer = level;
      power += 1;
      level = this.#levelAt(power, () => halveLevel(finer));
    }
    return { ...level, power };
  }

  #levelAt(power: number, make: () => Level): Level {
    const known = this.#levels[power];
    return known ?? (this.#levels[power] = make());
  }
}

/** The value of an image at a stored pixel, from the layers that are there. */
export function findValue(layers: readonly Layer[], row: number, column: number): number | undefined {
  for (let index = layers.length - 1; index >= 0; index -= 1) {
    const value = layers[index]?.valueAt(row, column);
    if (value !== undefined) {
      return value;
    }
  }
  return undefined;
}
