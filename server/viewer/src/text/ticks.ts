/** Ticks of axes: at 1, 2, 5 times powers of ten. */

/** Return about `count` round numbers between two ends, in ascending order. */
export function chooseTicks(one: number, other: number, count: number): number[] {
  const [low, high] = [Math.min(one, other), Math.max(one, other)];
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) {
    return [];
  }
  const rough = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const distance = (each: number) => Math.abs(Math.log((each * power) / rough));
  const step = power * [1, 2, 5, 10].reduce((best, each) => (distance(each) < distance(best) ? each : best));
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => (first + index) * step);
}

/** Write ticks with as many decimals as tell them apart. */
export function formatTicks(ticks: readonly number[]): string[] {
  const step = ticks.length > 1 ? Math.abs((ticks[1] ?? 0) - (ticks[0] ?? 0)) : Math.abs(ticks[0] ?? 1) || 1;
  const decimals = Math.min(12, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)));
  const largest = Math.max(0, ...ticks.map(Math.abs));
  if (largest >= 1e6 || (largest > 0 && largest < 1e-3)) {
    return ticks.map((tick) => (tick === 0 ? "0" : tick.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e").replace(/^-/, "−")));
  }
  return ticks.map((tick) => (Math.abs(tick) < step * 1e-6 ? 0 : tick).toFixed(decimals).replace(/^-/, "−"));
}
