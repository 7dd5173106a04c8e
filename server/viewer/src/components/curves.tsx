/** One-dimensional variables, and small stacks of curves, as curves. */

import { useMemo, useState, type KeyboardEvent, type PointerEvent } from "react";

import type { Shown } from "../state/shown";
import { formatValue, withUnit } from "../text/numbers";
import { chooseTicks, formatTicks } from "../text/ticks";
import { averageColumns } from "../values/lineout";
import { clamp } from "../values/spans";
import { tracePath } from "./lineouts";

const MAX_CURVES = 100;
const LONG_RATIO = 4;

/** Whether an array of rows and columns is rather a stack of curves: few of them, and long. */
export const isStack = (rows: number, columns: number): boolean =>
  Math.min(rows, columns) <= MAX_CURVES && Math.max(rows, columns) >= LONG_RATIO * Math.min(rows, columns);

export function Curves({ shown, width, height, describedBy }: {
  readonly shown: Shown;
  readonly width: number;
  readonly height: number;
  readonly describedBy: string;
}) {
  const { full, variable } = shown;
  const isAlongRows = shown.kind === "picture" && shown.rows > shown.columns;
  const axis = isAlongRows ? shown.axes.rows : shown.axes.columns;
  const other = isAlongRows ? shown.axes.columns : shown.axes.rows;
  const length = axis.size;
  const count = shown.kind === "curve" ? 1 : other.size;
  const [at, setAt] = useState<number | null>(null);
  const [chosen, setChosen] = useState<number | null>(null);
  const curves = useMemo(() => {
    if (!full) {
      return [];
    }
    return Array.from({ length: count }, (_, curve) =>
      isAlongRows
        ? Float64Array.from({ length }, (_each, index) => full.data[index * count + curve] ?? NaN)
        : Float64Array.from(full.data.subarray(curve * length, (curve + 1) * length)));
  }, [full, count, length, isAlongRows]);
  const mean = useMemo(() => {
    if (!full || count < 2) {
      return null;
    }
    const flat = Float64Array.from(curves.flatMap((curve) => [...curve]));
    const turned = Float64Array.from({ length: flat.length }, (_, index) => flat[(index % count) * length + Math.floor(index / count)] ?? NaN);
    return averageColumns(turned, length, count, [0, count]);
  }, [curves, full, count, length]);
  const [low, high] = useMemo(() => {
    let [least, greatest] = [0, -Infinity];
    for (const curve of curves) {
      for (const value of curve) {
        if (Number.isFinite(value)) {
          least = Math.min(least, value);
          greatest = Math.max(greatest, value);
        }
      }
    }
    const margin = (greatest - least) * 0.05 || 1;
    return greatest > least ? [least < 0 ? least - margin : least, greatest + margin] : [least, least + 1];
  }, [curves]);
  const toX = (index: number) => ((index + 0.5) / length) * width;
  const toY = (value: number) => height - ((value - low) / (high - low)) * height;
  const place = (along: number, value: number) => `${((along / length) * width).toFixed(2)},${toY(value).toFixed(2)}`;
  const path = (values: ArrayLike<number>) => tracePath(values, [0, length], width, place);
  const single = curves.length === 1 ? curves[0] : chosen === null ? mean : curves[chosen];
  const value = at === null ? undefined : single?.[at];
  const locate = (event: PointerEvent<SVGSVGElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    return clamp(Math.floor(((event.clientX - box.left) / box.width) * length), 0, length - 1);
  };
  const choose = (event: PointerEvent<SVGSVGElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    const index = locate(event);
    const level = low + (1 - (event.clientY - box.top) / box.height) * (high - low);
    const distances = curves.map((curve) => Math.abs((curve[index] ?? Infinity) - level));
    setChosen(count > 1 ? distances.indexOf(Math.min(...distances)) : null);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) {
      event.preventDefault();
      setAt(clamp((at ?? 0) + step * (event.shiftKey ? 10 : 1), 0, length - 1));
    }
    const curve = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (curve && count > 1) {
      event.preventDefault();
      setChosen(((chosen ?? (curve > 0 ? -1 : count)) + curve + count) % count);
    }
  };
  const ticks = chooseTicks(low, high, height / 70);
  const labels = formatTicks(ticks);
  const name = variable.name === "result" ? shown.extraction.variable : variable.name;
  return (
    <div className="sv-curves">
      <div className="sv-axis sv-axis-left" aria-hidden="true">
        {ticks.map((tick, index) => <span key={tick} className="sv-tick" style={{ top: toY(tick) }}>{labels[index]}</span>)}
        <span className="sv-axis-title">{variable.units && variable.units !== "1" ? variable.units : "value"}</span>
      </div>
      <svg
        className="sv-curve-plot" width={width} height={height} tabIndex={0} role="application" aria-roledescription="plot"
        aria-label={`${name}, ${count > 1 ? `${count} curves of ` : ""}${length} values${variable.units ? ` in ${variable.units}` : ""}`}
        aria-describedby={describedBy}
        onPointerMove={(event) => setAt(locate(event))}
        onPointerDown={choose}
        onKeyDown={onKeyDown}
      >
        {ticks.map((tick) => <line key={tick} className="sv-grid" x1={0} x2={width} y1={toY(tick)} y2={toY(tick)} />)}
        {curves.length > 1 && curves.slice(0, MAX_CURVES).map((curve, index) => <path key={index} className="sv-faint" d={path(curve)} />)}
        {curves.length === 1 && curves[0] && <path className="sv-curve sv-strong" d={path(curves[0])} />}
        {mean && <path className="sv-curve sv-strong" d={path(mean)} />}
        {chosen !== null && curves[chosen] && <path className="sv-curve sv-chosen" d={path(curves[chosen])} />}
        {at !== null && <line className="sv-cursor-line" x1={toX(at)} x2={toX(at)} y1={0} y2={height} />}
        {at !== null && value !== undefined && Number.isFinite(value) && <circle className="sv-dot" cx={toX(at)} cy={toY(value)} r={4} />}
      </svg>
      {count > 1 && <span className="sv-badge">{count} curves</span>}
      <div className="sv-axis sv-axis-bottom" aria-hidden="true">
        {axis.ticksBetween(0, length, Math.min(9, width / 75)).filter(({ position }) => position < length - ((axis.title.length * 7.2 + 20) / width) * length).map(({ position, label }) => (
          <span key={label} className="sv-tick" style={{ left: (position / length) * width }}>{label}</span>
        ))}
        <span className="sv-axis-title">{axis.title}</span>
      </div>
      <section className="sv-read-out" aria-label="At the cursor">
        <p className="sv-value">
          <output data-value={value ?? ""} data-index={at ?? ""}>{value === undefined ? "–" : withUnit(formatValue(value), variable.units)}</output>
        </p>
        <p>
          {at === null ? "Move the pointer over the curve, or press an arrow key." : `${axis.name} ${withUnit(formatValue(axis.valueAt(at)), axis.unit)}`}
          {count > 1 ? ` · ${chosen === null ? `mean of ${count} curves; choose one by a click` : `${other.name} ${chosen}`}` : ""}
        </p>
      </section>
    </div>
  );
}
