/** The value at the cursor, and what is said aloud. */

import { useEffect, useRef, useState } from "react";

import { useCursor, type Pixel } from "../state/cursor";
import type { Scene } from "../state/scene";
import { formatValue, withUnit } from "../text/numbers";
import type { Axis } from "../values/axis";
import { findValue } from "../values/layers";

const WAIT_MS = 60; // before the server is asked for one pixel
const SPEAK_MS = 500;

/** The value of a pixel in full resolution; undefined while it is not known. */
function useValue({ api, shown, layers }: Scene, pixel: Pixel | null): number | undefined {
  const near = pixel ? findValue(layers, pixel.row, pixel.column) : undefined;
  const [remote, setRemote] = useState<{ url: string; value: number | undefined } | null>(null);
  const wanted = pixel && { ...shown.extraction, parts: { ...shown.extraction.parts, [shown.rowsName]: String(pixel.row), [shown.columnsName]: String(pixel.column) } };
  const url = wanted && near === undefined ? api.buildUrl(wanted) : null;
  useEffect(() => {
    if (!url || !wanted) {
      return;
    }
    const controller = new AbortController();
    const timer = setTimeout(() => {
      api.fetchArray(wanted, controller.signal).then(({ data }) => setRemote({ url, value: data[0] })).catch(() => undefined);
    }, WAIT_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the URL holds what is wanted
  }, [api, url]);
  return near ?? (remote?.url === url ? remote.value : undefined);
}

export function ReadOut({ scene }: { readonly scene: Scene }) {
  const { shown } = scene;
  const pixel = useCursor(scene.cursor);
  const value = useValue(scene, pixel);
  const text = value === undefined ? "…" : withUnit(formatValue(value), shown.variable.units);
  const places = pixel ? [describe(shown.axes.columns, pixel.column), describe(shown.axes.rows, pixel.row)].filter(Boolean) : [];
  const spoken = useThrottled(pixel && value !== undefined ? `${text}, ${[...places, `column ${pixel.column}, row ${pixel.row}`].join(", ")}` : "");
  return (
    <section className="sv-read-out" aria-label="At the cursor">
      <h2 className="sv-title">At the cursor</h2>
      {pixel ? (
        <>
          <p className="sv-value"><output data-value={value ?? ""} data-row={pixel.row} data-column={pixel.column}>{text}</output></p>
          {places.map((place) => <p key={place}>{place}</p>)}
          <p>column {pixel.column}, row {pixel.row}</p>
        </>
      ) : <p>–</p>}
      <p className="sv-aloud" aria-live="polite">{spoken}</p>
    </section>
  );
}

/** A physical position; empty for plain pixels, which are told anyway. */
function describe(axis: Axis, pixel: number): string {
  if (!axis.values) {
    return "";
  }
  const text = formatValue(axis.valueAt(pixel));
  return axis.unit ? withUnit(text, axis.unit) : `${axis.name} ${text}`;
}

/** A text that changes at most twice a second, for screen readers. */
export function useThrottled(text: string): string {
  const [spoken, setSpoken] = useState("");
  const latest = useRef(text);
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  latest.current = text;
  useEffect(() => {
    timer.current ??= setTimeout(() => {
      timer.current = null;
      setSpoken(latest.current);
    }, SPEAK_MS);
  }, [text]);
  useEffect(() => () => {
    if (timer.current) {
      clearTimeout(timer.current);
    }
  }, []);
  return spoken;
}
