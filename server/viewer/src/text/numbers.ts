/** Numbers, units and counts as the pages write them. */

export const THIN_SPACE = "\u202f"; // narrow, and does not break
const MINUS = "\u2212";
const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** Write a value with four significant digits; integers in full. */
export function formatValue(value: number, digits = 4): string {
  if (Number.isNaN(value)) {
    return "missing";
  }
  if (!Number.isFinite(value)) {
    return value > 0 ? "∞" : `${MINUS}∞`;
  }
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e7) {
    return toMinus(groupThousands(String(value)));
  }
  if (size >= 1e6 || (size > 0 && size < 1e-3)) {
    return formatPower(value, digits);
  }
  const decimals = size === 0 ? 0 : Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return toMinus(groupThousands(value.toFixed(Math.min(decimals, 12))));
}

/** Write a value with a fixed number of decimals. */
export const formatFixed = (value: number, decimals: number): string => toMinus(groupThousands(value.toFixed(decimals)));

/** Write a value and its unit; a unit of 1 is not written. */
export const withUnit = (text: string, unit: string | null): string =>
  unit && unit !== "1" && text !== "missing" ? `${text}${THIN_SPACE}${unit}` : text;

export const formatCount = (count: number): string => groupThousands(String(Math.round(count)));

/** Parse what somebody typed: `−3`, `1,000`, `2.5e3`; null if it is no number. */
export function parseNumber(text: string): number | null {
  const plain = text.trim().replaceAll(MINUS, "-").replaceAll(/[,\s\u202f]/g, "");
  const value = plain ? Number(plain) : NaN;
  return Number.isFinite(value) ? value : null;
}

/** Write a number for an input field: short, and read back by `parseNumber`. */
export function formatInput(value: number): string {
  const size = Math.abs(value);
  const rounded = Number(value.toPrecision(size >= 1000 ? Math.min(12, Math.floor(Math.log10(size)) + 2) : 3));
  return toMinus(String(size >= 100 ? Math.round(rounded) : rounded));
}

/** Round a number for a URL. */
export const roundForUrl = (value: number): number => Number(value.toPrecision(7));

function formatPower(value: number, digits: number): string {
  const [mantissa = "", exponent = ""] = value.toExponential(digits - 1).split("e");
  const raised = exponent.replace("+", "").replaceAll(/[-\d]/g, (each) => (each === "-" ? "⁻" : (SUPERSCRIPTS[Number(each)] ?? "")));
  return `${toMinus(mantissa)}×10${raised}`;
}

function groupThousands(text: string): string {
  const [whole = "", ...rest] = text.split(".");
  const digits = whole.replace("-", "");
  if (digits.length < 5) {
    return text;
  }
  const grouped = digits.replaceAll(/\B(?=(\d{3})+$)/g, ",");
  return [`${whole.startsWith("-") ? "-" : ""}${grouped}`, ...rest].join(".");
}

const toMinus = (text: string): string => text.replace(/^-/, MINUS);
