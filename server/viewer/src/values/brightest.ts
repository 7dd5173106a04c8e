/** The brightest row and column of an image: where lineouts are drawn unless somebody has chosen others. */

import type { Numbers } from "./npy";

/**
 * Find the row and the column with the greatest mean, of every `step`-th row and column, so that the answer is the same
 * for an image and for its overview; a hot pixel does not decide it.
 */
export function findBrightest(data: Numbers, rows: number, columns: number, step: number): { row: number; column: number } {
  const sums = { rows: new Float64Array(Math.ceil(rows / step)), columns: new Float64Array(Math.ceil(columns / step)) };
  for (let row = 0; row < rows; row += step) {
    for (let column = 0; column < columns; column += step) {
      const value = data[row * columns + column] ?? NaN;
      if (Number.isFinite(value)) {
        sums.rows[row / step] = (sums.rows[row / step] ?? 0) + value;
        sums.columns[column / step] = (sums.columns[column / step] ?? 0) + value;
      }
    }
  }
  return { row: indexOfGreatest(sums.rows) * step, column: indexOfGreatest(sums.columns) * step };
}

function indexOfGreatest(sums: Float64Array): number {
  let best = 0;
  sums.forEach((sum, index) => {
    if (sum > (sums[best] ?? -Infinity)) {
      best = index;
    }
  });
  return best;
}
