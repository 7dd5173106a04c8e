/** The picture with what is drawn on it: cursor, lineouts, regions; and what pointers do there. */

import { useCallback, useEffect, useRef, type PointerEvent, type ReactNode } from "react";

import { useCursor } from "../state/cursor";
import type { Scene } from "../state/scene";
import { MAX_REGIONS } from "../state/view";
import { moveWindow, scaleWindow, toArea, type DisplayWindow } from "../state/window";
import { bandAround, clamp, cutTo, isSameSpan, sizeOf, type Area, type Span } from "../values/spans";

export const REGION_LETTERS = "ABCD";

const HANDLE = 7; // pixels of the screen
const GRIP = 11; // of what can be taken hold of
const WHEEL_RATE = 0.0016;
const SETTLE_MS = 200;
/** Pixels of the screen for one of the image, beyond which the window moves by whole pixels. */
const MAGNIFIED = 4;
const MIN_DRAG = 3;

type Corner = readonly [0 | 1, 0 | 1];
type RegionGrip =
  | { readonly kind: "corner"; readonly index: number; readonly corner: Corner }
  | { readonly kind: "region"; readonly index: number };
type Grip = { readonly kind: "row" | "column"; readonly end: 0 | 1 } | RegionGrip;

interface Drag {
  readonly grip: Grip | null;
  readonly from: { readonly x: number; readonly y: number };
  readonly window: DisplayWindow;
  readonly regions: readonly Area[];
  isMoved: boolean;
}

export interface PlotProps {
  readonly scene: Scene;
  readonly width: number;
  readonly height: number;
  readonly label: string;
  readonly describedBy: string;
  /** The picture itself. */
  readonly children: ReactNode;
}

export function Plot({ scene, width, height, label, describedBy, children }: PlotProps) {
  const { frame, window, setWindow, view, update, cursor, tool } = scene;
  const root = useRef<HTMLDivElement>(null);
  const pointers = useRef(new Map<number, { x: number; y: number }>());
  const drag = useRef<Drag | null>(null);
  const gesture = useRef<DisplayWindow | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const visible = frame.areaToDisplay(window);
  const perX = sizeOf(visible.horizontal) / width;
  const perY = sizeOf(visible.vertical) / height;

  const toX = (u: number) => (u - visible.horizontal[0]) / perX;
  const toY = (v: number) => (v - visible.vertical[0]) / perY;

  const showWindow = useCallback((next: DisplayWindow) => {
    gesture.current = next;
    const scale = width / sizeOf(next.horizontal);
    const area = toArea(next, frame);
    setWindow(scale > MAGNIFIED ? area : frame.areaToStored(next.horizontal, next.vertical));
  }, [frame, setWindow, width]);

  const settle = useCallback(() => {
    if (gesture.current) {
      const area = toArea(gesture.current, frame);
      gesture.current = null;
      update({ window: sizeOf(area.rows) >= frame.rows && sizeOf(area.columns) >= frame.columns ? null : area });
    }
  }, [frame, update]);

  const current = useRef({ visible, showWindow, settle, frame });
  current.current = { visible, showWindow, settle, frame };

  useEffect(() => {
    const element = root.current;
    const onWheel = (event: WheelEvent) => {
      event.preventDefault();
      const { visible: old, showWindow: show, settle: end, frame: image } = current.current;
      const box = element?.getBoundingClientRect();
      if (!box) {
        return;
      }
      const base = gesture.current ?? old;
      const lines = event.deltaMode === 1 ? 16 : 1;
      const share = (sizeOf(base.horizontal) / image.width) * Math.exp(clamp(event.deltaY * lines, -200, 200) * WHEEL_RATE);
      show(scaleWindow(base, image, share, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height));
      clearTimeout(timer.current);
      timer.current = setTimeout(() => end(), SETTLE_MS);
    };
    element?.addEventListener("wheel", onWheel, { passive: false });
    return () => element?.removeEventListener("wheel", onWheel);
  }, []);

  const locate = (event: { clientX: number; clientY: number }) => {
    const box = root.current?.getBoundingClientRect();
    return { x: event.clientX - (box?.left ?? 0), y: event.clientY - (box?.top ?? 0) };
  };
  const pixelUnder = ({ x, y }: { x: number; y: number }) =>
    frame.pixelAt(
      clamp(visible.horizontal[0] + x * perX, 0, frame.width - 1e-6),
      clamp(visible.vertical[0] + y * perY, 0, frame.height - 1e-6),
    );

  const onPointerDown = (event: PointerEvent<HTMLDivElement>) => {
    if (event.button !== 0) {
      return;
    }
    root.current?.focus({ preventScroll: true });
    event.currentTarget.setPointerCapture(event.pointerId);
    const place = locate(event);
    pointers.current.set(event.pointerId, place);
    const grip = parseGrip((event.target as Element).getAttribute("data-grip"));
    drag.current = { grip, from: place, window: gesture.current ?? visible, regions: view.regions, isMoved: false };
    if (tool === "lineout" && !grip) {
      moveLineouts(place);
    }
  };

  const moveLineouts = (place: { x: number; y: number }) => {
    const pixel = pixelUnder(place);
    if (pixel) {
      update({
        rows: bandAround(pixel.row, sizeOf(scene.rows), frame.rows),
        columns: bandAround(pixel.column, sizeOf(scene.columns), frame.columns),
      });
    }
  };

  const onPointerMove = (event: PointerEvent<HTMLDivElement>) => {
    const place = locate(event);
    const started = drag.current;
    const pixel = pixelUnder(place);
    if (!started) {
      cursor.hover(event.pointerType === "touch" ? null : pixel);
      return;
    }
    const before = pointers.current.get(event.pointerId);
    if (pointers.current.size === 2 && before) {
      pinch(before, place, event.pointerId);
      pointers.current.set(event.pointerId, place);
      return;
    }
    pointers.current.set(event.pointerId, place);
    if (Math.hypot(place.x - started.from.x, place.y - started.from.y) > MIN_DRAG) {
      started.isMoved = true;
    }
    if (!started.isMoved || !pixel) {
      return;
    }
    if (started.grip) {
      moveGrip(started, started.grip, place);
    } else if (tool === "lineout") {
      moveLineouts(place);
    } else if (tool === "region") {
      const from = pixelUnder(started.from);
      if (from) {
        const region: Area = {
          rows: cutTo([Math.min(from.row, pixel.row), Math.max(from.row, pixel.row) + 1], frame.rows),
          columns: cutTo([Math.min(from.column, pixel.column), Math.max(from.column, pixel.column) + 1], frame.columns),
        };
        update({ regions: [...started.regions.slice(0, MAX_REGIONS - 1), region] });
      }
    } else if (event.pointerType === "touch") {
      cursor.pin(pixel);
    } else {
      showWindow(moveWindow(started.window, frame, (started.from.x - place.x) * perX, (started.from.y - place.y) * perY));
    }
    cursor.hover(event.pointerType === "touch" ? null : pixel);
  };

  const pinch = (before: { x: number; y: number }, after: { x: number; y: number }, moved: number) => {
    const other = [...pointers.current.entries()].find(([id]) => id !== moved)?.[1];
    if (!other) {
      return;
    }
    const base = gesture.current ?? visible;
    const growth = Math.hypot(before.x - other.x, before.y - other.y) / Math.max(1, Math.hypot(after.x - other.x, after.y - other.y));
    const [x, y] = [(after.x + other.x) / 2 / width, (after.y + other.y) / 2 / height];
    const zoomed = scaleWindow(base, frame, (sizeOf(base.horizontal) / frame.width) * growth, x, y);
    showWindow(moveWindow(zoomed, frame, ((before.x - after.x) / 2) * perX, ((before.y - after.y) / 2) * perY));
    if (drag.current) {
      drag.current.isMoved = true;
    }
  };

  const moveGrip = (started: Drag, grip: Grip, place: { x: number; y: number }) => {
    const pixel = pixelUnder(place);
    if (!pixel) {
      return;
    }
    if ("end" in grip) {
      const [band, at, size] = grip.kind === "row"
        ? [scene.rows, pixel.row, frame.rows] as const
        : [scene.columns, pixel.column, frame.columns] as const;
      const moved: Span = grip.end === 0 ? [Math.min(at, band[1] - 1), band[1]] : [band[0], Math.max(at + 1, band[0] + 1)];
      update(grip.kind === "row" ? { rows: cutTo(moved, size) } : { columns: cutTo(moved, size) });
      return;
    }
    const old = started.regions[grip.index];
    if (!old) {
      return;
    }
    update({ regions: started.regions.map((each, index) => (index === grip.index ? moveRegion(old, grip, started, place) : each)) });
  };

  const moveRegion = (old: Area, grip: RegionGrip, started: Drag, place: { x: number; y: number }): Area => {
    const shown = frame.areaToDisplay(old);
    const [right, down] = [Math.round((place.x - started.from.x) * perX), Math.round((place.y - started.from.y) * perY)];
    if (grip.kind === "region") {
      const moved = moveWindow(shown, frame, right, down);
      return toArea(moved, frame);
    }
    const { corner } = grip;
    const pull = (span: Span, end: 0 | 1, by: number, size: number): Span => {
      const fixed = span[end === 0 ? 1 : 0];
      return cutTo([fixed, span[end] + by === fixed ? fixed + (end === 0 ? -1 : 1) : span[end] + by], size);
    };
    return frame.areaToStored(
      pull(shown.horizontal, corner[0], right, frame.width),
      pull(shown.vertical, corner[1], down, frame.height),
    );
  };

  const onPointerUp = (event: PointerEvent<HTMLDivElement>) => {
    pointers.current.delete(event.pointerId);
    const started = drag.current;
    if (pointers.current.size) {
      return;
    }
    drag.current = null;
    settle();
    if (started && !started.isMoved && !started.grip) {
      cursor.pin(pixelUnder(locate(event)));
    }
  };

  const rowsBand = bandOnScreen("rows");
  const columnsBand = bandOnScreen("columns");

  function bandOnScreen(dimension: "rows" | "columns") {
    const axis = frame.axisOf(dimension);
    const span = frame.toDisplay(axis, dimension === "rows" ? scene.rows : scene.columns);
    const [start, end] = axis === "horizontal" ? [toX(span[0]), toX(span[1])] : [toY(span[0]), toY(span[1])];
    // Where the dimension runs backwards on the display, its first pixel is at the far end.
    const stored = frame.toDisplay(axis, [0, 1]);
    return { axis, start, end, isReversed: stored[0] !== 0 };
  }

  return (
    <div
      ref={root}
      className={`sv-plot sv-tool-${tool}`}
      role="application"
      aria-roledescription="image"
      aria-label={label}
      aria-describedby={describedBy}
      tabIndex={0}
      onPointerDown={onPointerDown}
      onPointerMove={onPointerMove}
      onPointerUp={onPointerUp}
      onPointerCancel={onPointerUp}
      onPointerLeave={() => !drag.current && cursor.hover(null)}
      onDoubleClick={() => update({ window: null })}
    >
      {children}
      <svg className="sv-overlay" width={width} height={height} aria-hidden="true">
        {([["row", rowsBand], ["column", columnsBand]] as const).map(([name, band]) => (
          <Band key={name} name={name} {...band} width={width} height={height} />
        ))}
        {view.regions.map((region, index) => {
          const { horizontal, vertical } = frame.areaToDisplay(region);
          return (
            <RegionBox
              key={REGION_LETTERS[index]}
              index={index}
              x={[toX(horizontal[0]), toX(horizontal[1])]}
              y={[toY(vertical[0]), toY(vertical[1])]}
            />
          );
        })}
        <CursorMark scene={scene} toX={toX} toY={toY} perX={perX} perY={perY} />
      </svg>
    </div>
  );
}

function Band({ name, axis, start, end, isReversed, width, height }: {
  readonly name: "row" | "column";
  readonly axis: "horizontal" | "vertical";
  readonly start: number;
  readonly end: number;
  readonly isReversed: boolean;
  readonly width: number;
  readonly height: number;
}) {
  const thickness = Math.max(1.5, end - start);
  const isUpright = axis === "horizontal";
  const box = isUpright
    ? { x: (start + end - thickness) / 2, y: 0, width: thickness, height }
    : { x: 0, y: (start + end - thickness) / 2, width, height: thickness };
  const grip = (at: number) => (isUpright
    ? { x: at - GRIP / 2, y: 0, width: GRIP / 2 + 1, height }
    : { x: 0, y: at - GRIP / 2, width, height: GRIP / 2 + 1 });
  return (
    <g className={`sv-band ${isUpright ? "sv-upright" : ""}`}>
      <rect className="sv-band-fill" {...box} />
      {([start, end] as const).map((at, index) => {
        const which = (index === 1) !== isReversed ? 1 : 0;
        const place = grip(index === 0 ? at : at + GRIP / 2 - 1);
        return <rect key={index} className="sv-band-grip" {...place} data-grip={`${name} ${which}`} />;
      })}
    </g>
  );
}

function RegionBox({ index, x, y }: { readonly index: number; readonly x: Span; readonly y: Span }) {
  const letter = REGION_LETTERS[index] ?? "";
  const corners: readonly Corner[] = [[0, 0], [1, 0], [0, 1], [1, 1]];
  return (
    <g className="sv-region">
      <rect className="sv-region-body" x={x[0]} y={y[0]} width={sizeOf(x)} height={sizeOf(y)} data-grip={`region ${index}`} />
      <rect className="sv-region-shade" x={x[0]} y={y[0]} width={sizeOf(x)} height={sizeOf(y)} />
      <rect className="sv-region-line" x={x[0]} y={y[0]} width={sizeOf(x)} height={sizeOf(y)} />
      <text x={x[0] + 6} y={y[0] - 5}>{letter}</text>
      {corners.map((corner) => {
        const [cx, cy] = [x[corner[0]], y[corner[1]]];
        return (
          <g key={corner.join("")}>
            <rect className="sv-region-corner" x={cx - HANDLE / 2} y={cy - HANDLE / 2} width={HANDLE} height={HANDLE} />
            <rect
              className={`sv-region-grip ${corner[0] === corner[1] ? "sv-falling" : "sv-rising"}`}
              x={cx - GRIP} y={cy - GRIP} width={2 * GRIP} height={2 * GRIP}
              data-grip={`corner ${index} ${corner.join(" ")}`}
            />
          </g>
        );
      })}
    </g>
  );
}

function CursorMark({ scene, toX, toY, perX, perY }: {
  readonly scene: Scene;
  readonly toX: (u: number) => number;
  readonly toY: (v: number) => number;
  readonly perX: number;
  readonly perY: number;
}) {
  const pixel = useCursor(scene.cursor);
  if (!pixel) {
    return null;
  }
  const { u, v } = scene.frame.middleOf(pixel.row, pixel.column);
  const [x, y] = [toX(u), toY(v)];
  const [wide, tall] = [Math.max(1 / perX, 0), Math.max(1 / perY, 0)];
  return (
    <g className="sv-cursor">
      {wide > MAGNIFIED
        ? <rect x={x - wide / 2} y={y - tall / 2} width={wide} height={tall} />
        : <circle cx={x} cy={y} r={5} />}
    </g>
  );
}

function parseGrip(text: string | null): Grip | null {
  const [kind, first = "", second, third] = (text ?? "").split(" ");
  switch (kind) {
    case "row":
    case "column":
      return { kind, end: first === "0" ? 0 : 1 };
    case "region":
      return { kind, index: Number(first) };
    case "corner":
      return { kind, index: Number(first), corner: [second === "0" ? 0 : 1, third === "0" ? 0 : 1] };
    default:
      return null;
  }
}

export const isSameArea = (one: Area, other: Area): boolean =>
  isSameSpan(one.rows, other.rows) && isSameSpan(one.columns, other.columns);
