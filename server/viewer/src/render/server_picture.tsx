/** The picture as the server draws it, where a browser has no WebGL, and for images that have colours of their own. */

import { useEffect, useRef, useState } from "react";

import type { ImageApi } from "../api";
import { formatColourMap, type ColourMap } from "../colours/colour_maps";
import type { Range, Scaling } from "../colours/scale";
import { explainError, type Shown } from "../state/shown";
import { formatSlice } from "../state/view";
import { formatOrientation, type Frame } from "../values/orientation";
import type { Area } from "../values/spans";

const WAIT_MS = 120; // while a handle moves
const MAX_SIDE = 1024;

export interface ServerPictureProps {
  readonly api: ImageApi;
  readonly shown: Shown;
  readonly frame: Frame;
  readonly window: Area;
  readonly range: Range | null;
  readonly scaling: Scaling;
  readonly colourMap: ColourMap;
}

/** Draw what the server renders, a PNG for each change. */
export default function ServerPicture({ api, shown, frame, window, range, scaling, colourMap }: ServerPictureProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [error, setError] = useState<string | null>(null);
  const { extraction, rowsName, columnsName } = shown;
  const turn = formatOrientation(frame.orientation);
  const isWhole = window.rows[0] === 0 && window.columns[0] === 0 && window.rows[1] >= shown.rows && window.columns[1] >= shown.columns;
  const parts = isWhole ? {} : { [rowsName]: formatSlice(window.rows), [columnsName]: formatSlice(window.columns) };
  // A turned image keeps the names of its dimensions, so the same parts select the same pixels.
  const wanted = { ...extraction, steps: turn ? [...extraction.steps, turn] : extraction.steps, parts: { ...extraction.parts, ...(turn ? mirrorParts(parts, shown, frame, window) : parts) } };
  const display: Record<string, string> = shown.kind === "colours"
    ? { size: String(MAX_SIDE) }
    : { cmap: formatColourMap(colourMap), scaling, size: String(MAX_SIDE), ...(range ? { low: String(range.low), high: String(range.high) } : {}) };
  const url = api.buildUrl(wanted, display);

  useEffect(() => {
    const controller = new AbortController();
    const draw = async () => {
      const bitmap = await createImageBitmap(await api.fetchPicture(wanted, display, controller.signal));
      const target = canvas.current;
      if (!target || controller.signal.aborted) {
        return;
      }
      target.width = bitmap.width;
      target.height = bitmap.height;
      target.getContext("2d")?.drawImage(bitmap, 0, 0);
      target.dataset["url"] = url;
      setError(null);
    };
    const timer = setTimeout(() => {
      draw().catch((failure: unknown) => {
        if (!controller.signal.aborted) {
          setError(explainError(failure));
        }
      });
    }, WAIT_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
    // The URL holds all of it.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [api, url]);

  return (
    <>
      <canvas ref={canvas} className="sv-picture" width={1} height={1} />
      {error && <p className="sv-plate-note">{error}</p>}
    </>
  );
}

/** Parts of a turned image: its dimensions run backwards where the display is mirrored. */
function mirrorParts(parts: Record<string, string>, shown: Shown, frame: Frame, window: Area): Record<string, string> {
  if (!Object.keys(parts).length) {
    return parts;
  }
  const { horizontal, vertical } = frame.areaToDisplay(window);
  const { isSwapped } = frame.orientation;
  return {
    [shown.rowsName]: formatSlice(isSwapped ? horizontal : vertical),
    [shown.columnsName]: formatSlice(isSwapped ? vertical : horizontal),
  };
}
