import { describe, expect, it } from "vitest";

import { createView, formatView } from "../src/state/view";
import { Axis } from "../src/values/axis";
import { comparePixels, matchPlaces, placeCurve } from "../src/values/pair";

const time = (...values: number[]): Axis => new Axis("time", "ps", values, values.length);
const pixels = (size: number): Axis => new Axis("row", null, null, size);

describe("places of two images", () => {
  it("are the same pixels where the sizes are the same", () => {
    expect([...matchPlaces(time(0, 1, 2), time(5, 6, 7))]).toEqual([0, 1, 2]);
  });

  it("are those of equal coordinates, upwards and downwards, where the sizes differ", () => {
    expect([...matchPlaces(time(0, 1, 2, 3), time(2, 3, 4))]).toEqual([-1, -1, 0, 1]);
    expect([...matchPlaces(time(3, 2, 1, 0), time(0, 1))]).toEqual([-1, -1, 1, 0]);
    expect([...matchPlaces(time(0.1, 1.1, 9), time(0, 1, 2, 3))]).toEqual([0, 1, -1]);
  });

  it("begin with the first pixel where one has no coordinate", () => {
    expect([...matchPlaces(pixels(3), pixels(2))]).toEqual([0, 1, -1]);
    expect([...matchPlaces(time(4, 5, 6), pixels(2))]).toEqual([0, 1, -1]);
  });
});

describe("a curve of the second image", () => {
  it("lies at the places of the first one", () => {
    expect([...placeCurve([7, 8, 9], Int32Array.of(-1, 2, 0))]).toEqual([NaN, 9, 7]);
  });
});

describe("pixels of two images", () => {
  const ours = { data: Uint16Array.of(5, 6, 7, 8), shape: [2, 2] };
  const theirs = { data: Float32Array.of(1, 2, 0, 4, 5, 6), shape: [2, 3] };
  const compare = (isRatio: boolean) =>
    [...comparePixels(ours, theirs, Int32Array.of(1, -1), Int32Array.of(0, 2), isRatio).data];

  it("are subtracted and divided where both have one", () => {
    expect(compare(false)).toEqual([1, 0, NaN, NaN]);
    expect(compare(true)).toEqual([5 / 4, 1, NaN, NaN]);
  });

  it("have no ratio to nothing", () => {
    const nothing = { data: Float32Array.of(0), shape: [1, 1] };
    expect([...comparePixels(ours, nothing, Int32Array.of(0), Int32Array.of(0), true).data]).toEqual([NaN]);
  });
});

describe("the address of a comparison", () => {
  it("keeps all images", () => {
    const kept = new URLSearchParams("image=a&image=b&show=difference&low=3");
    expect(formatView(createView("image"), null, kept).toString()).toBe("image=a&image=b&show=difference");
  });
});
