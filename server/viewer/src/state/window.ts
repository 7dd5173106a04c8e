/** The part of an image that is visible: a window of the image's own proportions, in pixels of the display. */

import { Frame } from "../values/orientation";
import { clamp, cutTo, sizeOf, type Area, type Span } from "../values/spans";

/** Pixels of the shorter side that stay visible. */
const MIN_SIDE = 8;

export interface DisplayWindow {
  readonly horizontal: Span;
  readonly vertical: Span;
}

export const wholeOf = (frame: Frame): Area => ({ rows: [0, frame.rows], columns: [0, frame.columns] });

/** Make a window of any proportions one of the image's, around the same middle; whole pixels. */
export function fitWindow(area: Area | null, frame: Frame): Area {
  if (!area) {
    return wholeOf(frame);
  }
  const cut: Area = { rows: cutTo(area.rows, frame.rows), columns: cutTo(area.columns, frame.columns) };
  const { horizontal, vertical } = frame.areaToDisplay(cut);
  const [wide, tall] = [sizeOf(horizontal) / frame.width, sizeOf(vertical) / frame.height];
  if (Math.abs(wide - tall) * Math.min(frame.width, frame.height) <= 2) {
    return cut; // but for rounding, it is one already
  }
  return toArea(scaleWindow({ horizontal, vertical }, frame, Math.max(wide, tall), 0.5, 0.5), frame);
}

/** A window of a given share of the image, about a place in the old one: 0 is its left or top, 1 its right or bottom. */
export function scaleWindow(old: DisplayWindow, frame: Frame, share: number, x: number, y: number): DisplayWindow {
  const least = MIN_SIDE / Math.min(frame.width, frame.height);
  const scale = clamp(share, Math.min(1, least), 1);
  const place = (span: Span, size: number, at: number): Span => {
    const length = size * scale;
    const first = clamp(span[0] + at * sizeOf(span) - at * length, 0, size - length);
    return [first, first + length];
  };
  return { horizontal: place(old.horizontal, frame.width, x), vertical: place(old.vertical, frame.height, y) };
}

/** Move a window by pixels of the display, as far as the image goes. */
export function moveWindow(old: DisplayWindow, frame: Frame, right: number, down: number): DisplayWindow {
  const move = (span: Span, size: number, by: number): Span => {
    const first = clamp(span[0] + by, 0, Math.max(0, size - sizeOf(span)));
    return [first, first + sizeOf(span)];
  };
  return { horizontal: move(old.horizontal, frame.width, right), vertical: move(old.vertical, frame.height, down) };
}

/** Round a window to whole pixels. */
export function toArea({ horizontal, vertical }: DisplayWindow, frame: Frame): Area {
  const round = (span: Span, size: number): Span => {
    const length = clamp(Math.round(sizeOf(span)), 1, size);
    const first = clamp(Math.round(span[0]), 0, size - length);
    return [first, first + length];
  };
  return frame.areaToStored(round(horizontal, frame.width), round(vertical, frame.height));
}

export const isWhole = (area: Area, frame: Frame): boolean =>
  sizeOf(area.rows) >= frame.rows && sizeOf(area.columns) >= frame.columns;
