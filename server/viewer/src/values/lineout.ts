/** Lineouts: means over bands of rows or columns, and what is read off a curve. */

import type { Numbers } from "./npy";
import type { Span } from "./spans";

/** Mean over a band of rows, one number for each column; missing values are left out. */
export function averageRows(data: Numbers, columns: number, band: Span): Float64Array {
  const sums = new Float64Array(columns);
  const counts = new Uint32Array(columns);
  for (let row = band[0]; row < band[1]; row += 1) {
    for (let column = 0, index = row * columns; column < columns; column += 1, index += 1) {
      const value = data[index] ?? NaN;
      if (!Number.isNaN(value)) {
        sums[column] = (sums[column] ?? 0) + value;
        counts[column] = (counts[column] ?? 0) + 1;
      }
    }
  }
  return sums.map((sum, column) => (counts[column] ? sum / (counts[column] ?? 1) : NaN));
}

/** Mean over a band of columns, one number for each row; missing values are left out. */
export function averageColumns(data: Numbers, rows: number, columns: number, band: Span): Float64Array {
  return Float64Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    let count = 0;
    for (let index = row * columns + band[0]; index < row * columns + band[1]; index += 1) {
      const value = data[index] ?? NaN;
      if (!Number.isNaN(value)) {
        sum += value;
        count += 1;
      }
    }
    return count ? sum / count : NaN;
  });
}

export interface CurveReadings {
  readonly peak: number;
  /** Index of the peak. */
  readonly peakIndex: number;
  /** Positions, as fractional indices, between which the curve is above half of the peak; null if one is outside. */
  readonly halfWidth: Span | null;
  /** Positions of 10 % and 90 % of the peak on its rising side; null if it does not rise from below 10 %. */
  readonly rise: Span | null;
}

/** Read the peak, its full width at half its height, and its rise from a curve; heights count from 0. */
export function readCurve(curve: ArrayLike<number>): CurveReadings | null {
  let peakIndex = -1;
  let peak = -Infinity;
  for (let index = 0; index < curve.length; index += 1) {
    const value = curve[index] ?? NaN;
    if (value > peak) {
      [peak, peakIndex] = [value, index];
    }
  }
  if (peakIndex < 0 || !Number.isFinite(peak)) {
    return null;
  }
  const left = findCrossing(curve, peakIndex, -1, peak / 2);
  const right = findCrossing(curve, peakIndex, 1, peak / 2);
  const high = findCrossing(curve, peakIndex, -1, 0.9 * peak);
  const low = high === null ? null : findCrossing(curve, Math.floor(high), -1, 0.1 * peak);
  return {
    peak,
    peakIndex,
    halfWidth: peak > 0 && left !== null && right !== null ? [left, right] : null,
    rise: peak > 0 && low !== null && high !== null ? [low, high] : null,
  };
}

/** The nearest position from `start` where a curve falls to `level`, interpolated. */
function findCrossing(curve: ArrayLike<number>, start: number, step: 1 | -1, level: number): number | null {
  for (let index = start; index + step >= 0 && index + step < curve.length; index += step) {
    const [here, next] = [curve[index] ?? NaN, curve[index + step] ?? NaN];
    if (next <= level && here >= level) {
      return here === next ? index : index + (step * (here - level)) / (here - next);
    }
  }
  return null;
}
