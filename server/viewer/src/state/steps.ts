/** Steps of a variant: `median_filter-size-5` ↔ a transform and its options, which JSON Schema describes. */

import type { OptionSchema, TransformDocument, VariableDocument } from "../api";

export interface Step {
  readonly name: string;
  /** Texts of options, as in the URL: items of a list joined by `_`. */
  readonly options: Readonly<Record<string, string>>;
}

/** Parse a step; `-` separates options and values, and a value may begin with one. */
export function parseStep(text: string): Step {
  const [name = "", ...rest] = text.split("-");
  const options: Record<string, string> = {};
  for (let index = 0; index < rest.length; ) {
    const option = rest[index++] ?? "";
    let value = "";
    while (index < rest.length && (value === "" || value.endsWith("_") || value === "-")) {
      const piece = rest[index++] ?? "";
      value += piece === "" || value.endsWith("_") ? `-${piece}` : piece;
    }
    options[option] = value;
  }
  return { name, options };
}

/** Write a step; options in the order of their names, as the server's canonical URLs have them. */
export function formatStep({ name, options }: Step): string {
  const texts = Object.entries(options).filter(([, value]) => value !== "").sort(([one], [other]) => (one < other ? -1 : 1));
  return [name, ...texts.flat()].join("-");
}

/** The schema of an option's value without `null`. */
export function plainSchema(schema: OptionSchema): OptionSchema {
  const other = schema.anyOf?.find((each) => each.type !== "null");
  return other ? { ...schema, ...other } : schema;
}

/** Check the text of an option; return what is wrong, in a sentence, or null. */
export function checkOption(title: string, schema: OptionSchema, text: string): string | null {
  const { type, minimum, maximum, exclusiveMinimum, exclusiveMaximum } = plainSchema(schema);
  if (text === "" || (type !== "integer" && type !== "number")) {
    return null;
  }
  const value = Number(text);
  const isAllowed = Number.isFinite(value) && (type !== "integer" || Number.isInteger(value))
    && value >= (minimum ?? -Infinity) && value <= (maximum ?? Infinity)
    && value > (exclusiveMinimum ?? -Infinity) && value < (exclusiveMaximum ?? Infinity);
  if (isAllowed) {
    return null;
  }
  const [low, high] = [minimum ?? exclusiveMinimum, maximum ?? exclusiveMaximum];
  const range = low !== undefined && high !== undefined ? ` from ${low} to ${high}` : low !== undefined ? ` from ${low}` : "";
  return `${title} is ${type === "integer" ? "a whole number" : "a number"}${range}.`;
}

/** The text of a default value. */
export function formatDefault(value: unknown): string {
  if (value === null || value === undefined) {
    return "";
  }
  return Array.isArray(value) ? value.join("_") : `${value as string | number | boolean}`;
}

/** Why a transform cannot be applied to a variable; null if nothing is known against it. */
export function findObstacle(
  transform: TransformDocument, shown: VariableDocument | null, variables: readonly VariableDocument[],
): string | null {
  const missing = transform.inputs.slice(1).find((input) => !variables.some(({ name }) => name === input));
  if (missing) {
    return `needs ${missing === "image" ? "an image" : `a ${missing}`}; this file has none`;
  }
  if (shown && shown.dimensions.length < 2 && ["image", "wedge", "background", "raw"].includes(transform.inputs[0] ?? "")) {
    return "needs rows and columns";
  }
  if (shown && shown.dimensions.length > 1 && ["peaks", "columns"].includes(transform.inputs[0] ?? "")) {
    return `needs ${transform.inputs[0] ?? ""}, one number each`;
  }
  return null;
}
