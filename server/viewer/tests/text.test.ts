import { describe, expect, it } from "vitest";

import { formatInput, formatValue, parseNumber, withUnit } from "../src/text/numbers";
import { chooseTicks, formatTicks } from "../src/text/ticks";

describe("numbers", () => {
  it.each([
    [750, "750"], [38000, "38,000"], [9999, "9999"], [366.512, "366.5"], [-3.25, "−3.250"], [1.3927e7, "1.393×10⁷"],
    [0.00012346, "1.235×10⁻⁴"], [NaN, "missing"], [Infinity, "∞"], [0, "0"], [0.25, "0.2500"],
  ])("are written as the pages write them: %d", (value, text) => expect(formatValue(value)).toBe(text));

  it("have units, but not of 1", () => {
    expect(withUnit("750", "count")).toBe("750\u202fcount");
    expect(withUnit("0.5", "1")).toBe("0.5");
  });

  it("are read as people type them", () => {
    expect(["−3", "1,000", " 2.5e3 ", "abc", ""].map(parseNumber)).toEqual([-3, 1000, 2500, null, null]);
    expect(parseNumber(formatInput(-12.345))).toBe(-12.3);
    expect(formatInput(65535)).toBe("65535");
  });
});

describe("ticks", () => {
  it("are at 1, 2, 5", () => {
    expect(chooseTicks(0, 1100, 9)).toEqual([0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1100]);
    expect(chooseTicks(-0.5, 16.1, 6.5)).toEqual([0, 2, 4, 6, 8, 10, 12, 14, 16]);
    expect(chooseTicks(1, 1, 5)).toEqual([]);
  });
  it("have as many decimals as they need", () => {
    expect(formatTicks([0, 0.5, 1])).toEqual(["0.0", "0.5", "1.0"]);
    expect(formatTicks([-20, 0, 20])).toEqual(["−20", "0", "20"]);
  });
});
