import { describe, expect, it } from "vitest";

import { Axis, isMonotonic } from "../src/values/axis";
import { findBrightest } from "../src/values/brightest";
import { countBetween, findPercentile, measureDistribution } from "../src/values/distribution";
import { Layer, findValue } from "../src/values/layers";
import { averageColumns, averageRows, readCurve } from "../src/values/lineout";
import { parseNpy } from "../src/values/npy";
import { Frame, formatOrientation, parseOrientation } from "../src/values/orientation";
import { MISSING, halveLevel, toTextureLevel } from "../src/values/reduce";
import { bandAround, cutTo, formatSpan } from "../src/values/spans";

function encodeNpy(type: string, shape: string, body: Uint8Array): ArrayBuffer {
  const header = `{'descr': '${type}', 'fortran_order': False, 'shape': ${shape}, }\n`.padEnd(118, " ");
  const start = [0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, header.length, 0];
  return Uint8Array.from([...start, ...new TextEncoder().encode(header), ...body]).buffer;
}

describe("NPY", () => {
  it("holds numbers in either byte order", () => {
    expect(parseNpy(encodeNpy("<u2", "(2, 1)", Uint8Array.of(1, 2, 3, 4)))).toEqual({
      data: Uint16Array.of(0x0201, 0x0403), shape: [2, 1],
    });
    expect(parseNpy(encodeNpy(">i2", "(2,)", Uint8Array.of(0xff, 0xfe, 0, 1))).data).toEqual(Int16Array.of(-2, 1));
    expect(parseNpy(encodeNpy("|b1", "()", Uint8Array.of(1)))).toEqual({ data: Uint8Array.of(1), shape: [] });
  });

  it("makes floats of 64-bit integers", () => {
    const body = new Uint8Array(new BigInt64Array([-5n]).buffer);
    expect(parseNpy(encodeNpy("<i8", "(1,)", body)).data).toEqual(Float64Array.of(-5));
  });

  it("is refused where it is none", () => {
    expect(() => parseNpy(new TextEncoder().encode('{"detail": "no"}').buffer)).toThrow("no array");
    expect(() => parseNpy(encodeNpy("<c8", "(1,)", new Uint8Array(8)))).toThrow("cannot be shown");
  });
});

describe("orientation", () => {
  // The transform rotate_flip of the server, of an array [[0, 1, 2], [3, 4, 5]].
  const turned: Record<string, number[][]> = {
    "0 none": [[0, 1, 2], [3, 4, 5]],
    "90 none": [[3, 0], [4, 1], [5, 2]],
    "180 none": [[5, 4, 3], [2, 1, 0]],
    "270 none": [[2, 5], [1, 4], [0, 3]],
    "0 X": [[2, 1, 0], [5, 4, 3]],
    "90 Y": [[5, 2], [4, 1], [3, 0]],
    "270 XY": [[3, 0], [4, 1], [5, 2]],
  };
  it.each(Object.entries(turned))("turns as the server does: %s", (name, expected) => {
    const [rotation, flip] = name.split(" ");
    const frame = new Frame(2, 3, parseOrientation(Number(rotation), flip));
    const shown = Array.from({ length: frame.height }, (_, v) =>
      Array.from({ length: frame.width }, (_each, u) => {
        const pixel = frame.pixelAt(u + 0.5, v + 0.5);
        return pixel ? pixel.row * 3 + pixel.column : NaN;
      }));
    expect(shown).toEqual(expected);
  });

  it.each([[0, "none"], [90, "none"], [180, "x"], [270, "y"], [90, "xy"]])("is written for the server: %i %s", (rotation, flip) => {
    const orientation = parseOrientation(rotation, flip);
    const match = /flip-(\w+)-rotation-(\d+)/.exec(formatOrientation(orientation) ?? "flip-none-rotation-0");
    expect(parseOrientation(Number(match?.[2]), match?.[1])).toEqual(orientation);
  });

  it("maps areas there and back", () => {
    const frame = new Frame(20, 30, parseOrientation(90, "x"));
    const area = { rows: [2, 5], columns: [10, 11] } as const;
    const { horizontal, vertical } = frame.areaToDisplay(area);
    expect(frame.areaToStored(horizontal, vertical)).toEqual(area);
    expect(frame.middleOf(2, 10)).toEqual({ u: 2.5, v: 10.5 });
  });
});

describe("distribution", () => {
  it("leaves out what is missing or infinite", () => {
    const { minimum, maximum, mean, deviation, missing, sample } = measureDistribution(Float32Array.of(3, NaN, 1, Infinity), 2, 2);
    expect({ minimum, maximum, mean, deviation, missing }).toEqual({ minimum: 1, maximum: 3, mean: 2, deviation: 1, missing: 1 });
    expect([...sample]).toEqual([1, 3]);
  });

  it("takes every eighth row and column of a large image, as the server does", () => {
    const data = Float64Array.from({ length: 512 * 512 }, (_, index) => index);
    expect(measureDistribution(data, 512, 512).sample.slice(0, 3)).toEqual(Float64Array.of(0, 8, 16));
  });

  it("interpolates percentiles as NumPy does", () => {
    expect(findPercentile([1, 2, 3, 10], 50)).toBe(2.5);
    expect(findPercentile([1, 2, 3, 10], 99.5)).toBeCloseTo(9.895);
  });

  it("counts the values between edges, the last included", () => {
    expect(countBetween([0, 1, 1, 2, 3], [0, 1, 3])).toEqual([1, 4]);
  });
});

describe("lineouts", () => {
  const image = Float32Array.of(1, 2, 3, 5, NaN, 7);
  it("are means over a band without what is missing", () => {
    expect([...averageRows(image, 3, [0, 2])]).toEqual([3, 2, 5]);
    expect([...averageColumns(image, 2, 3, [1, 3])]).toEqual([2.5, 7]);
  });

  it("give peak, half width and rise", () => {
    const curve = [0, 0, 2, 4, 6, 8, 10, 5, 0];
    expect(readCurve(curve)).toEqual({ peak: 10, peakIndex: 6, halfWidth: [3.5, 7], rise: [1.5, 5.5] });
  });

  it("have no width where they end above half", () => {
    expect(readCurve([9, 10, 9])).toMatchObject({ halfWidth: null, rise: null });
    expect(readCurve([NaN, NaN])).toBeNull();
  });
});

describe("reduction", () => {
  it("takes means of known pixels, at an odd edge of fewer", () => {
    const level = toTextureLevel(Float64Array.of(1, 3, 10, 5, NaN, 20), 2, 3);
    expect(level.data[4]).toBe(MISSING);
    const half = halveLevel(level);
    expect({ rows: half.rows, columns: half.columns }).toEqual({ rows: 1, columns: 2 });
    expect(half.data[0]).toBe(3);
    expect(half.data[1]).toBe(15);
  });

  it("chooses the level that the screen needs", () => {
    const layer = new Layer("a", { data: new Float32Array(64 * 64), shape: [64, 64] }, 1);
    expect(layer.levelFor(0.5).rows).toBe(64);
    expect(layer.levelFor(4.5)).toMatchObject({ rows: 16, power: 2 });
  });
});

describe("values", () => {
  it("come from full resolution only", () => {
    const overview = new Layer("o", { data: Float32Array.of(9), shape: [1, 1] }, 4);
    const tile = new Layer("t", { data: Float32Array.of(1, 2, 3, 4), shape: [2, 2] }, 1, 2, 2);
    expect(findValue([overview, tile], 3, 2)).toBe(3);
    expect(findValue([overview, tile], 0, 0)).toBeUndefined();
  });

  it("have a brightest row and column that a hot pixel does not decide", () => {
    const image = new Float32Array(100).fill(0);
    image.fill(5, 30, 40);
    image[77] = 40;
    expect(findBrightest(image, 10, 10, 1).row).toBe(3);
  });
});

describe("axes", () => {
  it("tell time in ns from 2000 ps of span", () => {
    const times = Float64Array.from({ length: 100 }, (_, index) => index * 30);
    const axis = new Axis("time", "ps", times, 100);
    expect(axis.title).toBe("time / ns");
    expect(axis.valueAt(10)).toBeCloseTo(0.3);
    expect(new Axis("time", "ps", times.slice(0, 10), 10).unit).toBe("ps");
  });

  it("put ticks at their true places on a coordinate that is not linear", () => {
    const axis = new Axis("time", "s", Float64Array.from({ length: 11 }, (_, index) => index ** 2), 11);
    const ticks = axis.ticksBetween(0.5, 10.5, 5);
    const hundred = ticks.find(({ label }) => label === "100");
    expect(hundred?.position).toBeCloseTo(10.5);
    expect(ticks.find(({ label }) => label === "40")?.position).toBeCloseTo(0.5 + 6 + 4 / 13);
  });

  it("count plain pixels in whole numbers", () => {
    expect(new Axis("row", null, null, 8).ticksBetween(2, 5, 9).map(({ label }) => label)).toEqual(["2", "3", "4"]);
  });

  it("take only what ascends or descends", () => {
    expect(isMonotonic([3, 2, 1])).toBe(true);
    expect(isMonotonic([1, 2, 2])).toBe(false);
    expect(isMonotonic([1, NaN, 3])).toBe(false);
  });
});

describe("spans", () => {
  it("are inclusive for people", () => expect([formatSpan([416, 432]), formatSpan([7, 8])]).toEqual(["416 – 431", "7"]));
  it("stay within the image", () => {
    expect(bandAround(0, 5, 10)).toEqual([0, 5]);
    expect(cutTo([12, 20], 10)).toEqual([9, 10]);
  });
});
