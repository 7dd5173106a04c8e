/** Saturated pixels: how many there are, and outlines around them on the picture. */

import { useEffect, useMemo, useRef, useState } from "react";

import type { Scene } from "../state/scene";
import type { NumberArray } from "../values/npy";
import { sizeOf } from "../values/spans";

const VARIABLE = "saturated_pixels";
const IDLE_MS = 400; // after the picture: it comes first

/** The flags of saturated pixels, if the image has them for what is shown. */
export function useSaturation({ api, document, shown }: Scene): { flags: NumberArray | null; count: number | null } {
  const [flags, setFlags] = useState<{ key: string; array: NumberArray } | null>(null);
  const variable = document.variables.find(({ name }) => name === VARIABLE);
  const fits = shown.kind === "picture" && !shown.isTiled && shown.full !== null
    && variable?.dimensions.at(-1)?.name === shown.columnsName && variable.dimensions.at(-2)?.name === shown.rowsName;
  const key = fits ? JSON.stringify([api.url, shown.extraction.parts]) : "";
  useEffect(() => {
    if (!key) {
      return;
    }
    const controller = new AbortController();
    const parts = shown.extraction.parts ?? {};
    const known = new Set(variable?.dimensions.map(({ name }) => name));
    const wanted = { variable: VARIABLE, steps: [], parts: Object.fromEntries(Object.entries(parts).filter(([name]) => known.has(name))) };
    const timer = setTimeout(() => {
      api.fetchArray(wanted, controller.signal).then((array) => setFlags({ key, array })).catch(() => undefined);
    }, IDLE_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the key holds what is wanted
  }, [key]);
  const array = flags && flags.key === key ? flags.array : null;
  const count = useMemo(() => (array ? Array.from(array.data).filter(Boolean).length : null), [array]);
  return { flags: array, count };
}

/** Outlines of one pixel around areas of saturated ones. */
export function SaturationMarks({ scene, flags, width, height }: {
  readonly scene: Scene;
  readonly flags: NumberArray;
  readonly width: number;
  readonly height: number;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { frame, window } = scene;
  useEffect(() => {
    const target = canvas.current;
    const context = target?.getContext("2d");
    if (!target || !context) {
      return;
    }
    const dpr = globalThis.devicePixelRatio || 1;
    [target.width, target.height] = [width * dpr, height * dpr];
    context.setTransform(dpr, 0, 0, dpr, 0, 0);
    context.clearRect(0, 0, width, height);
    context.strokeStyle = getComputedStyle(target).color;
    const visible = frame.areaToDisplay(window);
    const [perX, perY] = [width / sizeOf(visible.horizontal), height / sizeOf(visible.vertical)];
    const [columns, rows] = [frame.columns, frame.rows];
    for (let row = Math.max(0, Math.floor(window.rows[0])); row < Math.min(rows, window.rows[1]); row += 1) {
      for (let column = Math.max(0, Math.floor(window.columns[0])); column < Math.min(columns, window.columns[1]); column += 1) {
        if (flags.data[row * columns + column]) {
          const { u, v } = frame.middleOf(row, column);
          const [wide, tall] = [Math.max(3, perX), Math.max(3, perY)];
          context.strokeRect((u - visible.horizontal[0]) * perX - wide / 2, (v - visible.vertical[0]) * perY - tall / 2, wide, tall);
        }
      }
    }
  }, [flags, frame, window, width, height]);
  return <canvas ref={canvas} className="sv-marks" aria-hidden="true" />;
}
