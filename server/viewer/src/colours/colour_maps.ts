/** Colour maps as tables of 256 colours; the very tables of the server, which a test compares. */

import tables from "./tables.json";

export type ColourMapName = keyof typeof tables;

export const COLOUR_MAPS = Object.keys(tables) as readonly ColourMapName[];

const REVERSED = "_r";
const cache = new Map<string, Uint8Array>();

export interface ColourMap {
  readonly name: ColourMapName;
  readonly isInverted: boolean;
}

/** Find a map by the server's name: `inferno`, or `inferno_r` for the inverted one. */
export function parseColourMap(text: string): ColourMap | null {
  const name = COLOUR_MAPS.find((each) => each === text);
  if (name) {
    return { name, isInverted: false };
  }
  const inverted = COLOUR_MAPS.find((each) => flipName(each) === text);
  return inverted ? { name: inverted, isInverted: true } : null;
}

export const formatColourMap = ({ name, isInverted }: ColourMap): string => (isInverted ? flipName(name) : name);

const flipName = (name: string): string =>
  name.endsWith(REVERSED) ? name.slice(0, -REVERSED.length) : `${name}${REVERSED}`;

/** Return 256 × (red, green, blue). */
export function getColours({ name, isInverted }: ColourMap): Uint8Array {
  const key = formatColourMap({ name, isInverted });
  let colours = cache.get(key);
  if (!colours) {
    colours = Uint8Array.from(atob(tables[name]), (character) => character.charCodeAt(0));
    if (isInverted) {
      const forward = colours;
      colours = forward.map((_, index) => forward[(255 - Math.floor(index / 3)) * 3 + (index % 3)] ?? 0);
    }
    cache.set(key, colours);
  }
  return colours;
}

/** The colour at a brightness, as CSS has it. */
export function colourAt(map: ColourMap, brightness: number): string {
  const colours = getColours(map);
  const index = 3 * Math.round(Math.min(Math.max(brightness, 0), 1) * 255);
  return `rgb(${colours[index] ?? 0},${colours[index + 1] ?? 0},${colours[index + 2] ?? 0})`;
}
