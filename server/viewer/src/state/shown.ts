/** What is on the screen: loaded step by step, overview first, and never mixed with what has been overtaken. */

import { useEffect, useRef, useState } from "react";

import { ApiError, ImageApi, resultName, type Extraction, type ImageDocument, type VariableDocument } from "../api";
import { Axis, isMonotonic } from "../values/axis";
import { findBrightest } from "../values/brightest";
import { measureDistribution, type Distribution } from "../values/distribution";
import { Layer } from "../values/layers";
import type { NumberArray } from "../values/npy";
import type { View } from "./view";

/** Pixels of one side up to which an image is loaded at once. */
const WHOLE_PIXELS = 512 ** 2;
/** Pixels beyond which an image is loaded as tiles. */
export const TILED_PIXELS = 4096 ** 2;
const OVERVIEW_SIDE = 256;
const TILED_OVERVIEW_SIDE = 1024;
const MAX_BIN = 256;

export interface Shown {
  readonly key: string;
  /** With the indices of frames as parts. */
  readonly extraction: Extraction;
  readonly variable: VariableDocument;
  readonly kind: "picture" | "curve" | "colours";
  /** Names of the dimensions of rows and columns; a curve has only columns. */
  readonly rowsName: string;
  readonly columnsName: string;
  readonly rows: number;
  readonly columns: number;
  readonly axes: { readonly rows: Axis; readonly columns: Axis };
  readonly layers: readonly Layer[];
  /** All values in full resolution; null before they have come, and of tiled images. */
  readonly full: NumberArray | null;
  readonly distribution: Distribution | null;
  /** The brightest row and column. */
  readonly brightest: { readonly row: number; readonly column: number };
  readonly isTiled: boolean;
}

export interface Loading {
  readonly shown: Shown | null;
  /** Whether something else is wanted than what is shown. */
  readonly isOvertaken: boolean;
  readonly isComplete: boolean;
  readonly error: string | null;
}

/** Load what a view shows, and keep the last picture until its successor is there. */
export function useShown(api: ImageApi, document: ImageDocument | null, view: View | null): Loading {
  const [loading, setLoading] = useState<Loading>({ shown: null, isOvertaken: false, isComplete: false, error: null });
  const key = view ? JSON.stringify([api.url, view.variable, view.steps, view.indices]) : "";
  const wanted = useRef(view);
  wanted.current = view;

  useEffect(() => {
    const current = wanted.current;
    if (!document || !current) {
      return;
    }
    const controller = new AbortController();
    setLoading((last) => ({ ...last, isOvertaken: last.shown?.key !== key, isComplete: false, error: null }));
    loadShown(api, document, current, key, controller.signal, (shown, isComplete) => {
      if (!controller.signal.aborted) {
        setLoading({ shown, isOvertaken: false, isComplete, error: null });
      }
    }).catch((error: unknown) => {
      if (!controller.signal.aborted) {
        setLoading((last) => ({ ...last, isOvertaken: last.shown?.key !== key, isComplete: true, error: explainError(error) }));
      }
    });
    return () => controller.abort();
  }, [api, document, key]);

  return loading;
}

/** The sentence to show for an error. */
export const explainError = (error: unknown): string =>
  error instanceof ApiError || (error instanceof Error && error.name === "Error")
    ? error.message
    : "The server does not answer.";

async function loadShown(
  api: ImageApi, document: ImageDocument, view: View, key: string, signal: AbortSignal,
  show: (shown: Shown, isComplete: boolean) => void,
): Promise<void> {
  const whole: Extraction = { variable: view.variable, steps: view.steps };
  const described = view.steps.length ? await api.fetchDocument(whole, signal) : document;
  const name = resultName(whole);
  const variable = described.variables.find((each) => each.name === name);
  if (!variable) {
    const names = document.variables.filter((each) => !each.coordinate).map((each) => each.name).join(", ");
    throw new Error(`There is no variable ${name} here. The variables are: ${names}.`);
  }
  const isColoured = variable.dimensions.at(-1)?.name === "band" && variable.dimensions.length > 2;
  const dimensions = isColoured ? variable.dimensions.slice(0, -1) : variable.dimensions;
  const [columns = { name: "", size: 1 }, rows = { name: "", size: 1 }] = [...dimensions].reverse();
  const parts = Object.fromEntries(
    dimensions.slice(0, -2).map((each) => [each.name, String(Math.min(view.indices[each.name] ?? 0, each.size - 1))]),
  );
  const extraction: Extraction = { ...whole, parts };
  const [rowsAxis, columnsAxis] = await Promise.all(
    [rows, columns].map((each) => loadAxis(api, whole, described, variable, each.name, each.size, signal)),
  );
  const shown: Shown = {
    key, extraction, variable,
    kind: isColoured ? "colours" : dimensions.length > 1 ? "picture" : "curve",
    rowsName: rows.name, columnsName: columns.name, rows: rows.size, columns: columns.size,
    axes: { rows: rowsAxis as Axis, columns: columnsAxis as Axis },
    layers: [], full: null, distribution: null, brightest: { row: 0, column: 0 }, isTiled: rows.size * columns.size > TILED_PIXELS,
  };
  if (isColoured) {
    show(shown, true);
    return;
  }
  if (shown.isTiled) {
    const overview = await loadReduced(api, shown, reductionFor(shown, TILED_OVERVIEW_SIDE), signal);
    const place = findBrightest(overview.array.data, overview.rows, overview.columns, 1);
    show({
      ...shown, layers: [overview],
      distribution: measure(overview.array, overview.rows, overview.columns),
      brightest: { row: place.row * overview.step, column: place.column * overview.step },
    }, true);
    return;
  }
  let isFullThere = false;
  const fullArray = api.fetchArray(extraction, signal);
  const isLarge = rows.size * columns.size > WHOLE_PIXELS;
  const step = isLarge ? Math.ceil(Math.max(rows.size, columns.size) / OVERVIEW_SIDE / 8) * 8 : 1;
  if (isLarge) {
    // A strided part holds the very pixels whose percentiles are the range: it stays when the whole image has come.
    const strided = { ...extraction, parts: { ...parts, [rows.name]: `::${step}`, [columns.name]: `::${step}` } };
    api.fetchArray(strided, signal).then((array) => {
      if (!isFullThere) {
        const [height = 1, width = 1] = array.shape;
        const place = findBrightest(array.data, height, width, 1);
        show({
          ...shown,
          layers: [new Layer(`${key} overview`, array, step)],
          distribution: measure(array, height, width),
          brightest: { row: place.row * step, column: place.column * step },
        }, false);
      }
    }).catch(() => undefined); // the whole image tells the error
  }
  const full = await fullArray;
  isFullThere = true;
  show({
    ...shown, full,
    layers: [new Layer(`${key} full`, full, 1)],
    distribution: measure(full, rows.size, columns.size),
    brightest: findBrightest(full.data, rows.size, columns.size, step),
  }, true);
}

const measure = (array: NumberArray, rows: number, columns: number): Distribution =>
  measureDistribution(array.data, rows, columns);

const reductionFor = ({ rows, columns }: Shown, side: number): number =>
  Math.min(MAX_BIN, 2 ** Math.ceil(Math.log2(Math.max(rows, columns) / side)));

/** Load means over squares of pixels; of the whole image, or of a part given in reduced pixels. */
export async function loadReduced(
  api: ImageApi, shown: Shown, step: number, signal: AbortSignal,
  part: { rows: readonly [number, number]; columns: readonly [number, number] } | null = null,
): Promise<Layer> {
  const { extraction, rowsName, columnsName, key } = shown;
  const [row, column] = [(part?.rows[0] ?? 0) * step, (part?.columns[0] ?? 0) * step];
  const name = `${key} ${step} ${row} ${column}`;
  if (step === 1) {
    const parts = part ? { [rowsName]: part.rows.join(":"), [columnsName]: part.columns.join(":") } : {};
    const array = await api.fetchArray({ ...extraction, parts: { ...extraction.parts, ...parts } }, signal);
    return new Layer(name, array, 1, row, column);
  }
  const steps = [...extraction.steps, `bin_pixels-columns-${step}-rows-${step}`];
  // The dimensions of a result have names of their own.
  const suffix = "_result";
  const parts = part
    ? { [`${rowsName.replace(suffix, "")}${suffix}`]: part.rows.join(":"), [`${columnsName.replace(suffix, "")}${suffix}`]: part.columns.join(":") }
    : {};
  const array = await api.fetchArray({ ...extraction, steps, parts: { ...extraction.parts, ...parts } }, signal);
  return new Layer(name, array, step, row, column);
}

const UNITS: Readonly<Record<string, string>> = { um: "µm", us: "µs" };
const TIME_UNITS = new Set(["ps", "ns", "us", "ms", "s"]);
const PIXEL_UNITS = new Set(["pixel", "1", ""]);

/** The axis along a dimension: its physical coordinate if there is one, else its pixels. */
async function loadAxis(
  api: ImageApi, extraction: Extraction, document: ImageDocument, variable: VariableDocument,
  dimension: string, size: number, signal: AbortSignal,
): Promise<Axis> {
  const { coordinates } = variable.attributes;
  const named = typeof coordinates === "string" ? coordinates.split(/\s+/) : [];
  const candidates = document.variables.filter(
    (each) => each.dimensions.length === 1 && each.dimensions[0]?.name === dimension
      && (named.includes(each.name) || each.name === dimension),
  );
  const physical = candidates.filter((each) => !PIXEL_UNITS.has(each.units ?? "")).reverse();
  const pixels = candidates.find((each) => each.name === dimension);
  const source = extraction.steps.length
    ? new ImageApi(`${api.url}/~${[extraction.variable, ...extraction.steps].map(encodeURIComponent).join("~")}`)
    : api;
  for (const coordinate of [...physical, ...(pixels ? [pixels] : [])]) {
    const { data } = await source.fetchArray({ variable: coordinate.name, steps: [] }, signal);
    if (isMonotonic(data)) {
      const isPlain = PIXEL_UNITS.has(coordinate.units ?? "") && data[0] === 0 && data[size - 1] === size - 1;
      const unit = PIXEL_UNITS.has(coordinate.units ?? "") ? null : coordinate.units;
      return new Axis(nameAxis(coordinate), unit && (UNITS[unit] ?? unit), isPlain ? null : data, size);
    }
  }
  return new Axis(dimension.replaceAll("_", " "), null, null, size);
}

function nameAxis({ name, long_name: longName, units }: VariableDocument): string {
  const pixels = units === "pixel" ? /^(row|column)/.exec(longName ?? "")?.[1] : undefined;
  const isTime = TIME_UNITS.has(units ?? "") && /time$/i.test(name);
  return pixels ?? (isTime ? "time" : name.replaceAll("_", " "));
}
