/** Controls that several parts of the viewer share. */

import { useEffect, useId, useRef, useState, type KeyboardEvent, type ReactNode } from "react";

export interface Choice<T extends string> {
  readonly value: T;
  readonly label: ReactNode;
  readonly title?: string;
}

/** Two to nine exclusive choices, as a group of radio buttons. */
export function Segments<T extends string>({ name, choices, value, onChange, className = "" }: {
  readonly name: string;
  readonly choices: readonly Choice<T>[];
  readonly value: T | null;
  readonly onChange: (value: T) => void;
  readonly className?: string;
}) {
  const group = useId();
  return (
    <div className={`sv-segments ${className}`} role="radiogroup" aria-label={name}>
      {choices.map((choice) => (
        <label key={choice.value} className="sv-segment" title={choice.title}>
          <input
            type="radio" name={group} value={choice.value} checked={choice.value === value}
            onChange={() => onChange(choice.value)} aria-label={choice.title}
          />
          <span>{choice.label}</span>
        </label>
      ))}
    </div>
  );
}

/** A button that opens a panel; Escape or a click elsewhere closes it, and the focus returns. */
export function Menu({ label, className = "", align = "left", children }: {
  readonly label: ReactNode;
  readonly className?: string;
  readonly align?: "left" | "right";
  readonly children: (close: () => void) => ReactNode;
}) {
  const [isOpen, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  useEffect(() => {
    if (!isOpen) {
      return;
    }
    const onDown = (event: Event) => {
      if (!root.current?.contains(event.target as Node)) {
        setOpen(false);
      }
    };
    document.addEventListener("pointerdown", onDown);
    return () => document.removeEventListener("pointerdown", onDown);
  }, [isOpen]);
  const onKeyDown = (event: KeyboardEvent) => {
    if (isOpen && event.key === "Escape") {
      event.stopPropagation();
      close();
    }
  };
  return (
    <div ref={root} className={`sv-menu ${className}`} onKeyDown={onKeyDown}>
      <button ref={button} type="button" className="sv-button" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        {label}
      </button>
      {isOpen && <div className={`sv-sheet sv-${align}`}>{children(close)}</div>}
    </div>
  );
}

const ICONS = {
  move: "M8 1v14M1 8h14M8 1 6 3m2-2 2 2M8 15l-2-2m2 2 2-2M1 8l2-2M1 8l2 2m12-2-2-2m2 2-2 2",
  lineout: "M1 12c3 0 3-8 6-8s3 7 5 7 2-2 3-3",
  region: "M2 5V2h3m6 0h3v3m0 6v3h-3m-6 0H2v-3",
  fit: "M2 5V2h3m6 0h3v3m0 6v3h-3m-6 0H2v-3M6 6h4v4H6z",
  down: "m4 6 4 4 4-4",
  cross: "m4 4 8 8m0-8-8 8",
  plus: "M8 3v10M3 8h10",
  save: "M8 2v8m0 0L5 7m3 3 3-3M3 13h10",
  play: "M5 3v10l8-5z",
  pause: "M5 3v10m6-10v10",
  left: "m10 3-5 5 5 5",
  right: "m6 3 5 5-5 5",
} as const;

export const Icon = ({ name }: { readonly name: keyof typeof ICONS }) => (
  <svg className="sv-icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path d={ICONS[name]} /></svg>
);
