/** Keys: docs/viewer.md lists them. They act where no text is typed, and can be switched off. */

import { useEffect, useRef } from "react";

import type { VariableDocument } from "./api";
import { COLOUR_MAPS } from "./colours/colour_maps";
import { SCALINGS } from "./colours/scale";
import { zoomBy } from "./components/toolbar";
import type { Scene } from "./state/scene";
import { MAX_REGIONS } from "./state/view";
import type { Pair } from "./state/compared";
import { bandAround, clamp, cutTo, sizeOf } from "./values/spans";

const ZOOM_STEP = 1.5;
const FAST = 10;
const REGION_SHARE = 4;
const TYPED = "textarea, select, [contenteditable], input:not([type=radio], [type=checkbox], [type=range], [type=button])";

/** Listen for the keys of the viewer as long as it is on the page. */
export function useKeyboard(
  host: HTMLElement, scene: Scene, variables: readonly VariableDocument[], choose: (variable: string) => void, pair: Pair | null,
): void {
  const latest = useRef({ scene, variables, choose, pair });
  latest.current = { scene, variables, choose, pair };
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const target = event.target as Element;
      const isElsewhere = event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented
        || target.matches(TYPED) || document.documentElement.dataset["keys"] === "off";
      const isOnPicture = target.matches(".sv-plot") && host.contains(target);
      if (!isElsewhere && act(event, isOnPicture, latest.current)) {
        event.preventDefault();
      }
    };
    document.addEventListener("keydown", onKeyDown);
    return () => document.removeEventListener("keydown", onKeyDown);
  }, [host]);
}

function act(
  event: KeyboardEvent, isOnPicture: boolean,
  { scene, variables, choose, pair }: {
    scene: Scene; variables: readonly VariableDocument[]; choose: (variable: string) => void; pair: Pair | null;
  },
): boolean {
  const { view, update, cursor, frame, shown } = scene;
  const variable = /^[1-9]$/.test(event.key) ? variables[Number(event.key) - 1] : undefined;
  if (variable && !pair) {
    choose(variable.name);
    return true;
  }
  if (shown.kind !== "picture") {
    return false;
  }
  const pixel = cursor.pixel ?? { row: Math.floor(frame.rows / 2), column: Math.floor(frame.columns / 2) };
  switch (event.key) {
    case "s":
      update({ scaling: SCALINGS[(SCALINGS.indexOf(scene.scaling) + 1) % SCALINGS.length] ?? "linear" });
      return true;
    case "m": {
      const name = COLOUR_MAPS[(COLOUR_MAPS.indexOf(scene.colourMap.name) + 1) % COLOUR_MAPS.length] ?? "inferno";
      update({ colourMap: { ...scene.colourMap, name } });
      return true;
    }
    case "b":
      if (pair?.way === "blink") {
        pair.toggle();
        return true;
      }
      return isOnPicture && followLink("[data-key=b]");
    case "c": // elsewhere on the page, the page's own script does it
      return isOnPicture && followLink("[data-key=c]");
    case "f":
      update({ window: null });
      return true;
    case "+":
    case "=":
      zoomBy(scene, ZOOM_STEP);
      return true;
    case "-":
      zoomBy(scene, 1 / ZOOM_STEP);
      return true;
    case "h":
      update({ rows: bandAround(pixel.row, sizeOf(scene.rows), frame.rows) });
      return true;
    case "v":
      update({ columns: bandAround(pixel.column, sizeOf(scene.columns), frame.columns) });
      return true;
    case "r": {
      const half = Math.max(1, Math.round(Math.min(sizeOf(scene.window.rows), sizeOf(scene.window.columns)) / REGION_SHARE / 2));
      const region = {
        rows: cutTo([pixel.row - half, pixel.row + half], frame.rows),
        columns: cutTo([pixel.column - half, pixel.column + half], frame.columns),
      };
      update({ regions: [...view.regions.slice(0, MAX_REGIONS - 1), region] });
      return true;
    }
    case "Escape":
      if (view.regions.length) {
        update({ regions: view.regions.slice(0, -1) });
        return true;
      }
      return false;
    default:
      return isOnPicture && moveCursor(event, scene, pixel);
  }
}

/** Follow a link of the page; return whether there is one. */
function followLink(selector: string): boolean {
  const link = document.querySelector<HTMLElement>(`main ${selector}`);
  link?.click();
  return link !== null;
}

/** Move the cursor as the arrow points on the display; the window follows it. */
function moveCursor(event: KeyboardEvent, scene: Scene, pixel: { row: number; column: number }): boolean {
  const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!direction) {
    return false;
  }
  const { frame, cursor } = scene;
  const { u, v } = frame.middleOf(pixel.row, pixel.column);
  const step = event.shiftKey ? FAST : 1;
  const moved = frame.pixelAt(
    clamp(u + (direction[0] ?? 0) * step, 0.5, frame.width - 0.5),
    clamp(v + (direction[1] ?? 0) * step, 0.5, frame.height - 0.5),
  );
  cursor.pin(moved);
  if (moved) {
    followCursor(scene, moved);
  }
  return true;
}

function followCursor({ window, update, frame }: Scene, { row, column }: { row: number; column: number }): void {
  const shift = (span: readonly [number, number], at: number, size: number): readonly [number, number] => {
    const by = at < span[0] ? at - span[0] : at >= span[1] ? at + 1 - span[1] : 0;
    const first = clamp(span[0] + by, 0, size - sizeOf(span));
    return [first, first + sizeOf(span)];
  };
  const [rows, columns] = [shift(window.rows, row, frame.rows), shift(window.columns, column, frame.columns)];
  if (rows[0] !== window.rows[0] || columns[0] !== window.columns[0]) {
    update({ window: { rows, columns } });
  }
}
