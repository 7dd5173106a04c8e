import { describe, expect, it } from "vitest";

import { ImageApi, type TransformDocument, type VariableDocument } from "../src/api";
import { formatAddress, parseAddress } from "../src/state/location";
import { checkOption, findObstacle, formatStep, parseStep, plainSchema } from "../src/state/steps";
import { listTiles } from "../src/state/tiles";
import { createView, formatQuery, formatView, parseView, type View } from "../src/state/view";
import { fitWindow, moveWindow, scaleWindow, toArea } from "../src/state/window";
import { AS_STORED, Frame } from "../src/values/orientation";

const NAMES = { rows: "y", columns: "x" };
const INITIAL = createView("background_subtracted");

describe("the view in the URL", () => {
  const full: View = {
    ...INITIAL, indices: { frame: 3 }, window: { rows: [0, 350], columns: [0, 700] }, low: -3, high: 635,
    colourMap: { name: "viridis", isInverted: true }, scaling: "log", rows: [416, 432], columns: [290, 311],
    regions: [{ rows: [330, 520], columns: [110, 310] }], isSaturatedMarked: true, isAsStored: true,
  };
  const text = "frame=3&cmap=viridis_r&scaling=log&low=-3&high=635&x=0:700&y=0:350&row=416:432&column=290:311"
    + "&region=330:520,110:310&mark=saturated&orientation=stored";

  it("is written in a fixed order, without defaults", () => {
    expect(formatQuery(formatView(full, NAMES, new URLSearchParams()))).toBe(text);
    expect(formatQuery(formatView(INITIAL, NAMES, new URLSearchParams()))).toBe("");
  });

  it("is read back equal", () => {
    expect(parseView(new URLSearchParams(text), INITIAL, ["frame", "y", "x"])).toEqual(full);
  });

  it("keeps parameters of the page", () => {
    expect(formatQuery(formatView(INITIAL, NAMES, new URLSearchParams("projector=1&low=4&x=0:3")))).toBe("projector=1");
  });

  it("ignores what it does not understand", () => {
    const query = new URLSearchParams("low=abc&x=9:3&scaling=cubic&percentiles=5&region=1:2&cmap=nosuch");
    expect(parseView(query, INITIAL, ["y", "x"])).toEqual(INITIAL);
  });
});

describe("the path of the page", () => {
  const path = "omega/62328/asbo1/asbo1_s62328";

  it("has variable and steps as a variant", () => {
    expect(parseAddress(`/archive/images/${path}/~image~median_filter-size-5`, path)).toEqual({
      imagePath: `/archive/images/${path}`, variable: "image", steps: ["median_filter-size-5"],
    });
  });

  it("is written without defaults", () => {
    const address = parseAddress(`/images/${path}`, path);
    expect(formatAddress(INITIAL, INITIAL, address, NAMES, "")).toBe(`/images/${path}`);
    const view: View = { ...INITIAL, steps: ["median_filter-size-5"], low: 1 };
    expect(formatAddress(view, INITIAL, address, NAMES, "")).toBe(`/images/${path}/~background_subtracted~median_filter-size-5?low=1`);
  });

  it("is left alone on other pages, whose query takes the parameters of REST", () => {
    const address = parseAddress("/test.html", path);
    const view: View = { ...INITIAL, variable: "image", steps: ["despeckle"], high: 2 };
    expect(formatAddress(view, INITIAL, address, NAMES, "")).toBe("?variable=image&transform=despeckle&high=2");
  });
});

describe("steps", () => {
  it.each(["median_filter-size-5", "crop-columns-0_9-rows-100_299", "subtract_background-scale--1.2", "dewarp-row_coefficients--1_-2_3"])(
    "are read and written: %s", (text) => expect(formatStep(parseStep(text))).toBe(text),
  );

  it("know negative items", () => expect(parseStep("a-b--1_-2").options).toEqual({ b: "-1_-2" }));

  it("say what a wrong option would have to be", () => {
    const schema = { type: "integer", minimum: 3, maximum: 31 } as const;
    expect(checkOption("size", schema, "40")).toBe("size is a whole number from 3 to 31.");
    expect(checkOption("size", schema, "5.5")).toContain("whole number");
    expect(checkOption("size", schema, "5")).toBeNull();
    expect(plainSchema({ anyOf: [{ type: "number", minimum: 1 }, { type: "null" }] }).minimum).toBe(1);
  });

  it("that need what a file does not have say so", () => {
    const flat: TransformDocument = { name: "flat_field", summary: "", inputs: ["image", "flat"], options: [] };
    const image = { name: "image", dimensions: [{ name: "y", size: 2 }, { name: "x", size: 2 }] } as unknown as VariableDocument;
    expect(findObstacle(flat, image, [image])).toBe("needs a flat; this file has none");
    expect(findObstacle({ ...flat, inputs: ["image"] }, image, [image])).toBeNull();
  });
});

describe("requests", () => {
  const api = new ImageApi("http://h/api/v1/images/omega/1/a");
  it("name variable, steps and parts", () => {
    const url = api.buildUrl({ variable: "image", steps: ["median_filter"], parts: { y: "0:10", size: "3" } }, { format: "npy" });
    expect(url).toBe("http://h/api/v1/images/omega/1/a?variable=image&transform=median_filter&y=0:10&dim.size=3&format=npy");
  });
  it("go to statistics beside the image", () => {
    expect(api.buildUrl({ variable: "image", steps: [] }, {}, "statistics")).toBe("http://h/api/v1/statistics/omega/1/a?variable=image");
  });
});

describe("the window", () => {
  const frame = new Frame(100, 200, AS_STORED);
  it("gets the proportions of the image", () => {
    expect(fitWindow({ rows: [40, 60], columns: [0, 20] }, frame)).toEqual({ rows: [40, 60], columns: [0, 40] });
    expect(fitWindow({ rows: [0, Infinity], columns: [0, 50] }, frame)).toEqual({ rows: [0, 100], columns: [0, 200] });
  });
  it("stays as it is once it has them", () => {
    const area = { rows: [10, 35], columns: [21, 71] } as const;
    expect(fitWindow(area, frame)).toEqual(area);
  });
  it("zooms about a place, which stays where it is", () => {
    const whole = { horizontal: [0, 200], vertical: [0, 100] } as const;
    expect(scaleWindow(whole, frame, 0.5, 0.25, 0.5)).toEqual({ horizontal: [25, 125], vertical: [25, 75] });
  });
  it("does not leave the image", () => {
    expect(toArea(moveWindow({ horizontal: [0, 20], vertical: [0, 10] }, frame, 500, -3), frame)).toEqual({ rows: [0, 10], columns: [180, 200] });
  });
});

describe("tiles", () => {
  it("cover the window, as fine as the screen", () => {
    const tiles = listTiles(8192, 8192, { rows: [0, 1024], columns: [4096, 5120] }, 1.2);
    expect(tiles.map(({ step, rows, columns }) => [step, rows[0], columns[0]])).toEqual([[1, 0, 4096], [1, 0, 4608], [1, 512, 4096], [1, 512, 4608]]);
  });
  it("are few, whatever the window", () => {
    expect(listTiles(16384, 16384, { rows: [0, 16384], columns: [0, 16384] }, 20).length).toBeLessThanOrEqual(16);
  });
});
