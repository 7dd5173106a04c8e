/** The second of two images that are compared, and what the screen shows of both. */

import { useCallback, useEffect, useMemo, useRef, useState } from "react";

import { ImageApi, type ImageDocument } from "../api";
import { parseColourMap } from "../colours/colour_maps";
import type { Range } from "../colours/scale";
import { findPercentile, measureDistribution } from "../values/distribution";
import { Layer } from "../values/layers";
import { comparePixels, isComputed, matchPlaces, type Way } from "../values/pair";
import { chooseDisplay, chooseRange, resolveRange } from "./scene";
import { useShown, type Shown } from "./shown";
import type { View } from "./view";

const BLINK_MS = 1000; // between two switches: slower than what can harm (WCAG 2.3.1)
const LIMIT_DIGITS = 3;
const LIMIT_PERCENTILE = 99.5; // of the distances from no difference: the end of the range

/** Which images are compared, as the page says it. */
export interface PairProps {
  readonly src: string;
  readonly variable: string;
  readonly names: readonly [string, string];
  readonly way: Way;
}

export interface Pair {
  readonly way: Way;
  readonly names: readonly [string, string];
  readonly api: ImageApi;
  readonly document: ImageDocument;
  /** Null while it is on its way. */
  readonly shown: Shown | null;
  readonly error: string | null;
  /** Whether a blink shows the second image now. */
  readonly isSecond: boolean;
  readonly toggle: () => void;
}

/** Load the second image for the view of the first one; null if none is compared. */
export function usePair(props: PairProps | null, view: View | null, firstVariable: string): Pair | null {
  const src = props?.src ?? "";
  const api = useMemo(() => new ImageApi(src), [src]);
  const [document, setDocument] = useState<ImageDocument | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [isSecond, setSecond] = useState(false);
  const last = useRef(-Infinity);

  useEffect(() => {
    if (!src) {
      return;
    }
    const controller = new AbortController();
    api.fetchDocument(null, controller.signal).then(setDocument).catch((error: unknown) => {
      if (!controller.signal.aborted) {
        setFailure(error instanceof Error ? error.message : "The server does not answer.");
      }
    });
    return () => controller.abort();
  }, [api, src]);

  const own = useMemo(() => {
    const isUsual = view?.variable === firstVariable && props?.variable;
    return view && props ? { ...view, variable: isUsual ? props.variable : view.variable } : null;
  }, [view, props, firstVariable]);
  const { shown, error } = useShown(api, document, own);
  const toggle = useCallback(() => {
    if (performance.now() - last.current >= BLINK_MS) {
      last.current = performance.now();
      setSecond((old) => !old);
    }
  }, []);
  return useMemo(
    () => (props && document ? { way: props.way, names: props.names, api, document, shown, error: failure ?? error, isSecond, toggle } : null),
    [props, document, api, shown, failure, error, isSecond, toggle],
  );
}

/** What is shown of both images: the first one, the second one, or what is computed of them once both are there. */
export function useCompared(first: Shown, pair: Pair | null): Shown {
  return useMemo(() => {
    const second = pair?.shown;
    if (!second || first.kind !== "picture" || second.kind !== "picture") {
      return first;
    }
    if (pair.way === "blink") {
      return pair.isSecond ? second : first;
    }
    if (!isComputed(pair.way) || !first.full || !second.full) {
      return first;
    }
    const isRatio = pair.way === "ratio";
    const [rows, columns] = [matchPlaces(first.axes.rows, second.axes.rows), matchPlaces(first.axes.columns, second.axes.columns)];
    const full = comparePixels(first.full, second.full, rows, columns, isRatio);
    const key = `${first.key} ${pair.way}`;
    return {
      ...first, key, full, layers: [new Layer(key, full, 1)],
      variable: { ...first.variable, name: pair.way, units: isRatio ? null : first.variable.units },
      distribution: measureDistribution(full.data, first.rows, first.columns),
    };
  }, [first, pair?.shown, pair?.way, pair?.isSecond]);
}

/** The range of the picture: symmetric about no difference, else one that holds the ranges of both images. */
export function resolvePairRange(view: View, compared: Shown, first: Shown, pair: Pair | null): Range {
  const second = pair?.shown;
  if (pair && compared.variable.name === pair.way) {
    const neutral = pair.way === "ratio" ? 1 : 0;
    const distances = Float64Array.from(compared.distribution?.sample ?? [], (value) => Math.abs(value - neutral)).sort();
    const limit = Number((distances.length ? findPercentile(distances, LIMIT_PERCENTILE) : 0).toPrecision(LIMIT_DIGITS)) || 1;
    return { low: view.low ?? neutral - limit, high: view.high ?? neutral + limit };
  }
  const own = resolveRange(view, first.distribution);
  if (!second) {
    return own;
  }
  const other = chooseRange(second.distribution, view.percentiles);
  return { low: view.low ?? Math.min(own.low, other.low), high: view.high ?? Math.max(own.high, other.high) };
}

/** The colour map and scale that nobody has chosen others for; of a difference, colours that are white in the middle. */
export function choosePairDisplay(compared: Shown, pair: Pair | null): ReturnType<typeof chooseDisplay> {
  const colourMap = parseColourMap("RdBu_r");
  return pair && compared.variable.name === pair.way && colourMap ? { colourMap, scaling: "linear" } : chooseDisplay(compared);
}
