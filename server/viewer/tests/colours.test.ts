import { describe, expect, it } from "vitest";

import { COLOUR_MAPS, colourAt, formatColourMap, getColours, parseColourMap } from "../src/colours/colour_maps";
import { SCALINGS, fromBrightness, toBrightness, widenRange } from "../src/colours/scale";

describe("colour maps", () => {
  it("have 256 colours each", () => COLOUR_MAPS.forEach((name) => expect(getColours({ name, isInverted: false }).length).toBe(768)));

  it("are named as on the server, inverted ones too", () => {
    expect(parseColourMap("inferno_r")).toEqual({ name: "inferno", isInverted: true });
    expect(parseColourMap("RdBu_r")).toEqual({ name: "RdBu_r", isInverted: false });
    expect(formatColourMap({ name: "RdBu_r", isInverted: true })).toBe("RdBu");
    expect(parseColourMap("jet")).toBeNull();
  });

  it("are inverted from end to end", () => {
    expect(colourAt({ name: "gray", isInverted: true }, 0)).toBe("rgb(255,255,255)");
    expect(colourAt({ name: "gray", isInverted: false }, 1)).toBe("rgb(255,255,255)");
  });
});

describe("scales", () => {
  const range = { low: -10, high: 90 };
  it.each(SCALINGS)("go there and back: %s", (scaling) => {
    for (const value of [-10, 0, 15, 90]) {
      expect(fromBrightness(toBrightness(value, range, scaling), range, scaling)).toBeCloseTo(value, 9);
    }
  });

  it("are those of the server", () => {
    expect(toBrightness(15, range, "linear")).toBe(0.25);
    expect(toBrightness(15, range, "sqrt")).toBe(0.5);
    expect(toBrightness(15, range, "log")).toBeCloseTo(Math.log(251) / Math.log(1001));
    expect(toBrightness(1e9, range, "log")).toBe(1);
  });

  it("have a width", () => expect(widenRange({ low: 5, high: 5 })).toEqual({ low: 4.5, high: 5.5 }));
});
