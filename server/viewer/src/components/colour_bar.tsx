/** The colour bar: a histogram of the values in the current scale, two handles for the range, and presets. */

import { useEffect, useMemo, useRef, useState, type KeyboardEvent, type PointerEvent } from "react";

import { colourAt } from "../colours/colour_maps";
import { fromBrightness, toBrightness, type Range } from "../colours/scale";
import { chooseRange, type Scene } from "../state/scene";
import { DEFAULT_PERCENTILES } from "../state/view";
import { formatInput, parseNumber } from "../text/numbers";
import { countBetween, findPercentile } from "../values/distribution";

const BAR_WIDTH = 22;
const HISTOGRAM_WIDTH = 58;
const BIN_HEIGHT = 6;
const GRADIENT_STOPS = 32;
const NUMBER_GAP = 28; // pixels between the two numbers

export function ColourBar({ scene, height, isPresetsBelow = false }: {
  readonly scene: Scene;
  readonly height: number;
  readonly isPresetsBelow?: boolean;
}) {
  const { range, scaling, colourMap, update, shown } = scene;
  const bar = useRef<HTMLDivElement>(null);
  const held = useRef<"low" | "high" | null>(null);
  const extent = useExtent(scene);
  const toY = (value: number) => (1 - toBrightness(value, extent, scaling)) * height;
  const bins = useMemo(() => {
    const count = Math.max(8, Math.floor(height / BIN_HEIGHT));
    const edges = Array.from({ length: count + 1 }, (_, index) => fromBrightness(index / count, extent, scaling));
    const counts = shown.distribution ? countBetween(shown.distribution.sample, edges) : [];
    const most = Math.log1p(Math.max(1, ...counts));
    return counts.map((each) => (Math.log1p(each) / most) * HISTOGRAM_WIDTH);
  }, [extent, scaling, height, shown.distribution]);

  const setEnd = (end: "low" | "high", value: number) => {
    const gap = (extent.high - extent.low) * 1e-4;
    update(end === "low" ? { low: Math.min(value, range.high - gap) } : { high: Math.max(value, range.low + gap) });
  };
  const moveTo = (event: PointerEvent, end: "low" | "high") => {
    const box = bar.current?.getBoundingClientRect();
    if (box) {
      setEnd(end, fromBrightness(1 - (event.clientY - box.top) / box.height, extent, scaling));
    }
  };
  const onDown = (event: PointerEvent<HTMLDivElement>) => {
    if (event.button === 0) {
      const box = event.currentTarget.getBoundingClientRect();
      const y = event.clientY - box.top;
      held.current = Math.abs(y - toY(range.low)) < Math.abs(y - toY(range.high)) ? "low" : "high";
      event.currentTarget.setPointerCapture(event.pointerId);
    }
  };
  const onKey = (end: "low" | "high") => (event: KeyboardEvent) => {
    const direction = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1 }[event.key];
    if (direction) {
      event.preventDefault();
      event.stopPropagation();
      const step = (event.shiftKey ? 0.1 : 0.01) * direction;
      setEnd(end, fromBrightness(toBrightness(range[end], extent, scaling) + step, extent, scaling));
    }
  };
  const [top, bottom] = [toY(range.high), toY(range.low)];
  const separated = separate(top, bottom, height);
  const stops = Array.from({ length: GRADIENT_STOPS + 1 }, (_, index) => index / GRADIENT_STOPS);
  return (
    <div className="sv-range" role="group" aria-label={`Range${shown.variable.units ? ` in ${shown.variable.units}` : ""}`}>
      <div
        ref={bar}
        className="sv-bar"
        style={{ height }}
        onPointerDown={onDown}
        onPointerMove={(event) => held.current && moveTo(event, held.current)}
        onPointerUp={() => (held.current = null)}
        onPointerCancel={() => (held.current = null)}
        onDoubleClick={() => update({ low: null, high: null, percentiles: DEFAULT_PERCENTILES })}
      >
        <svg width={BAR_WIDTH + HISTOGRAM_WIDTH + 4} height={height} aria-hidden="true">
          <defs>
            <linearGradient id="sv-gradient" gradientUnits="userSpaceOnUse" x1={0} x2={0} y1={bottom} y2={top}>
              {stops.map((stop) => {
                const value = fromBrightness(toBrightness(range.low, extent, scaling) + stop * (toBrightness(range.high, extent, scaling) - toBrightness(range.low, extent, scaling)), extent, scaling);
                return <stop key={stop} offset={stop} stopColor={colourAt(colourMap, toBrightness(value, range, scaling))} />;
              })}
            </linearGradient>
          </defs>
          <rect className="sv-bar-colours" width={BAR_WIDTH} height={height} fill="url(#sv-gradient)" />
          {bins.map((width, index) => (
            <rect
              key={index} className="sv-bin" x={BAR_WIDTH + 2} width={width}
              y={height - ((index + 1) * height) / bins.length} height={Math.max(1, height / bins.length - 1)}
            />
          ))}
        </svg>
        {(["high", "low"] as const).map((end) => (
          <div
            key={end}
            className="sv-handle"
            style={{ top: end === "high" ? top : bottom }}
            role="slider"
            tabIndex={0}
            aria-orientation="vertical"
            aria-label={end === "high" ? "Upper end of the range" : "Lower end of the range"}
            aria-valuemin={extent.low}
            aria-valuemax={extent.high}
            aria-valuenow={range[end]}
            aria-valuetext={`${formatInput(range[end])} ${shown.variable.units ?? ""}`.trim()}
            onKeyDown={onKey(end)}
          />
        ))}
        {(["high", "low"] as const).map((end, index) => (
          <NumberField
            key={end}
            label={end === "high" ? "Upper end" : "Lower end"}
            value={range[end]}
            top={separated[index] ?? 0}
            onChange={(value) => setEnd(end, value)}
          />
        ))}
      </div>
      <Presets scene={scene} isBelow={isPresetsBelow} />
    </div>
  );
}

function NumberField({ label, value, top, onChange }: {
  readonly label: string;
  readonly value: number;
  readonly top: number;
  readonly onChange: (value: number) => void;
}) {
  const [text, setText] = useState<string | null>(null);
  const commit = () => {
    const parsed = parseNumber(text ?? "");
    if (text !== null && parsed !== null) {
      onChange(parsed);
    }
    setText(null);
  };
  return (
    <input
      className="sv-number"
      style={{ top }}
      aria-label={label}
      inputMode="decimal"
      value={text ?? formatInput(value)}
      onChange={(event) => setText(event.target.value)}
      onBlur={commit}
      onKeyDown={(event) => {
        if (event.key === "Enter") {
          commit();
        } else if (event.key === "Escape") {
          setText(null);
        }
      }}
      onPointerDown={(event) => event.stopPropagation()}
      onDoubleClick={(event) => event.stopPropagation()}
    />
  );
}

function Presets({ scene, isBelow }: { readonly scene: Scene; readonly isBelow: boolean }) {
  const { shown, view, range, update, scaling } = scene;
  const { distribution, variable } = shown;
  const region = useRegionRange(scene);
  if (!distribution) {
    return <div className="sv-presets" />;
  }
  const spread: Range = {
    low: distribution.mean - 3 * distribution.deviation,
    high: distribution.mean + 3 * distribution.deviation,
  };
  const isAuto = view.low === null && view.high === null;
  const isRange = (other: Range | null) => !isAuto && other !== null && other.low === range.low && other.high === range.high;
  const presets = [
    { name: "all", isOn: isAuto && view.percentiles[1] === 100, choose: () => update({ low: null, high: null, percentiles: [0, 100] }) },
    { name: "3 σ", isOn: isRange(spread), choose: () => update(spread) },
    { name: "99.5 %", isOn: isAuto && view.percentiles[1] === DEFAULT_PERCENTILES[1], choose: () => update({ low: null, high: null, percentiles: DEFAULT_PERCENTILES }) },
    ...(region ? [{ name: "region A", isOn: isRange(region), choose: () => update(region) }] : []),
  ];
  return (
    <div className={`sv-presets ${isBelow ? "sv-presets-below" : ""}`}>
      <h2 className="sv-title">Range</h2>
      {presets.map(({ name, isOn, choose }) => (
        <button key={name} type="button" className="sv-button" aria-pressed={isOn} onClick={choose}>{name}</button>
      ))}
      <p>
        {variable.units && variable.units !== "1" ? `in ${variable.units}; ` : ""}bars: pixels, log{scaling === "linear" ? "" : `; scale ${scaling === "sqrt" ? "√" : "log"}`}
      </p>
    </div>
  );
}

/** The extremes in region A, from the values that are in memory. */
function useRegionRange({ shown, view }: Scene): Range | null {
  const region = view.regions[0];
  return useMemo(() => {
    if (!region || !shown.full) {
      return null;
    }
    let [low, high] = [Infinity, -Infinity];
    for (let row = region.rows[0]; row < Math.min(region.rows[1], shown.rows); row += 1) {
      for (let column = region.columns[0]; column < Math.min(region.columns[1], shown.columns); column += 1) {
        const value = shown.full.data[row * shown.columns + column] ?? NaN;
        low = value < low ? value : low;
        high = value > high ? value : high;
      }
    }
    return high > low ? { low, high } : null;
  }, [region, shown]);
}

/** The values that the bar reaches: nearly all, so that a few wild pixels do not squeeze it, and always the range. */
function useExtent({ shown, range }: Scene): Range {
  const { distribution } = shown;
  const natural = useMemo(() => {
    if (!distribution?.sample.length) {
      return null;
    }
    const usual = chooseRange(distribution, DEFAULT_PERCENTILES);
    const width = usual.high - usual.low;
    return {
      low: Math.max(distribution.minimum, usual.low - 0.003 * width),
      high: Math.min(distribution.maximum, Math.max(findPercentile(distribution.sample, 99.95), usual.high + 0.4 * width)),
    };
  }, [distribution]);
  // While a handle moves beyond it, the bar grows; it shrinks when the handle has come back.
  const [extent, setExtent] = useState<Range>(range);
  const wanted: Range = {
    low: Math.min(natural?.low ?? range.low, range.low),
    high: Math.max(natural?.high ?? range.high, range.high),
  };
  useEffect(() => setExtent({ low: wanted.low, high: wanted.high }), [wanted.low, wanted.high]);
  return extent.high > extent.low ? extent : range;
}

/** Keep two numbers apart, and on the bar. */
function separate(top: number, bottom: number, height: number): [number, number] {
  const middle = (top + bottom) / 2;
  if (bottom - top < NUMBER_GAP) {
    const centre = Math.min(Math.max(middle, NUMBER_GAP / 2), height - NUMBER_GAP / 2);
    return [centre - NUMBER_GAP / 2, centre + NUMBER_GAP / 2];
  }
  const half = NUMBER_GAP / 2;
  return [Math.max(top, half), Math.min(bottom, height - half)];
}
