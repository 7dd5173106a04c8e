/** From values to brightness: the same functions as the server's (server/pictures/levels.py), so that pictures agree. */

export type Scaling = "linear" | "sqrt" | "log";

export const SCALINGS: readonly Scaling[] = ["linear", "sqrt", "log"];

/** Of the logarithm, as in SAOImage DS9. */
export const LOG_STEEPNESS = 1000;

interface Stretch {
  readonly forward: (place: number) => number;
  readonly inverse: (brightness: number) => number;
}

const LOG_END = Math.log1p(LOG_STEEPNESS);
const STRETCHES: Readonly<Record<Scaling, Stretch>> = {
  linear: { forward: (place) => place, inverse: (brightness) => brightness },
  sqrt: { forward: Math.sqrt, inverse: (brightness) => brightness ** 2 },
  log: {
    forward: (place) => Math.log1p(place * LOG_STEEPNESS) / LOG_END,
    inverse: (brightness) => Math.expm1(brightness * LOG_END) / LOG_STEEPNESS,
  },
};

export interface Range {
  readonly low: number;
  readonly high: number;
}

/** Brightness of a value, 0 to 1. */
export function toBrightness(value: number, range: Range, scaling: Scaling): number {
  const place = (value - range.low) / (range.high - range.low);
  return STRETCHES[scaling].forward(Math.min(Math.max(place, 0), 1));
}

/** Value of a brightness. */
export function fromBrightness(brightness: number, range: Range, scaling: Scaling): number {
  return range.low + (range.high - range.low) * STRETCHES[scaling].inverse(Math.min(Math.max(brightness, 0), 1));
}

/** A range that has a width, as the server widens one. */
export function widenRange({ low, high }: Range): Range {
  if (high > low) {
    return { low, high };
  }
  const middle = Number.isFinite(low) ? low : 0;
  const half = Math.max(0.5, Math.abs(middle) * 1e-6);
  return { low: middle - half, high: middle + half };
}
