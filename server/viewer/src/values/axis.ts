/** An axis along a dimension: pixels ↔ the values of its coordinate, which need not be linear. */

import { chooseTicks, formatTicks } from "../text/ticks";

/** Larger units, and the span of an axis from which they are used. */
const LARGER: Readonly<Record<string, { readonly unit: string; readonly span: number }>> = {
  ps: { unit: "ns", span: 2000 },
  "µm": { unit: "mm", span: 10_000 },
};

export interface Tick {
  /** Position in pixels, edges at whole numbers. */
  readonly position: number;
  readonly label: string;
}

export class Axis {
  readonly unit: string | null;
  readonly #factor: number;

  /**
   * @param name what the axis shows: `time`, `row`
   * @param unit of the values; null for plain pixels
   * @param values one for each pixel, ascending or descending; null for the pixels' own numbers
   * @param size the number of pixels
   */
  constructor(
    readonly name: string,
    unit: string | null,
    readonly values: ArrayLike<number> | null,
    readonly size: number,
  ) {
    const span = Math.abs((values?.[size - 1] ?? 0) - (values?.[0] ?? 0));
    const larger = LARGER[unit ?? ""];
    const isLong = larger !== undefined && span >= larger.span;
    this.unit = isLong ? larger.unit : unit;
    this.#factor = isLong ? 1e-3 : 1;
  }

  get title(): string {
    return this.unit ? `${this.name} / ${this.unit}` : this.name;
  }

  /** The value in the middle of a pixel; NaN outside. */
  valueAt(pixel: number): number {
    return this.values ? (this.values[pixel] ?? NaN) * this.#factor : pixel >= 0 && pixel < this.size ? pixel : NaN;
  }

  /** The value at a position between pixels; the middle of pixel 0 is at 0.5. */
  valueAtPosition(position: number): number {
    if (!this.values) {
      return position - 0.5;
    }
    const last = this.size - 1;
    const below = Math.min(Math.max(Math.floor(position - 0.5), 0), Math.max(0, last - 1));
    const [low, high] = [this.valueAt(below), this.valueAt(Math.min(below + 1, last))];
    return low + (high - low) * (position - 0.5 - below);
  }

  /** The width of an interval between two positions, given as fractional pixel numbers. */
  distance(from: number, to: number): number {
    return Math.abs(this.valueAtPosition(to + 0.5) - this.valueAtPosition(from + 0.5));
  }

  /** Ticks between two positions. */
  ticksBetween(first: number, end: number, count: number): Tick[] {
    const ends: [number, number] = [this.valueAtPosition(first), this.valueAtPosition(end)];
    const isInteger = !this.values;
    const ticks = chooseTicks(...ends, count).filter((tick) => !isInteger || Number.isInteger(tick));
    const labels = formatTicks(ticks);
    return ticks.flatMap((tick, index) => {
      const position = this.#positionOf(tick, first, end);
      return position === null ? [] : [{ position, label: labels[index] ?? "" }];
    });
  }

  #positionOf(value: number, first: number, end: number): number | null {
    if (!this.values) {
      return value + 0.5;
    }
    let [low, high] = [first, end];
    const isAscending = this.valueAtPosition(end) > this.valueAtPosition(first);
    for (let step = 0; step < 50; step += 1) {
      const middle = (low + high) / 2;
      if (this.valueAtPosition(middle) < value === isAscending) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return Number.isFinite(this.valueAtPosition(low)) ? low : null;
  }
}

/** Whether the values of a coordinate can serve as an axis: finite and strictly monotonic. */
export function isMonotonic(values: ArrayLike<number>): boolean {
  const direction = Math.sign((values[values.length - 1] ?? NaN) - (values[0] ?? NaN));
  for (let index = 1; index < values.length; index += 1) {
    if (Math.sign((values[index] ?? NaN) - (values[index - 1] ?? NaN)) !== direction) {
      return false;
    }
  }
  return direction !== 0 && values.length > 1;
}
