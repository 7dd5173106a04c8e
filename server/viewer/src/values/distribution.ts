/** The distribution of an image's values: extremes, percentiles, histograms; missing values and infinities left out. */

import type { Numbers } from "./npy";

export interface Distribution {
  readonly minimum: number;
  readonly maximum: number;
  readonly mean: number;
  readonly deviation: number;
  readonly missing: number;
  /** Some of the values, in ascending order: every eighth row and column, as the server takes for its pictures. */
  readonly sample: Float64Array;
}

const SAMPLING_STEP = 8;
const SAMPLING_MIN_SIDE = 512;

/** Measure an image in one pass. */
export function measureDistribution(data: Numbers, rows: number, columns: number): Distribution {
  let minimum = Infinity;
  let maximum = -Infinity;
  let sum = 0;
  let squares = 0;
  let count = 0;
  let missing = 0;
  let origin = 0; // the first value: sums about it keep their digits
  for (const value of data) {
    if (!Number.isFinite(value)) {
      missing += Number.isNaN(value) ? 1 : 0;
      continue;
    }
    if (!count) {
      origin = value;
    }
    const offset = value - origin;
    minimum = value < minimum ? value : minimum;
    maximum = value > maximum ? value : maximum;
    sum += offset;
    squares += offset * offset;
    count += 1;
  }
  const mean = sum / count;
  return {
    minimum, maximum, missing,
    mean: origin + mean,
    deviation: Math.sqrt(Math.max(0, squares / count - mean * mean)),
    sample: takeSample(data, rows, columns),
  };
}

function takeSample(data: Numbers, rows: number, columns: number): Float64Array {
  const step = Math.min(rows, columns) >= SAMPLING_MIN_SIDE ? SAMPLING_STEP : 1;
  const sample = new Float64Array(Math.ceil(rows / step) * Math.ceil(columns / step));
  let count = 0;
  for (let row = 0; row < rows; row += step) {
    for (let column = 0; column < columns; column += step) {
      const value = data[row * columns + column] ?? NaN;
      if (Number.isFinite(value)) {
        sample[count++] = value;
      }
    }
  }
  return sample.slice(0, count).sort();
}

/** Interpolate a percentile of ascending values linearly, as NumPy does. */
export function findPercentile(ascending: ArrayLike<number>, level: number): number {
  const position = (level / 100) * (ascending.length - 1);
  const below = Math.floor(position);
  const low = ascending[below] ?? NaN;
  const high = ascending[Math.min(below + 1, ascending.length - 1)] ?? NaN;
  return low + (high - low) * (position - below);
}

/** Count ascending values between edges, which ascend too; the last bin contains its end. */
export function countBetween(ascending: ArrayLike<number>, edges: readonly number[]): number[] {
  const positions = edges.map((edge, index) => findPosition(ascending, edge, index === edges.length - 1));
  return positions.slice(1).map((end, index) => end - (positions[index] ?? 0));
}

/** The number of ascending values below `value`; with `isIncluded`, also those equal to it. */
export function findPosition(ascending: ArrayLike<number>, value: number, isIncluded = false): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const each = ascending[middle] ?? NaN;
    if (each < value || (isIncluded && each === value)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
