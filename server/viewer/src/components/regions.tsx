/** Regions: statistics of the values in them, in full resolution, from the server. */

import { useEffect, useState } from "react";

import { toNumber, type Extraction, type StatisticsDocument } from "../api";
import { explainError } from "../state/shown";
import type { Scene } from "../state/scene";
import { formatSlice } from "../state/view";
import { THIN_SPACE, formatCount, formatValue, parseNumber } from "../text/numbers";
import { cutTo, formatSpan, sizeOf, type Area } from "../values/spans";
import { REGION_LETTERS } from "./plot";

const WAIT_MS = 150; // while a region is drawn

interface RegionStatistics {
  /** Of what the numbers are; they are of an earlier region while this one is on its way. */
  readonly url: string;
  readonly statistics: StatisticsDocument | null;
  readonly saturated: number | null;
  readonly error: string | null;
}

const NOTHING: RegionStatistics = { url: "", statistics: null, saturated: null, error: null };

/** The part of what is shown that a region selects. */
export function extractRegion({ shown }: Pick<Scene, "shown">, region: Area): Extraction {
  const parts = { ...shown.extraction.parts, [shown.rowsName]: formatSlice(region.rows), [shown.columnsName]: formatSlice(region.columns) };
  return { ...shown.extraction, parts };
}

function useRegionStatistics(scene: Scene, region: Area): RegionStatistics & { readonly isCurrent: boolean } {
  const { api } = scene;
  const [result, setResult] = useState<RegionStatistics>(NOTHING);
  const wanted = extractRegion(scene, region);
  const flags = scene.document.variables.find(({ name }) => name === "saturated_pixels");
  const hasFlags = !!flags && Object.keys(wanted.parts ?? {}).every((name) => flags.dimensions.some((each) => each.name === name));
  const url = api.buildUrl(wanted, {}, "statistics");
  useEffect(() => {
    const controller = new AbortController();
    const load = async () => {
      // Counts have their own limit; of what was computed from them, the flags tell.
      const flagged = { ...wanted, variable: "saturated_pixels", steps: [] };
      const [statistics, marked] = await Promise.all([
        api.fetchStatistics(wanted, controller.signal),
        hasFlags ? api.fetchStatistics(flagged, controller.signal) : null,
      ]);
      const saturated = statistics.saturated ?? (marked && Math.round(toNumber(marked.mean) * marked.count));
      setResult({ url, statistics, saturated, error: null });
    };
    const timer = setTimeout(() => {
      load().catch((error: unknown) => !controller.signal.aborted && setResult({ ...NOTHING, url, error: explainError(error) }));
    }, WAIT_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the URL holds what is wanted
  }, [api, url, hasFlags]);
  return { ...result, isCurrent: result.url === url };
}

export function RegionPanel({ scene }: { readonly scene: Scene }) {
  const { view, shown } = scene;
  if (shown.kind !== "picture") {
    return null;
  }
  if (!view.regions.length) {
    return (
      <section className="sv-regions" aria-label="Regions">
        <h2>Region</h2>
        <p className="sv-hint">Choose <b>Region</b> and drag on the picture, or press <kbd>R</kbd>: its statistics appear here.</p>
      </section>
    );
  }
  return (
    <section className="sv-regions" aria-label="Regions">
      {view.regions.map((region, index) => <RegionSection key={REGION_LETTERS[index]} scene={scene} region={region} index={index} />)}
    </section>
  );
}

function RegionSection({ scene, region, index }: { readonly scene: Scene; readonly region: Area; readonly index: number }) {
  const { view, update, shown, frame } = scene;
  const { statistics, saturated, error, isCurrent } = useRegionStatistics(scene, region);
  const letter = REGION_LETTERS[index] ?? "";
  const unit = shown.variable.units;
  const finite = statistics ? statistics.count - statistics.missing - statistics.infinite : 0;
  const median = statistics?.percentiles.find(({ level }) => level === 50)?.value;
  const rows: readonly (readonly [string, number | string | null | undefined, ((value: number) => string)?])[] = [
    ["Mean", statistics?.mean],
    ["σ", statistics?.standard_deviation],
    ["Minimum", statistics?.minimum],
    ["Maximum", statistics?.maximum],
    ["Median", median],
    ["Sum", statistics && toNumber(statistics.mean) * finite],
    ["Pixels", statistics?.count, formatCount],
    statistics?.missing ? ["Missing", statistics.missing, formatCount] : ["Saturated", saturated, formatCount],
  ];
  const setSide = (side: "rows" | "columns", end: 0 | 1, text: string) => {
    const value = parseNumber(text);
    if (value !== null) {
      const span = region[side];
      const changed = cutTo(end === 0 ? [Math.min(value, span[1] - 1), span[1]] : [span[0], Math.max(value + 1, span[0] + 1)], side === "rows" ? frame.rows : frame.columns);
      update({ regions: view.regions.map((each, at) => (at === index ? { ...region, [side]: changed } : each)) });
    }
  };
  return (
    <div className="sv-region-section" data-region={letter}>
      <h2>
        Region {letter}
        <small>
          columns {formatSpan(region.columns)}, rows {formatSpan(region.rows)}
          {unit && unit !== "1" ? ` · in ${unit}` : ""}
        </small>
        <button type="button" className="sv-remove" aria-label={`Remove region ${letter}`} onClick={() => update({ regions: view.regions.filter((_, at) => at !== index) })}>×</button>
      </h2>
      {error ? <p className="sv-error">{error}</p> : (
        <dl aria-busy={!isCurrent} className={isCurrent ? "" : "sv-earlier"}>
          {rows.map(([name, value, format = formatValue]) => (
            <div key={name} data-value={isCurrent ? (value ?? "") : ""}>
              <dt>{name}</dt>
              <dd>{value === undefined ? "…" : value === null ? "–" : format(toNumber(value))}</dd>
            </div>
          ))}
        </dl>
      )}
      <details className="sv-bounds">
        <summary>Bounds</summary>
        {(["columns", "rows"] as const).map((side) => (
          <span key={side}>
            {side}{THIN_SPACE}
            {([0, 1] as const).map((end) => (
              <input
                key={end}
                defaultValue={region[side][end] - end}
                ref={(input) => { if (input && document.activeElement !== input) { input.value = String(region[side][end] - end); } }}
                size={5} inputMode="numeric"
                aria-label={`${end === 0 ? "First" : "Last"} ${side.slice(0, -1)} of region ${letter}`}
                onBlur={(event) => setSide(side, end, event.target.value)}
                onKeyDown={(event) => event.key === "Enter" && setSide(side, end, event.currentTarget.value)}
              />
            ))}
          </span>
        ))}
        <span>{sizeOf(region.columns)} × {sizeOf(region.rows)} pixels</span>
      </details>
    </div>
  );
}
