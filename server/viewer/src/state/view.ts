/** What is shown, and how: all of it is in the URL, in the vocabulary of the REST API. */

import { formatColourMap, parseColourMap, type ColourMap } from "../colours/colour_maps";
import { SCALINGS, type Scaling } from "../colours/scale";
import { roundForUrl } from "../text/numbers";
import type { Area, Span } from "../values/spans";

export type Percentiles = readonly [number, number];

export const DEFAULT_PERCENTILES: Percentiles = [0.5, 99.5];
export const MAX_REGIONS = 4;

export interface View {
  readonly variable: string;
  /** Steps of a variant, `median_filter-size-5`. */
  readonly steps: readonly string[];
  /** Indices of the dimensions before rows and columns. */
  readonly indices: Readonly<Record<string, number>>;
  /** The rows and columns that are visible; null for all. */
  readonly window: Area | null;
  /** Null for the variable's own. */
  readonly colourMap: ColourMap | null;
  readonly scaling: Scaling | null;
  /** The ends of the range; null for those of the percentiles. */
  readonly low: number | null;
  readonly high: number | null;
  readonly percentiles: Percentiles;
  /** Band of rows of the lineout; null for the brightest place. */
  readonly rows: Span | null;
  readonly columns: Span | null;
  readonly regions: readonly Area[];
  readonly isSaturatedMarked: boolean;
  readonly isAsStored: boolean;
  readonly shape: "picture" | "curves" | null;
}

/** Names of the dimensions of rows and columns, which name the parameters of the window. */
export interface WindowNames {
  readonly rows: string;
  readonly columns: string;
}

const OWN = new Set([
  "variable", "transform", "cmap", "scaling", "low", "high", "percentiles", "row", "column", "region", "mark",
  "orientation", "shape",
]);
const SPAN = /^(\d+):(\d+)$/;
const INDEX = /^\d+$/;

/** The view of an image that nobody has changed. */
export function createView(variable: string, steps: readonly string[] = []): View {
  return {
    variable, steps, indices: {}, window: null, colourMap: null, scaling: null, low: null, high: null,
    percentiles: DEFAULT_PERCENTILES, rows: null, columns: null, regions: [], isSaturatedMarked: false,
    isAsStored: false, shape: null,
  };
}

/**
 * Parse the view from a query; what cannot be understood is as if it were not there.
 *
 * @param dimensions the names of the variable's dimensions, rows and columns last
 */
export function parseView(query: URLSearchParams, initial: View, dimensions: readonly string[]): View {
  const [columns = "", rows = "", ...others] = [...dimensions].reverse();
  const [rowsSpan, columnsSpan] = [parseSpan(query.get(rows)), parseSpan(query.get(columns))];
  const indices = others.flatMap((name) => {
    const text = query.get(name);
    return text && INDEX.test(text) ? [[name, Number(text)] as const] : [];
  });
  const percentiles = query.get("percentiles")?.split(",").map(Number) ?? [];
  return {
    ...initial,
    variable: query.get("variable") ?? initial.variable,
    steps: query.has("transform") ? query.getAll("transform") : initial.steps,
    indices: Object.fromEntries(indices),
    window: rowsSpan || columnsSpan ? { rows: rowsSpan ?? [0, Infinity], columns: columnsSpan ?? [0, Infinity] } : null,
    colourMap: parseColourMap(query.get("cmap") ?? ""),
    scaling: SCALINGS.find((each) => each === query.get("scaling")) ?? null,
    low: parseFinite(query.get("low")),
    high: parseFinite(query.get("high")),
    percentiles: isPercentiles(percentiles) ? percentiles : DEFAULT_PERCENTILES,
    rows: parseSpan(query.get("row")),
    columns: parseSpan(query.get("column")),
    regions: query.getAll("region").flatMap((text) => parseRegion(text) ?? []).slice(0, MAX_REGIONS),
    isSaturatedMarked: query.get("mark") === "saturated",
    isAsStored: query.get("orientation") === "stored",
    shape: (["picture", "curves"] as const).find((each) => each === query.get("shape")) ?? null,
  };
}

/**
 * Write the parameters of a view in their fixed order; defaults are left out.
 *
 * @param kept the query so far, whose foreign parameters stay, at the end
 */
export function formatView(view: View, names: WindowNames | null, kept: URLSearchParams): URLSearchParams {
  const query = new URLSearchParams();
  const add = (name: string, value: string | number | null) => value !== null && query.append(name, String(value));
  Object.entries(view.indices).forEach(([name, index]) => index !== 0 && add(name, index));
  add("cmap", view.colourMap && formatColourMap(view.colourMap));
  add("scaling", view.scaling);
  add("low", view.low === null ? null : roundForUrl(view.low));
  add("high", view.high === null ? null : roundForUrl(view.high));
  add("percentiles", String(view.percentiles) === String(DEFAULT_PERCENTILES) ? null : view.percentiles.join(","));
  if (view.window && names) {
    add(names.columns, formatSlice(view.window.columns));
    add(names.rows, formatSlice(view.window.rows));
  }
  add("row", view.rows && formatSlice(view.rows));
  add("column", view.columns && formatSlice(view.columns));
  view.regions.forEach((region) => add("region", `${formatSlice(region.rows)},${formatSlice(region.columns)}`));
  add("mark", view.isSaturatedMarked ? "saturated" : null);
  add("orientation", view.isAsStored ? "stored" : null);
  add("shape", view.shape);
  const own = new Set([...OWN, ...Object.keys(view.indices), ...(names ? [names.rows, names.columns] : [])]);
  [...query.keys()].forEach((name) => own.add(name));
  kept.forEach((value, name) => !own.has(name) && query.append(name, value)); // some more than once, as the images compared
  return query;
}

/** Write a query as people read it: colons and commas as they are. */
export const formatQuery = (query: URLSearchParams): string =>
  query.toString().replaceAll("%3A", ":").replaceAll("%2C", ",").replaceAll("%2F", "/");

export const formatSlice = (span: Span): string => `${Math.floor(span[0])}:${Math.ceil(span[1])}`;

function parseSpan(text: string | null): Span | null {
  const match = SPAN.exec(text ?? "");
  const span: Span = [Number(match?.[1]), Number(match?.[2])];
  return match && span[0] < span[1] ? span : null;
}

/** Rows first, as arrays have them: `330:520,110:310`. */
function parseRegion(text: string): Area | null {
  const [rows = null, columns = null] = text.split(",").map(parseSpan);
  return rows && columns ? { rows, columns } : null;
}

function parseFinite(text: string | null): number | null {
  const value = text ? Number(text) : NaN;
  return Number.isFinite(value) ? value : null;
}

const isPercentiles = (numbers: readonly number[]): numbers is Percentiles =>
  numbers.length === 2 && (numbers[0] ?? -1) >= 0 && (numbers[0] ?? 0) < (numbers[1] ?? 0) && (numbers[1] ?? 0) <= 100;
