/** Variables as segments, and the chain of steps that is applied to the chosen one. */

import { useEffect, useId, useState, type KeyboardEvent } from "react";

import type { ImageApi, ImageDocument, OptionSchema, TransformDocument, VariableDocument } from "../api";
import { checkOption, findObstacle, formatDefault, formatStep, parseStep, plainSchema, type Step } from "../state/steps";
import type { View } from "../state/view";
import { Icon, Menu } from "./controls";

const MAX_STEPS = 7; // the server takes eight, and the overview of a large image needs one
const FEW_OPTIONS = 3;
const LETTER_WIDTH = 7.4; // pixels, roughly
const SEGMENT_PADDING = 26;
const MORE_WIDTH = 110;
const STEP_WIDTH = 250;
const ADD_WIDTH = 150;

/** Variables in the order in which people look for them: data first, then what is computed. */
export function listVariables(document: ImageDocument): VariableDocument[] {
  return document.variables.filter((each) => !each.coordinate && each.dimensions.length > 0 && !/^(object|str|bytes|complex)/.test(each.dtype));
}

export function VariableRow({ document, view, width, onChoose }: {
  readonly document: ImageDocument;
  readonly view: View;
  readonly width: number;
  readonly onChoose: (variable: string) => void;
}) {
  const group = useId();
  const variables = listVariables(document);
  const chosen = variables.find(({ name }) => name === view.variable);
  const shown = chooseSegments(variables, chosen, width - ADD_WIDTH - STEP_WIDTH * view.steps.length);
  const rest = variables.filter((each) => !shown.includes(each));
  return (
    <div className="sv-segments sv-variables" role="radiogroup" aria-label="Variable">
      {shown.map((each) => (
        <label key={each.name} className="sv-segment" title={each.long_name ?? each.name}>
          <input type="radio" name={group} value={each.name} checked={each.name === view.variable} onChange={() => onChoose(each.name)} />
          <span translate="no">{each.name}{each.virtual && <i title="computed on the server">ƒ</i>}</span>
        </label>
      ))}
      {rest.length > 0 && (
        <Menu label={<>{rest.length} more <Icon name="down" /></>} className="sv-rest">
          {(close) => (
            <ul className="sv-list">
              {rest.map((each) => (
                <li key={each.name}>
                  <button type="button" onClick={() => { onChoose(each.name); close(); }}>
                    <span translate="no">{each.name}{each.virtual && <i>ƒ</i>}</span>
                    <small>{each.dimensions.map(({ size }) => size).join(" × ")}{each.long_name ? ` · ${each.long_name}` : ""}</small>
                  </button>
                </li>
              ))}
            </ul>
          )}
        </Menu>
      )}
    </div>
  );
}

/** The variables that fit beside one another: the first ones, and always the chosen one. */
function chooseSegments(variables: readonly VariableDocument[], chosen: VariableDocument | undefined, width: number): VariableDocument[] {
  const measure = ({ name, virtual }: VariableDocument) => (name.length + (virtual ? 2 : 0)) * LETTER_WIDTH + SEGMENT_PADDING;
  let room = width - MORE_WIDTH - (chosen ? measure(chosen) : 0);
  const fitting = new Set(chosen ? [chosen] : variables.slice(0, 1));
  for (const each of variables) {
    if (each !== chosen) {
      room -= measure(each);
      if (room < 0) {
        break;
      }
      fitting.add(each);
    }
  }
  return variables.filter((each) => fitting.has(each));
}

/** The steps of a view, as chips; a change applies at once. */
export function Steps({ api, document, steps, shown, error, onChange }: {
  readonly api: ImageApi;
  readonly document: ImageDocument;
  readonly steps: readonly string[];
  readonly shown: VariableDocument | null;
  /** Why the last chain could not be computed. */
  readonly error: string | null;
  readonly onChange: (steps: readonly string[]) => void;
}) {
  const [transforms, setTransforms] = useState<readonly TransformDocument[]>([]);
  useEffect(() => {
    const controller = new AbortController();
    api.fetchTransforms(controller.signal).then(setTransforms).catch(() => undefined);
    return () => controller.abort();
  }, [api]);
  const parsed = steps.map(parseStep);
  const replace = (index: number, step: Step | null) =>
    onChange(steps.flatMap((text, each) => (each === index ? (step ? [formatStep(step)] : []) : [text])));
  const move = (index: number, by: -1 | 1) => {
    const [one, other] = [steps[index], steps[index + by]];
    if (one !== undefined && other !== undefined) {
      onChange(steps.map((text, each) => (each === index ? other : each === index + by ? one : text)));
    }
  };
  return (
    <div className="sv-steps" role="group" aria-label="Steps">
      {steps.length > 0 && <span className="sv-then">then</span>}
      {parsed.map((step, index) => (
        <StepChip
          key={`${index} ${step.name}`}
          step={step}
          transform={transforms.find(({ name }) => name === step.name) ?? null}
          hasFailed={error !== null && (error.includes(step.name) || index === steps.length - 1)}
          onChange={(changed) => replace(index, changed)}
          onMove={(by) => move(index, by)}
        />
      ))}
      {steps.length < MAX_STEPS && (
        <Menu label={<><Icon name="plus" /> Add step</>} className="sv-add">
          {(close) => (
            <StepMenu
              transforms={transforms}
              shown={shown}
              variables={document.variables}
              onAdd={(name) => { onChange([...steps, name]); close(); }}
            />
          )}
        </Menu>
      )}
    </div>
  );
}

function StepChip({ step, transform, hasFailed, onChange, onMove }: {
  readonly step: Step;
  readonly transform: TransformDocument | null;
  readonly hasFailed: boolean;
  readonly onChange: (step: Step | null) => void;
  readonly onMove: (by: -1 | 1) => void;
}) {
  const title = step.name.replaceAll("_", " ");
  const options = transform?.options ?? [];
  const fields = options.map(({ name, schema }) => (
    <OptionField
      key={name}
      name={name}
      schema={schema}
      text={step.options[name] ?? ""}
      onChange={(text) => {
        const isDefault = text === "" || text === formatDefault(schema.default);
        const kept = Object.entries(step.options).filter(([each]) => each !== name);
        onChange({ ...step, options: Object.fromEntries(isDefault ? kept : [...kept, [name, text]]) });
      }}
    />
  ));
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.altKey && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
      event.preventDefault();
      onMove(event.key === "ArrowLeft" ? -1 : 1);
    }
  };
  return (
    <div className={`sv-step ${hasFailed ? "sv-failed" : ""}`} role="group" aria-label={title} title={transform?.summary} onKeyDown={onKeyDown}>
      <b>{title}</b>
      {fields.length > 0 && fields.length <= FEW_OPTIONS && fields}
      {fields.length > FEW_OPTIONS && (
        <Menu label={<>options <Icon name="down" /></>}>{() => <div className="sv-fields">{fields}</div>}</Menu>
      )}
      <button type="button" className="sv-remove" aria-label={`Remove ${title}`} onClick={() => onChange(null)}><Icon name="cross" /></button>
    </div>
  );
}

function OptionField({ name, schema, text, onChange }: {
  readonly name: string;
  readonly schema: OptionSchema;
  readonly text: string;
  readonly onChange: (text: string) => void;
}) {
  const plain = plainSchema(schema);
  const initial = formatDefault(schema.default);
  const [typed, setTyped] = useState<string | null>(null);
  const [mistake, setMistake] = useState<string | null>(null);
  const title = name.replaceAll("_", " ");
  const id = useId();
  const commit = () => {
    const wanted = (typed ?? "").trim().replaceAll("−", "-").replaceAll(/[\s,]+/g, "_");
    const wrong = checkOption(title, schema, wanted);
    setMistake(wrong);
    if (typed !== null && !wrong) {
      setTyped(null);
      onChange(wanted);
    }
  };
  if (plain.type === "boolean") {
    const isOn = (text || initial) === "true";
    return (
      <label className="sv-field">
        <input type="checkbox" checked={isOn} onChange={() => onChange(String(!isOn))} /> {title}
      </label>
    );
  }
  if (plain.enum) {
    return (
      <label className="sv-field">
        {title} <select value={text || initial} onChange={(event) => onChange(event.target.value)}>
          {plain.enum.map((each) => <option key={each} value={each}>{each}</option>)}
        </select>
      </label>
    );
  }
  const shown = typed ?? (text || initial).replaceAll("_", " ");
  return (
    <label className="sv-field">
      {title} <input
        className="sv-option-number"
        value={shown}
        size={Math.min(16, Math.max(2, shown.length))}
        inputMode={plain.type === "array" ? "text" : "decimal"}
        aria-invalid={mistake !== null}
        aria-describedby={mistake ? id : undefined}
        onChange={(event) => setTyped(event.target.value)}
        onBlur={commit}
        onKeyDown={(event) => {
          const direction = { ArrowUp: 1, ArrowDown: -1 }[event.key];
          if (event.key === "Enter") {
            commit();
          } else if (direction && plain.type === "integer" && !event.altKey) {
            event.preventDefault();
            const least = plain.minimum ?? -Infinity;
            const step = name === "size" && initial !== "" && Number(initial) % 2 === 1 ? 2 : 1; // neighbourhoods are odd
            const next = Math.min(plain.maximum ?? Infinity, Math.max(least, Number(text || initial) + direction * step));
            setTyped(null);
            onChange(String(next));
          }
        }}
      />
      {mistake && <span id={id} className="sv-mistake" role="alert">{mistake}</span>}
    </label>
  );
}

function StepMenu({ transforms, shown, variables, onAdd }: {
  readonly transforms: readonly TransformDocument[];
  readonly shown: VariableDocument | null;
  readonly variables: readonly VariableDocument[];
  readonly onAdd: (name: string) => void;
}) {
  const [search, setSearch] = useState("");
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const found = transforms
    .filter(({ name, summary }) => words.every((word) => `${name.replaceAll("_", " ")} ${summary}`.toLowerCase().includes(word)))
    .map((transform) => ({ transform, obstacle: findObstacle(transform, shown, variables) }))
    .sort((one, other) => Number(one.obstacle !== null) - Number(other.obstacle !== null));
  return (
    <>
      <input
        className="sv-search" type="search" autoFocus placeholder="Search steps" aria-label="Search steps"
        value={search} onChange={(event) => setSearch(event.target.value)}
        onKeyDown={(event) => {
          const best = found[0];
          if (event.key === "Enter" && best && !best.obstacle) {
            event.preventDefault(); // it would press the button that gets the focus
            onAdd(best.transform.name);
          }
        }}
      />
      <ul className="sv-list">
        {found.map(({ transform, obstacle }) => (
          <li key={transform.name}>
            <button type="button" disabled={obstacle !== null} onClick={() => onAdd(transform.name)}>
              <span>{transform.name.replaceAll("_", " ")}</span>
              <small>{obstacle ?? transform.summary}</small>
            </button>
          </li>
        ))}
        {!found.length && <li className="sv-nothing">No step has these words.</li>}
      </ul>
    </>
  );
}
