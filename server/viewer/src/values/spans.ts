/** Ranges of whole pixels, and windows of rows and columns. */

/** From the first pixel to the one after the last: Python's `[first:end]`. */
export type Span = readonly [number, number];

/** Some rows and columns of an array, in the order in which they are stored. */
export interface Area {
  readonly rows: Span;
  readonly columns: Span;
}

export const sizeOf = (span: Span): number => span[1] - span[0];

export const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);

/** Move a span into `[0, size)`, keeping its length where possible. */
export function keepWithin(span: Span, size: number): Span {
  const length = Math.min(sizeOf(span), size);
  const first = clamp(span[0], 0, size - length);
  return [first, first + length];
}

/** Cut a span to `[0, size)` with at least one pixel. */
export function cutTo(span: Span, size: number): Span {
  const first = clamp(Math.floor(Math.min(...span)), 0, size - 1);
  return [first, clamp(Math.ceil(Math.max(...span)), first + 1, size)];
}

/** A band of `width` pixels around one of them. */
export function bandAround(pixel: number, width: number, size: number): Span {
  const length = clamp(Math.round(width), 1, size);
  return keepWithin([pixel - Math.floor(length / 2), pixel - Math.floor(length / 2) + length], size);
}

export const isSameSpan = (one: Span | null, other: Span | null): boolean =>
  one === other || (!!one && !!other && one[0] === other[0] && one[1] === other[1]);

/** Inclusive, for people: `416 – 431`, or `416` alone. */
export const formatSpan = (span: Span): string =>
  sizeOf(span) > 1 ? `${span[0]} – ${span[1] - 1}` : String(span[0]);
