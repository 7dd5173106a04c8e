/** All that the parts of the viewer share about what is on the screen. */

import type { ImageApi, ImageDocument } from "../api";
import { parseColourMap, type ColourMap } from "../colours/colour_maps";
import { widenRange, type Range, type Scaling } from "../colours/scale";
import { findPercentile, type Distribution } from "../values/distribution";
import type { Layer } from "../values/layers";
import type { Frame } from "../values/orientation";
import type { Area, Span } from "../values/spans";
import type { Cursor } from "./cursor";
import type { Shown } from "./shown";
import type { Percentiles, View } from "./view";

export type Tool = "move" | "lineout" | "region";

export interface Scene {
  readonly api: ImageApi;
  readonly document: ImageDocument;
  readonly shown: Shown;
  readonly layers: readonly Layer[];
  readonly view: View;
  readonly update: (change: Partial<View>) => void;
  readonly cursor: Cursor;
  readonly frame: Frame;
  readonly window: Area;
  readonly setWindow: (window: Area) => void;
  readonly range: Range;
  readonly scaling: Scaling;
  readonly colourMap: ColourMap;
  readonly rows: Span;
  readonly columns: Span;
  readonly tool: Tool;
  readonly setTool: (tool: Tool) => void;
}

const INFERNO: ColourMap = { name: "inferno", isInverted: false };

/** The colour map and scale of a variable that nobody has chosen others for. */
export function chooseDisplay({ variable }: Shown): { colourMap: ColourMap; scaling: Scaling } {
  const of = (name: string, scaling: Scaling) => ({ colourMap: parseColourMap(name) ?? INFERNO, scaling });
  if ("flag_values" in variable.attributes) {
    return of("gray", "linear");
  }
  if (variable.units === "radian" || /phase/.test(variable.name)) {
    return of("twilight", "linear");
  }
  return of("inferno", "sqrt");
}

/** The range between two percentiles, as the server chooses it. */
export function chooseRange(distribution: Distribution | null, percentiles: Percentiles): Range {
  if (!distribution?.sample.length) {
    return { low: 0, high: 1 };
  }
  const isAll = percentiles[0] === 0 && percentiles[1] === 100;
  const [low, high] = isAll
    ? [distribution.minimum, distribution.maximum]
    : percentiles.map((level) => findPercentile(distribution.sample, level));
  const range = { low: low ?? 0, high: high ?? 1 };
  return range.high > range.low ? range : widenRange({ low: distribution.minimum, high: distribution.maximum });
}

/** The range of a view: what somebody has set, else percentiles. */
export function resolveRange(view: View, distribution: Distribution | null): Range {
  const chosen = chooseRange(distribution, view.percentiles);
  return widenRange({ low: view.low ?? chosen.low, high: view.high ?? chosen.high });
}
