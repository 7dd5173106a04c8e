/** The axes of the picture. */

import type { Scene } from "../state/scene";
import type { Axis } from "../values/axis";
import { sizeOf, type Span } from "../values/spans";

const TICK_SPACE = { horizontal: 75, vertical: 55 }; // pixels of the screen

const TITLE_WIDTH = 7.2; // pixels of a letter, roughly
const TITLE_GAP = 14;

export function PictureAxis({ scene, side, length }: {
  readonly scene: Scene;
  readonly side: "left" | "bottom";
  readonly length: number;
}) {
  const { frame, window, shown } = scene;
  const direction = side === "left" ? "vertical" : "horizontal";
  const isMirrored = direction === "vertical" ? frame.orientation.isUpwards : frame.orientation.isLeftwards;
  const isRows = (side === "left") !== frame.orientation.isSwapped;
  const axis = isRows ? shown.axes.rows : shown.axes.columns;
  const titleSpace = side === "bottom" ? axis.title.length * TITLE_WIDTH + TITLE_GAP : 0;
  const ticks = placeTicks(axis, frame.areaToDisplay(window)[direction], length, isMirrored, TICK_SPACE[direction])
    .filter(({ at }) => at < length - titleSpace || !titleSpace);
  return (
    <div className={`sv-axis sv-axis-${side}`} aria-hidden="true">
      {ticks.map(({ at, label }) => (
        <span key={at} className="sv-tick" style={side === "left" ? { top: at } : { left: at }}>{label}</span>
      ))}
      <span className="sv-axis-title">{axis.title}</span>
    </div>
  );
}

/** Ticks of an axis on the screen. */
export function placeTicks(
  axis: Axis, visible: Span, length: number, isMirrored: boolean, space: number,
): { readonly at: number; readonly label: string }[] {
  const stored: Span = isMirrored ? [axis.size - visible[1], axis.size - visible[0]] : visible;
  return axis.ticksBetween(stored[0], stored[1], Math.max(2, Math.min(9, length / space))).flatMap(({ position, label }) => {
    const shown = isMirrored ? axis.size - position : position;
    const at = ((shown - visible[0]) / sizeOf(visible)) * length;
    return at >= -0.5 && at <= length + 0.5 ? [{ at, label }] : [];
  });
}
