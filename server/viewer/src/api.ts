/** The REST API, as far as the viewer calls it. */

import { parseNpy, type NumberArray } from "./values/npy";

export interface DimensionDocument {
  readonly name: string;
  readonly size: number;
}

export interface VariableDocument {
  readonly name: string;
  readonly dtype: string;
  readonly dimensions: readonly DimensionDocument[];
  readonly nbytes: number;
  readonly coordinate: boolean;
  readonly virtual: boolean;
  readonly units: string | null;
  readonly long_name: string | null;
  readonly attributes: Readonly<Record<string, unknown>>;
}

export interface ImageDocument {
  readonly path: string;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly variables: readonly VariableDocument[];
  readonly links: Readonly<Record<string, string>>;
}

export interface StatisticsDocument {
  readonly units: string | null;
  readonly count: number;
  readonly missing: number;
  readonly infinite: number;
  readonly saturated: number | null;
  readonly minimum: number | string;
  readonly maximum: number | string;
  readonly mean: number | string;
  readonly standard_deviation: number | string;
  readonly percentiles: readonly { readonly level: number; readonly value: number | string }[];
  readonly histogram: { readonly low: number; readonly high: number; readonly counts: readonly number[] } | null;
}

/** JSON Schema, as far as options of transforms have it. */
export interface OptionSchema {
  readonly type?: "integer" | "number" | "boolean" | "string" | "array" | "null";
  readonly title?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly enum?: readonly (string | number)[];
  readonly anyOf?: readonly OptionSchema[];
}

export interface TransformDocument {
  readonly name: string;
  readonly summary: string;
  readonly inputs: readonly string[];
  readonly options: readonly { readonly name: string; readonly schema: OptionSchema }[];
}

/** What is asked of an image: a variable, steps applied to it, and parts of the dimensions. */
export interface Extraction {
  readonly variable: string;
  readonly steps: readonly string[];
  /** Python slices or indices, by dimension. */
  readonly parts?: Readonly<Record<string, string>>;
}

/** An answer of the server that is no success; its message is the server's own sentence. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

const PARAMETERS = new Set([
  "variable", "band", "transform", "raw", "cmap", "scaling", "low", "high", "percentiles", "bits", "size", "quality",
  "missing", "colour_bar", "scale_bar", "format", "download", "bins",
]);

/** The name of the variable that an extraction gives. */
export const resultName = ({ variable, steps }: Extraction): string => (steps.length ? "result" : variable);

export class ImageApi {
  /** @param url of the image's document, `…/api/v1/images/PATH` */
  constructor(readonly url: string) {}

  /** Build the URL of values, a picture or a description. */
  buildUrl(extraction: Extraction, options: Readonly<Record<string, string>> = {}, resource = "images"): string {
    const query = new URLSearchParams();
    query.append("variable", extraction.variable);
    extraction.steps.forEach((step) => query.append("transform", step));
    for (const [dimension, part] of Object.entries(extraction.parts ?? {})) {
      query.append(PARAMETERS.has(dimension) ? `dim.${dimension}` : dimension, part);
    }
    Object.entries(options).forEach(([name, value]) => query.append(name, value));
    return `${this.#resource(resource)}?${query.toString().replaceAll("%3A", ":").replaceAll("%2C", ",")}`;
  }

  /** The description of the image; with an extraction, of what it gives. */
  fetchDocument(extraction: Extraction | null, signal?: AbortSignal): Promise<ImageDocument> {
    const url = extraction?.steps.length ? this.buildUrl(extraction) : this.url;
    return fetchJson<ImageDocument>(url, signal);
  }

  async fetchArray(extraction: Extraction, signal?: AbortSignal): Promise<NumberArray> {
    const response = await fetchOk(this.buildUrl(extraction, { format: "npy" }), signal);
    return parseNpy(await response.arrayBuffer());
  }

  fetchStatistics(extraction: Extraction, signal?: AbortSignal): Promise<StatisticsDocument> {
    return fetchJson<StatisticsDocument>(this.buildUrl(extraction, { bins: "256" }, "statistics"), signal);
  }

  /** A picture that the server draws. */
  async fetchPicture(extraction: Extraction, display: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<Blob> {
    return (await fetchOk(this.buildUrl(extraction, { format: "png", ...display }), signal)).blob();
  }

  async fetchTransforms(signal?: AbortSignal): Promise<readonly TransformDocument[]> {
    const url = `${this.url.slice(0, this.url.indexOf("/api/v1/"))}/api/v1/transforms`;
    return (await fetchJson<{ transforms: TransformDocument[] }>(url, signal)).transforms;
  }

  #resource(name: string): string {
    return name === "images" ? this.url : this.url.replace("/api/v1/images/", `/api/v1/${name}/`);
  }
}

/** Make a number of what JSON has for it; NaN and infinities are texts there. */
export const toNumber = (value: number | string): number =>
  typeof value === "number" ? value : Number(value);

async function fetchJson<T>(url: string, signal?: AbortSignal): Promise<T> {
  return (await (await fetchOk(url, signal, "application/json")).json()) as T;
}

async function fetchOk(url: string, signal?: AbortSignal, accept = "*/*"): Promise<Response> {
  const response = await fetch(url, { ...(signal ? { signal } : {}), headers: { Accept: accept } });
  if (!response.ok) {
    const problem = (await response.json().catch(() => null)) as { detail?: string } | null;
    throw new ApiError(problem?.detail ?? `The server answered ${response.status} ${response.statusText}.`, response.status);
  }
  return response;
}
