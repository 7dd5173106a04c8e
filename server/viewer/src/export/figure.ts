/**
 * What is shown as a figure to take away: the picture with its axes and colour bar.
 *
 * A figure is a list of shapes; SVG and PNG are two ways to write it. (An SVG cannot be drawn into a PNG by the browser:
 * the pages' Content-Security-Policy allows no pictures but those of the server.)
 */

import { colourAt, getColours } from "../colours/colour_maps";
import { toBrightness } from "../colours/scale";
import { placeTicks } from "../components/axes";
import type { Scene } from "../state/scene";
import { chooseTicks, formatTicks } from "../text/ticks";
import { sizeOf } from "../values/spans";

export type Shape =
  | { readonly kind: "rect"; readonly x: number; readonly y: number; readonly width: number; readonly height: number; readonly fill?: string; readonly stroke?: string; readonly isDashed?: boolean }
  | { readonly kind: "line"; readonly x1: number; readonly y1: number; readonly x2: number; readonly y2: number; readonly stroke: string }
  | { readonly kind: "text"; readonly x: number; readonly y: number; readonly text: string; readonly anchor: "start" | "middle" | "end"; readonly isTurned?: boolean; readonly isBold?: boolean; readonly fill?: string };

export interface Figure {
  readonly width: number;
  readonly height: number;
  readonly picture: { readonly canvas: HTMLCanvasElement; readonly x: number; readonly y: number; readonly width: number; readonly height: number };
  readonly shapes: readonly Shape[];
}

const LONGER_SIDE = 800;
const MARGIN = { left: 70, top: 40, right: 110, bottom: 55 };
const BAR = { gap: 18, width: 18, stops: 64 };
const FONT_SIZE = 13;
const FONT = "Helvetica, Arial, sans-serif";
const INK = "#12171c";

/** Lay out what a scene shows. */
export function buildFigure(scene: Scene, title: string, source: CanvasImageSource | null): Figure {
  const { frame, window, shown, range, scaling, colourMap, view } = scene;
  const { horizontal, vertical } = frame.areaToDisplay(window);
  const scale = LONGER_SIDE / Math.max(sizeOf(horizontal), sizeOf(vertical));
  const [width, height] = [sizeOf(horizontal) * scale, Math.max(60, sizeOf(vertical) * scale)];
  const { left, top } = MARGIN;
  const shapes: Shape[] = [{ kind: "text", x: left, y: top - 14, text: title, anchor: "start", isBold: true }];
  const { orientation } = frame;
  const [xAxis, yAxis] = orientation.isSwapped ? [shown.axes.rows, shown.axes.columns] : [shown.axes.columns, shown.axes.rows];
  for (const { at, label } of placeTicks(xAxis, horizontal, width, orientation.isLeftwards, 75)) {
    shapes.push({ kind: "line", x1: left + at, y1: top + height, x2: left + at, y2: top + height + 5, stroke: INK });
    shapes.push({ kind: "text", x: left + at, y: top + height + 18, text: label, anchor: "middle" });
  }
  for (const { at, label } of placeTicks(yAxis, vertical, height, orientation.isUpwards, 55)) {
    shapes.push({ kind: "line", x1: left - 5, y1: top + at, x2: left, y2: top + at, stroke: INK });
    shapes.push({ kind: "text", x: left - 8, y: top + at + 4, text: label, anchor: "end" });
  }
  shapes.push({ kind: "text", x: left + width / 2, y: top + height + 40, text: xAxis.title, anchor: "middle" });
  shapes.push({ kind: "text", x: 18, y: top + height / 2, text: yAxis.title, anchor: "middle", isTurned: true });
  for (const [index, region] of view.regions.entries()) {
    const box = frame.areaToDisplay(region);
    const [x, y] = [left + (box.horizontal[0] - horizontal[0]) * scale, top + (box.vertical[0] - vertical[0]) * scale];
    shapes.push({ kind: "rect", x, y, width: sizeOf(box.horizontal) * scale, height: sizeOf(box.vertical) * scale, stroke: "#ffffff", isDashed: true });
    shapes.push({ kind: "text", x: x + 5, y: y - 4, text: "ABCD"[index] ?? "", anchor: "start", isBold: true, fill: "#ffffff" });
  }
  shapes.push({ kind: "rect", x: left, y: top, width, height, stroke: INK });
  if (shown.kind === "picture") {
    const x = left + width + BAR.gap;
    for (let stop = 0; stop < BAR.stops; stop += 1) {
      const y = top + height - ((stop + 1) * height) / BAR.stops;
      shapes.push({ kind: "rect", x, y, width: BAR.width, height: height / BAR.stops + 0.5, fill: colourAt(colourMap, stop / (BAR.stops - 1)) });
    }
    shapes.push({ kind: "rect", x, y: top, width: BAR.width, height, stroke: INK });
    const ticks = chooseTicks(range.low, range.high, 6).filter((tick, index, all) =>
      all.slice(0, index).every((each) => Math.abs(toBrightness(each, range, scaling) - toBrightness(tick, range, scaling)) * height > 14));
    const labels = formatTicks(ticks);
    ticks.forEach((tick, index) => {
      const y = top + height * (1 - toBrightness(tick, range, scaling));
      shapes.push({ kind: "line", x1: x + BAR.width, y1: y, x2: x + BAR.width + 5, y2: y, stroke: INK });
      shapes.push({ kind: "text", x: x + BAR.width + 9, y: y + 4, text: labels[index] ?? "", anchor: "start" });
    });
    const unit = shown.variable.units;
    if (unit && unit !== "1") {
      shapes.push({ kind: "text", x, y: top - 14, text: unit, anchor: "start" });
    }
  }
  return {
    width: left + width + MARGIN.right,
    height: top + height + MARGIN.bottom,
    picture: { canvas: paintPicture(scene, source), x: left, y: top, width, height },
    shapes,
  };
}

/** Paint the visible pixels in their colours, one pixel each, or what is on the screen of a picture of the server's. */
function paintPicture(scene: Scene, source: CanvasImageSource | null): HTMLCanvasElement {
  const { frame, window, shown, range, scaling, colourMap } = scene;
  const { horizontal, vertical } = frame.areaToDisplay(window);
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  if (!context) {
    return canvas;
  }
  if (!shown.full) {
    const [width, height] = source instanceof HTMLCanvasElement ? [source.width, source.height] : [1, 1];
    [canvas.width, canvas.height] = [width, height];
    if (source) {
      context.drawImage(source, 0, 0);
    }
    return canvas;
  }
  [canvas.width, canvas.height] = [Math.round(sizeOf(horizontal)), Math.round(sizeOf(vertical))];
  const image = context.createImageData(canvas.width, canvas.height);
  const colours = getColours(colourMap);
  for (let v = 0, target = 0; v < canvas.height; v += 1) {
    for (let u = 0; u < canvas.width; u += 1, target += 4) {
      const pixel = frame.pixelAt(Math.floor(horizontal[0]) + u + 0.5, Math.floor(vertical[0]) + v + 0.5);
      const value = pixel ? (shown.full.data[pixel.row * shown.columns + pixel.column] ?? NaN) : NaN;
      if (!Number.isNaN(value)) {
        const colour = 3 * Math.round(toBrightness(value, range, scaling) * 255);
        image.data[target] = colours[colour] ?? 0;
        image.data[target + 1] = colours[colour + 1] ?? 0;
        image.data[target + 2] = colours[colour + 2] ?? 0;
        image.data[target + 3] = 255;
      }
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Write a figure as SVG; its picture is embedded. */
export function toSvg({ width, height, picture, shapes }: Figure): string {
  const image = `<image x="${picture.x}" y="${picture.y}" width="${picture.width}" height="${picture.height}" preserveAspectRatio="none" href="${picture.canvas.toDataURL("image/png")}"/>`;
  const parts = shapes.map((shape) => {
    switch (shape.kind) {
      case "rect":
        return `<rect x="${shape.x}" y="${shape.y}" width="${shape.width}" height="${shape.height}" fill="${shape.fill ?? "none"}"${shape.stroke ? ` stroke="${shape.stroke}"` : ""}${shape.isDashed ? ' stroke-dasharray="5 4"' : ""}/>`;
      case "line":
        return `<line x1="${shape.x1}" y1="${shape.y1}" x2="${shape.x2}" y2="${shape.y2}" stroke="${shape.stroke}"/>`;
      case "text":
        return `<text x="${shape.x}" y="${shape.y}" fill="${shape.fill ?? INK}" text-anchor="${shape.anchor}"${shape.isBold ? ' font-weight="600"' : ""}${shape.isTurned ? ` transform="rotate(-90 ${shape.x} ${shape.y})"` : ""}>${escapeText(shape.text)}</text>`;
    }
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="${FONT}" font-size="${FONT_SIZE}"><rect width="100%" height="100%" fill="#fff"/>${image}${parts.join("")}</svg>\n`;
}

/** Write a figure as PNG, with twice the pixels. */
export function toPng({ width, height, picture, shapes }: Figure): Promise<Blob | null> {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.round(width * 2), Math.round(height * 2)];
  const context = canvas.getContext("2d");
  if (context) {
    context.scale(2, 2);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    context.imageSmoothingEnabled = picture.canvas.width > 2 * picture.width;
    context.drawImage(picture.canvas, picture.x, picture.y, picture.width, picture.height);
    shapes.forEach((shape) => drawShape(context, shape));
  }
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

function drawShape(context: CanvasRenderingContext2D, shape: Shape): void {
  context.save();
  if (shape.kind === "rect") {
    if (shape.fill) {
      context.fillStyle = shape.fill;
      context.fillRect(shape.x, shape.y, shape.width, shape.height);
    }
    if (shape.stroke) {
      context.setLineDash(shape.isDashed ? [5, 4] : []);
      context.strokeStyle = shape.stroke;
      context.strokeRect(shape.x, shape.y, shape.width, shape.height);
    }
  } else if (shape.kind === "line") {
    context.strokeStyle = shape.stroke;
    context.beginPath();
    context.moveTo(shape.x1, shape.y1);
    context.lineTo(shape.x2, shape.y2);
    context.stroke();
  } else {
    context.fillStyle = shape.fill ?? INK;
    context.font = `${shape.isBold ? "600 " : ""}${FONT_SIZE}px ${FONT}`;
    context.textAlign = shape.anchor === "middle" ? "center" : shape.anchor;
    context.translate(shape.x, shape.y);
    if (shape.isTurned) {
      context.rotate(-Math.PI / 2);
    }
    context.fillText(shape.text, 0, 0);
  }
  context.restore();
}

const escapeText = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

/** Let the browser save a file. */
export function saveFile(name: string, content: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

