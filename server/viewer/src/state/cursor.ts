/** The pixel under the pointer, apart from the view: it changes with every movement, and is not in the URL. */

import { useSyncExternalStore } from "react";

export interface Pixel {
  readonly row: number;
  readonly column: number;
}

/** Where the pointer is; where it is not on the picture, the pixel that was clicked last. */
export class Cursor {
  #hovered: Pixel | null = null;
  #pinned: Pixel | null = null;
  readonly #listeners = new Set<() => void>();

  get pixel(): Pixel | null {
    return this.#hovered ?? this.#pinned;
  }

  hover(pixel: Pixel | null): void {
    if (pixel?.row !== this.#hovered?.row || pixel?.column !== this.#hovered?.column) {
      this.#hovered = pixel;
      this.#notify();
    }
  }

  pin(pixel: Pixel | null): void {
    this.#pinned = pixel;
    this.#hovered = null;
    this.#notify();
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  #notify(): void {
    this.#listeners.forEach((listener) => listener());
  }
}

export const useCursor = (cursor: Cursor): Pixel | null => useSyncExternalStore(cursor.subscribe, () => cursor.pixel);
