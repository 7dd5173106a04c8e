/** Lineouts beside the picture: curves that share its axes. */

import { useEffect, useMemo, useState } from "react";

import { useCursor } from "../state/cursor";
import type { Scene } from "../state/scene";
import { THIN_SPACE, formatValue, withUnit } from "../text/numbers";
import { chooseTicks, formatTicks } from "../text/ticks";
import type { Axis } from "../values/axis";
import { averageColumns, averageRows, readCurve } from "../values/lineout";
import { formatSpan, sizeOf, type Span } from "../values/spans";

const LABEL_SPACE = 80; // pixels between two labels below a narrow plot
const WAIT_MS = 120; // before the server is asked for the mean of a band

/** The curve of a band: the mean of its rows along the columns, or of its columns along the rows. */
export interface Lineout {
  readonly dimension: "rows" | "columns";
  readonly band: Span;
  /** Null while it is on its way. */
  readonly values: ArrayLike<number> | null;
  readonly url: string;
}

/** The two lineouts of a scene; from memory if the whole image is there, else from the server. */
export function useLineouts(scene: Scene): { readonly rows: Lineout; readonly columns: Lineout } {
  return { rows: useLineout(scene, "rows"), columns: useLineout(scene, "columns") };
}

function useLineout(scene: Scene, dimension: "rows" | "columns"): Lineout {
  const { api, shown } = scene;
  const [first, end] = dimension === "rows" ? scene.rows : scene.columns;
  const [remote, setRemote] = useState<{ url: string; values: ArrayLike<number> } | null>(null);
  const step = `lineout-along-${dimension === "rows" ? "columns" : "rows"}-first-${first}-last-${end - 1}`;
  const wanted = { ...shown.extraction, steps: [...shown.extraction.steps, step] };
  const url = api.buildUrl(wanted, { format: "csv" });
  const local = useMemo(() => {
    if (!shown.full) {
      return null;
    }
    return dimension === "rows"
      ? averageRows(shown.full.data, shown.columns, [first, end])
      : averageColumns(shown.full.data, shown.rows, shown.columns, [first, end]);
  }, [shown.full, shown.columns, shown.rows, dimension, first, end]);

  useEffect(() => {
    if (!shown.isTiled) {
      return;
    }
    const controller = new AbortController();
    const timer = setTimeout(() => {
      api.fetchArray(wanted, controller.signal).then((array) => setRemote({ url, values: array.data })).catch(() => undefined);
    }, WAIT_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the URL holds what is wanted
  }, [api, url, shown.isTiled]);

  return { dimension, band: [first, end], values: local ?? remote?.values ?? null, url };
}

/** A curve that was kept to compare with later ones. */
export interface KeptCurve {
  readonly dimension: "rows" | "columns";
  readonly values: ArrayLike<number>;
}

/** One lineout as a plot along an axis of the picture. */
export function LineoutPlot({ scene, lineout, kept, length, thickness, side }: {
  readonly scene: Scene;
  readonly lineout: Lineout;
  readonly kept: ArrayLike<number> | null;
  /** Along the picture, and across, in pixels of the screen. */
  readonly length: number;
  readonly thickness: number;
  readonly side: "below" | "right";
}) {
  const { frame, window, shown } = scene;
  const axis = side === "below" ? "horizontal" : "vertical";
  const visible = frame.areaToDisplay(window)[axis];
  const size = axis === "horizontal" ? frame.width : frame.height;
  const isMirrored = axis === "horizontal" ? frame.orientation.isLeftwards : frame.orientation.isUpwards;
  const pixel = useCursor(scene.cursor);
  const scale = length / sizeOf(visible);
  const curves = [lineout.values, kept].map((values) => (values ? orient(values, size, isMirrored) : null));
  const [low, high] = findExtent(curves, visible);
  const across = (value: number) => ((value - low) / (high - low)) * (thickness - 2);
  const place = (along: number, value: number) => {
    const [a, b] = [(along - visible[0]) * scale, across(value)];
    return side === "below" ? `${a.toFixed(2)},${(thickness - 1 - b).toFixed(2)}` : `${(b + 1).toFixed(2)},${a.toFixed(2)}`;
  };
  const paths = curves.map((values) => (values ? tracePath(values, visible, length, place) : ""));
  const ticks = chooseTicks(low, high, side === "below" ? 3 : 4);
  const labels = formatTicks(ticks);
  const other = lineout.dimension;
  const cursorAt = pixel
    ? frame.middleOf(pixel.row, pixel.column)[axis === "horizontal" ? "u" : "v"]
    : null;
  const cursorLine = cursorAt === null ? null : (cursorAt - visible[0]) * scale;
  const unit = shown.variable.units;
  return (
    <figure className={`sv-lineout sv-${side}`} data-band={lineout.band.join(":")}>
      <svg width={side === "below" ? length : thickness} height={side === "below" ? thickness : length} role="img" aria-label={describeLineout(scene, lineout)}>
        <rect className="sv-frame" x={0.5} y={0.5} width={(side === "below" ? length : thickness) - 1} height={(side === "below" ? thickness : length) - 1} />
        {ticks.map((tick) => {
          const at = across(tick);
          return side === "below"
            ? <line key={tick} className="sv-grid" x1={0} x2={length} y1={thickness - 1 - at} y2={thickness - 1 - at} />
            : <line key={tick} className="sv-grid" x1={at + 1} x2={at + 1} y1={0} y2={length} />;
        })}
        {paths[1] && <path className="sv-curve sv-kept" d={paths[1]} />}
        {paths[0] && <path className="sv-curve" d={paths[0]} />}
        {cursorLine !== null && (side === "below"
          ? <line className="sv-cursor-line" x1={cursorLine} x2={cursorLine} y1={0} y2={thickness} />
          : <line className="sv-cursor-line" x1={0} x2={thickness} y1={cursorLine} y2={cursorLine} />)}
      </svg>
      <figcaption>
        {side === "below"
          ? `${sizeOf(lineout.band) > 1 ? "mean of " : ""}${nameBand(other, lineout.band)}${unit && unit !== "1" ? `, ${unit}` : ""}`
          : <>{sizeOf(lineout.band) > 1 ? other : other.slice(0, -1)}<br />{formatSpan(lineout.band)}<br />{describePlace(lineout, other === "rows" ? shown.axes.rows : shown.axes.columns)}</>}
      </figcaption>
      {ticks.map((tick, index) => (side === "below"
        ? <span key={tick} className="sv-tick sv-left" style={{ top: thickness - 1 - across(tick) }}>{labels[index]}</span>
        : index === ticks.length - 1 || (index === 0 && across(ticks.at(-1) ?? 0) - across(tick) > LABEL_SPACE)
          ? <span key={tick} className="sv-tick sv-foot" style={{ left: across(tick) + 1 }}>{index === 0 ? labels[index] : withUnit(labels[index] ?? "", unit)}</span>
          : null))}
    </figure>
  );
}

export const nameBand = (dimension: "rows" | "columns", band: Span): string =>
  `${sizeOf(band) > 1 ? dimension : dimension.slice(0, -1)} ${formatSpan(band)}`;

/** What is read off the curve along the columns, in units. */
export function LineoutReadings({ scene, lineout, isKept, canKeep, onKeep, hasFile }: {
  readonly scene: Scene;
  readonly lineout: Lineout;
  readonly isKept: boolean;
  readonly canKeep: boolean;
  readonly onKeep: () => void;
  /** Whether the server has the curve as a file. */
  readonly hasFile: boolean;
}) {
  const { shown } = scene;
  const axis = lineout.dimension === "rows" ? shown.axes.columns : shown.axes.rows;
  const readings = useMemo(() => lineout.values && readCurve(lineout.values), [lineout.values]);
  const atPeak = readings ? axis.valueAt(readings.peakIndex) : NaN;
  const unit = axis.unit ?? "px";
  const width = (span: Span | null) => (span ? withUnit(formatValue(axis.distance(...span), 3), unit) : "–");
  return (
    <section className="sv-readings" aria-label="Lineout">
      <h2 className="sv-title">Lineout, {nameBand(lineout.dimension, lineout.band)}</h2>
      <dl>
        <div><dt>Peak</dt> <dd>{readings ? `${withUnit(formatValue(readings.peak), shown.variable.units)} at ${withUnit(formatValue(atPeak, 3), axis.unit)}` : "–"}</dd></div>
        <div><dt>Half width</dt> <dd>{width(readings?.halfWidth ?? null)}</dd></div>
        <div><dt>10{THIN_SPACE}–{THIN_SPACE}90 % rise</dt> <dd>{width(readings?.rise ?? null)}</dd></div>
      </dl>
      <p className="sv-buttons">
        {canKeep && <button type="button" className="sv-button" aria-pressed={isKept} onClick={onKeep}>{isKept ? "Drop kept" : "Keep"}</button>}
        {hasFile && <a className="sv-button" href={lineout.url} download>CSV</a>}
      </p>
    </section>
  );
}

/** Where a band is, in physical units; empty for plain pixels. */
function describePlace({ band }: Lineout, axis: Axis): string {
  const middle = axis.valueAtPosition((band[0] + band[1]) / 2);
  return axis.values ? withUnit(formatValue(middle, 3), axis.unit) : "";
}

function describeLineout(scene: Scene, lineout: Lineout): string {
  const readings = lineout.values && readCurve(lineout.values);
  const axis = lineout.dimension === "rows" ? scene.shown.axes.columns : scene.shown.axes.rows;
  const peak = readings
    ? `, highest ${formatValue(readings.peak)} ${scene.shown.variable.units ?? ""} at ${axis.name} ${formatValue(axis.valueAt(readings.peakIndex))} ${axis.unit ?? ""}`
    : "";
  return `Mean of ${nameBand(lineout.dimension, lineout.band)}${peak}`;
}

function orient(values: ArrayLike<number>, size: number, isMirrored: boolean): ArrayLike<number> {
  return isMirrored ? Float64Array.from({ length: size }, (_, index) => values[size - 1 - index] ?? NaN) : values;
}

function findExtent(curves: readonly (ArrayLike<number> | null)[], visible: Span): [number, number] {
  let [low, high] = [0, -Infinity];
  for (const values of curves) {
    for (let index = Math.max(0, Math.floor(visible[0])); values && index < Math.min(values.length, Math.ceil(visible[1])); index += 1) {
      const value = values[index] ?? NaN;
      if (Number.isFinite(value)) {
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
  }
  if (!(high > low)) {
    return [low, low + 1];
  }
  const margin = (high - low) * 0.04;
  return [low < 0 ? low - margin : low, high + margin];
}

/** Trace a curve; of many points for one pixel of the screen, the least and the greatest. */
export function tracePath(
  values: ArrayLike<number>, visible: Span, length: number, place: (along: number, value: number) => string,
): string {
  const [first, end] = [Math.max(0, Math.floor(visible[0]) - 1), Math.min(values.length, Math.ceil(visible[1]) + 1)];
  const bunch = Math.max(1, Math.floor((end - first) / (2 * length)));
  let path = "";
  let isDown = false;
  for (let start = first; start < end; start += bunch) {
    let [least, greatest] = [NaN, NaN];
    for (let index = start; index < Math.min(start + bunch, end); index += 1) {
      const value = values[index] ?? NaN;
      least = value < least || Number.isNaN(least) ? value : least;
      greatest = value > greatest || Number.isNaN(greatest) ? value : greatest;
    }
    if (!Number.isFinite(least) || !Number.isFinite(greatest)) {
      isDown = false;
      continue;
    }
    const middle = start + Math.min(bunch, end - start) / 2;
    path += `${isDown ? "L" : "M"}${place(middle, least)}${greatest === least ? "" : `L${place(middle, greatest)}`}`;
    isDown = true;
  }
  return path;
}
