/** Tiles of images that are too large to load at once: those that are visible, as fine as the screen needs. */

import { useEffect, useRef, useState } from "react";

import type { ImageApi } from "../api";
import type { Layer } from "../values/layers";
import { clamp, type Area } from "../values/spans";
import { loadReduced, type Shown } from "./shown";

const TILE_SIDE = 512;
const MAX_TILES = 64;
const MAX_BIN = 256;
const WAIT_MS = 80; // while the window moves

export interface TileIndex {
  readonly step: number;
  readonly rows: readonly [number, number];
  readonly columns: readonly [number, number];
}

/** List the tiles of a window: in pixels of the reduction that fits `ratio` stored pixels for each of the screen's. */
export function listTiles(rows: number, columns: number, window: Area, ratio: number): TileIndex[] {
  const step = clamp(2 ** Math.floor(Math.log2(Math.max(1, ratio))), 1, MAX_BIN);
  const [height, width] = [Math.floor(rows / step), Math.floor(columns / step)];
  const list = (span: readonly [number, number], size: number) => {
    const first = clamp(Math.floor(span[0] / step / TILE_SIDE), 0, Math.floor((size - 1) / TILE_SIDE));
    const last = clamp(Math.ceil(Math.min(span[1], size * step) / step / TILE_SIDE), first + 1, Math.ceil(size / TILE_SIDE));
    return Array.from({ length: last - first }, (_, index): readonly [number, number] => {
      const start = (first + index) * TILE_SIDE;
      return [start, Math.min(start + TILE_SIDE, size)];
    });
  };
  return list(window.rows, height).flatMap((each) => list(window.columns, width).map((other) => ({ step, rows: each, columns: other })));
}

/** Load the tiles that a window needs; the layers are those that have come, coarse ones first. */
export function useTiles(api: ImageApi, shown: Shown | null, window: Area | null, ratio: number): readonly Layer[] {
  const cache = useRef(new Map<string, Layer>());
  const [layers, setLayers] = useState<readonly Layer[]>([]);
  const tiles = shown?.isTiled && window ? listTiles(shown.rows, shown.columns, window, ratio) : [];
  const key = shown?.isTiled ? JSON.stringify([shown.key, tiles]) : "";

  useEffect(() => {
    if (!shown?.isTiled) {
      cache.current.clear();
      setLayers([]);
      return;
    }
    const controller = new AbortController();
    const publish = () => {
      const all = [...cache.current.entries()].filter(([name]) => name.startsWith(`${shown.key} `));
      cache.current = new Map(all.slice(-MAX_TILES));
      setLayers([...cache.current.values()].sort((one, other) => other.step - one.step));
    };
    const load = async () => {
      for (const tile of tiles) {
        const name = `${shown.key} ${tile.step} ${tile.rows[0]} ${tile.columns[0]}`;
        const known = cache.current.get(name);
        cache.current.delete(name);
        cache.current.set(name, known ?? (await loadReduced(api, shown, tile.step, controller.signal, tile)));
        publish();
      }
    };
    const timer = setTimeout(() => void load().catch(() => undefined), WAIT_MS); // what is missing stays coarse
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
    // The tiles are in the key.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [api, key]);

  return layers;
}
