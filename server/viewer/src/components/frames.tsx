/** Frames: a slider for each dimension before rows and columns. */

import { useEffect, useState } from "react";

import type { VariableDocument } from "../api";
import type { View } from "../state/view";
import { Icon } from "./controls";

const RATES = [2, 5, 10]; // frames per second

export function Frames({ variable, view, isLoading, update }: {
  readonly variable: VariableDocument;
  readonly view: View;
  /** Whether the last frame is still on its way: the next one waits for it. */
  readonly isLoading: boolean;
  readonly update: (change: Partial<View>) => void;
}) {
  const isColoured = variable.dimensions.at(-1)?.name === "band" && variable.dimensions.length > 2;
  const extra = variable.dimensions.slice(0, isColoured ? -3 : -2);
  return (
    <>
      {extra.filter(({ size }) => size > 1).map(({ name, size }) => (
        <FrameSlider
          key={name} name={name} size={size} index={Math.min(view.indices[name] ?? 0, size - 1)} isLoading={isLoading}
          onChange={(index) => update({ indices: { ...view.indices, [name]: index } })}
        />
      ))}
    </>
  );
}

function FrameSlider({ name, size, index, isLoading, onChange }: {
  readonly name: string;
  readonly size: number;
  readonly index: number;
  readonly isLoading: boolean;
  readonly onChange: (index: number) => void;
}) {
  const [rate, setRate] = useState<number | null>(null);
  useEffect(() => {
    if (rate === null || isLoading) {
      return;
    }
    const timer = setTimeout(() => onChange((index + 1) % size), 1000 / rate);
    return () => clearTimeout(timer);
  }, [rate, isLoading, index, size, onChange]);
  const step = (by: number) => onChange((index + by + size) % size);
  return (
    <div className="sv-frames" role="group" aria-label={name}>
      <label>
        <span translate="no">{name}</span>
        <input type="range" min={0} max={size - 1} value={index} onChange={(event) => onChange(Number(event.target.value))} />
      </label>
      <output>{index} of {size}</output>
      <button type="button" className="sv-button" aria-label={`Previous ${name}`} onClick={() => step(-1)}><Icon name="left" /></button>
      <button type="button" className="sv-button" aria-label={`Next ${name}`} onClick={() => step(1)}><Icon name="right" /></button>
      <button type="button" className="sv-button" aria-pressed={rate !== null} onClick={() => setRate(rate === null ? 5 : null)}>
        <Icon name={rate === null ? "play" : "pause"} /> {rate === null ? "Play" : "Pause"}
      </button>
      {rate !== null && (
        <select aria-label="Frames per second" value={rate} onChange={(event) => setRate(Number(event.target.value))}>
          {RATES.map((each) => <option key={each} value={each}>{each} / s</option>)}
        </select>
      )}
    </div>
  );
}
