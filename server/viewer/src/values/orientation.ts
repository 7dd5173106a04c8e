/**
 * How an image is turned for display, as the transform `rotate_flip` of the server turns it: clockwise, then mirrored.
 *
 * Positions are in pixels, edges at whole numbers. `u` runs to the right and `v` down on the display.
 */

import type { Area, Span } from "./spans";

export type Rotation = 0 | 90 | 180 | 270;

export interface Orientation {
  /** Whether stored rows are shown as columns. */
  readonly isSwapped: boolean;
  /** Whether the stored dimension along the display's horizontal axis runs to the left. */
  readonly isLeftwards: boolean;
  /** Whether the stored dimension along the display's vertical axis runs upwards. */
  readonly isUpwards: boolean;
}

export const AS_STORED: Orientation = { isSwapped: false, isLeftwards: false, isUpwards: false };

// For a rotation: swapped; the result's rows run backwards; its columns do.
const ROTATIONS: Readonly<Record<Rotation, readonly [boolean, boolean, boolean]>> = {
  0: [false, false, false],
  90: [true, false, true],
  180: [false, true, true],
  270: [true, true, false],
};

/** Return the orientation for the attributes `display_rotation` and `display_flip`; as stored if they say nothing. */
export function parseOrientation(rotation: unknown, flip: unknown): Orientation {
  const turned = ROTATIONS[Number(rotation ?? 0) as Rotation] as (typeof ROTATIONS)[Rotation] | undefined;
  const axes = typeof flip === "string" ? flip.toLowerCase() : "none";
  const [isSwapped, isUpwards, isLeftwards] = turned ?? ROTATIONS[0];
  return {
    isSwapped,
    isUpwards: isUpwards !== (axes !== "none" && axes.includes("y")),
    isLeftwards: isLeftwards !== (axes !== "none" && axes.includes("x")),
  };
}

/** The options of the transform `rotate_flip` that turns a picture this way; null if nothing is turned. */
export function formatOrientation(orientation: Orientation): string | null {
  const { isSwapped, isLeftwards, isUpwards } = orientation;
  const [rotation, rows, columns] = isSwapped ? ([90, false, true] as const) : ([0, false, false] as const);
  const flip = `${columns === isLeftwards ? "" : "x"}${rows === isUpwards ? "" : "y"}`;
  return rotation || flip ? `rotate_flip-flip-${flip || "none"}-rotation-${rotation}` : null;
}

export interface DisplaySize {
  readonly width: number;
  readonly height: number;
}

/** An array of rows and columns as it is displayed. */
export class Frame {
  readonly width: number;
  readonly height: number;

  constructor(
    readonly rows: number,
    readonly columns: number,
    readonly orientation: Orientation,
  ) {
    this.width = orientation.isSwapped ? rows : columns;
    this.height = orientation.isSwapped ? columns : rows;
  }

  /** Return the display's span for a span of the dimension that is shown along `axis`. */
  toDisplay(axis: "horizontal" | "vertical", span: Span): Span {
    return this.#mirror(axis, span);
  }

  /** Return the stored span for a span of the display along `axis`. */
  toStored(axis: "horizontal" | "vertical", span: Span): Span {
    return this.#mirror(axis, span);
  }

  /** The axis of the display along which a stored dimension runs. */
  axisOf(dimension: "rows" | "columns"): "horizontal" | "vertical" {
    return (dimension === "columns") !== this.orientation.isSwapped ? "horizontal" : "vertical";
  }

  /** Return the display's window for an area, as spans to the right and down. */
  areaToDisplay(area: Area): { horizontal: Span; vertical: Span } {
    const { isSwapped } = this.orientation;
    return {
      horizontal: this.#mirror("horizontal", isSwapped ? area.rows : area.columns),
      vertical: this.#mirror("vertical", isSwapped ? area.columns : area.rows),
    };
  }

  /** Return the stored area for a window of the display. */
  areaToStored(horizontal: Span, vertical: Span): Area {
    const along = this.#mirror("horizontal", horizontal);
    const across = this.#mirror("vertical", vertical);
    return this.orientation.isSwapped ? { rows: along, columns: across } : { rows: across, columns: along };
  }

  /** Return the stored pixel under a position of the display; null outside. */
  pixelAt(u: number, v: number): { row: number; column: number } | null {
    if (!(u >= 0 && v >= 0 && u < this.width && v < this.height)) {
      return null;
    }
    const { rows, columns } = this.areaToStored([Math.floor(u), Math.floor(u) + 1], [Math.floor(v), Math.floor(v) + 1]);
    return { row: rows[0], column: columns[0] };
  }

  /** Return the position of the middle of a stored pixel. */
  middleOf(row: number, column: number): { u: number; v: number } {
    const { horizontal, vertical } = this.areaToDisplay({ rows: [row, row + 1], columns: [column, column + 1] });
    return { u: (horizontal[0] + horizontal[1]) / 2, v: (vertical[0] + vertical[1]) / 2 };
  }

  #mirror(axis: "horizontal" | "vertical", span: Span): Span {
    const { isLeftwards, isUpwards } = this.orientation;
    const isMirrored = axis === "horizontal" ? isLeftwards : isUpwards;
    const size = axis === "horizontal" ? this.width : this.height;
    return isMirrored ? [size - span[1], size - span[0]] : span;
  }
}
