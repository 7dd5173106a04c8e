/** Smaller versions of an array for the graphics card: means of two by two pixels, missing ones left out. */

/** The value that stands for a missing one in a texture, where shaders may lose NaN. */
export const MISSING = Math.fround(-3.0e38);

export interface Level {
  readonly data: Float32Array;
  readonly rows: number;
  readonly columns: number;
}

/** Copy numbers for a texture; missing values become `MISSING`. */
export function toTextureLevel(numbers: ArrayLike<number>, rows: number, columns: number): Level {
  const data = Float32Array.from(numbers);
  for (let index = 0; index < data.length; index += 1) {
    if (Number.isNaN(data[index])) {
      data[index] = MISSING;
    }
  }
  return { data, rows, columns };
}

/** Halve a level in both directions; a last odd row or column is a mean of fewer pixels. */
export function halveLevel({ data, rows, columns }: Level): Level {
  const [height, width] = [Math.ceil(rows / 2), Math.ceil(columns / 2)];
  const half = new Float32Array(height * width);
  for (let row = 0; row < height; row += 1) {
    const above = 2 * row * columns;
    const below = 2 * row + 1 < rows ? above + columns : above;
    for (let column = 0; column < width; column += 1) {
      const left = 2 * column;
      const right = left + 1 < columns ? left + 1 : left;
      const [a, b, c, d] = [data[above + left] ?? 0, data[above + right] ?? 0, data[below + left] ?? 0, data[below + right] ?? 0];
      if (a !== MISSING && b !== MISSING && c !== MISSING && d !== MISSING) {
        half[row * width + column] = (a + b + c + d) / 4;
      } else {
        const known = [a, b, c, d].filter((value) => value !== MISSING);
        half[row * width + column] = known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : MISSING;
      }
    }
  }
  return { data: half, rows: height, columns: width };
}
