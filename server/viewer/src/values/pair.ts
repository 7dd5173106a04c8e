/** Two images of one place: which pixels lie together, and what they differ by. */

import type { Axis } from "./axis";
import type { NumberArray } from "./npy";

/** What is shown of two images. */
export type Way = "side" | "difference" | "ratio" | "blink";

export const WAYS: readonly Way[] = ["side", "difference", "ratio", "blink"];

export const isComputed = (way: Way): boolean => way === "difference" || way === "ratio";

/**
 * For each pixel of an axis the one of another axis at the same place, or −1: of the same size the same pixel, else the
 * nearest coordinate within half a step if both have one, else the same number. The server aligns in the same way.
 */
export function matchPlaces(ours: Axis, theirs: Axis): Int32Array {
  const hasCoordinates = ours.size !== theirs.size && ours.values && theirs.values && ours.title === theirs.title;
  if (!hasCoordinates) {
    return Int32Array.from({ length: ours.size }, (_, index) => (index < theirs.size ? index : -1));
  }
  const order = Array.from({ length: theirs.size }, (_, index) => index).sort((a, b) => theirs.valueAt(a) - theirs.valueAt(b));
  const sorted = order.map((index) => theirs.valueAt(index));
  const halfStep = sorted.reduce((most, value, index) => Math.max(most, value - (sorted[index - 1] ?? value)), 0) / 2;
  return Int32Array.from({ length: ours.size }, (_, index) => {
    const value = ours.valueAt(index);
    let [low, high] = [0, sorted.length - 1];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      [low, high] = (sorted[middle] ?? NaN) <= value ? [middle, high] : [low, middle];
    }
    const distance = (at: number) => Math.abs((sorted[at] ?? NaN) - value);
    const nearest = distance(low) <= distance(high) ? low : high;
    return distance(nearest) <= halfStep * (1 + 1e-9) ? (order[nearest] ?? -1) : -1;
  });
}

/** Move a curve along another axis: its values at the places of that axis; NaN where it has none. */
export const placeCurve = (values: ArrayLike<number>, places: Int32Array): Float64Array =>
  Float64Array.from(places, (place) => (place < 0 ? NaN : (values[place] ?? NaN)));

/** The first image minus the second, or divided by it; NaN where only one has a pixel, or where the second is 0. */
export function comparePixels(
  ours: NumberArray, theirs: NumberArray, rows: Int32Array, columns: Int32Array, isRatio: boolean,
): NumberArray {
  const width = columns.length;
  const otherWidth = theirs.shape.at(-1) ?? 1;
  const data = new Float64Array(rows.length * width).fill(NaN);
  rows.forEach((otherRow, row) => {
    for (let column = 0; otherRow >= 0 && column < width; column += 1) {
      const otherColumn = columns[column] ?? -1;
      if (otherColumn >= 0) {
        const [one, other] = [ours.data[row * width + column] ?? NaN, theirs.data[otherRow * otherWidth + otherColumn] ?? NaN];
        data[row * width + column] = !isRatio ? one - other : other === 0 ? NaN : one / other;
      }
    }
  });
  return { data, shape: [rows.length, width] };
}
