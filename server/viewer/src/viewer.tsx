/** The viewer: what is on the screen, from the address of the page to the picture and back. */

import { Suspense, lazy, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type ReactNode } from "react";
import { createPortal } from "react-dom";

import { ImageApi, type ImageDocument } from "./api";
import { PictureAxis } from "./components/axes";
import { ColourBar } from "./components/colour_bar";
import { Icon, Menu, Segments } from "./components/controls";
import { Curves, isStack } from "./components/curves";
import { Frames } from "./components/frames";
import { LineoutPlot, LineoutReadings, useLineouts, type KeptCurve } from "./components/lineouts";
import { Plot } from "./components/plot";
import { ReadOut, useThrottled } from "./components/read_out";
import { RegionPanel } from "./components/regions";
import { SaturationMarks, useSaturation } from "./components/saturation";
import { Toolbar } from "./components/toolbar";
import { Steps, VariableRow, listVariables } from "./components/variables";
import { buildFigure, saveFile, toPng, toSvg } from "./export/figure";
import { useKeyboard } from "./keyboard";
import ServerPicture from "./render/server_picture";
import { hasWebGl } from "./render/webgl";
import { Cursor } from "./state/cursor";
import { AddressKeeper, createInitialView, parseAddress } from "./state/location";
import { choosePairDisplay, resolvePairRange, useCompared, usePair, type Pair, type PairProps } from "./state/compared";
import type { Scene, Tool } from "./state/scene";
import { explainError, useShown, type Shown } from "./state/shown";
import { useTiles } from "./state/tiles";
import type { View, WindowNames } from "./state/view";
import { fitWindow } from "./state/window";
import { formatInput } from "./text/numbers";
import { AS_STORED, Frame, parseOrientation } from "./values/orientation";
import { isComputed, matchPlaces, placeCurve } from "./values/pair";
import { bandAround, cutTo, sizeOf, type Area } from "./values/spans";

const HeatMap = lazy(() => import("./render/heat_map"));

const LINEOUT_SHARE = 70; // the width of a lineout's band is this part of the image
const NARROW = 700; // pixels: beside the picture is no room
const COMPACT = 930;
const SIDES = { left: 62, right: 122, range: 214, gap: 16 };
const MIN_SIDE = 320;
const MIN_STRIP = 96;
const LINEOUT_HEIGHT = 104;
const OTHER_HEIGHT_REM = 22;
const ZOOMED_HEIGHT_REM = 16;

export interface ViewerProps {
  readonly host: HTMLElement;
  readonly src: string;
  readonly path: string;
  readonly variable: string;
  readonly steps: string;
  /** Where the statistics of regions are shown; null for below the picture. */
  readonly regionPanel: Element | null;
  /** Where variables and steps are shown; null for above the picture. */
  readonly choicesPanel: Element | null;
  /** The second image, where two are compared. */
  readonly pair: PairProps | null;
  /** Called when there is something to see instead of what the server drew. */
  readonly onReady: () => void;
}

export function Viewer(props: ViewerProps) {
  const { host, src, path, variable, steps, regionPanel, choicesPanel, pair: pairProps, onReady } = props;
  const api = useMemo(() => new ImageApi(src), [src]);
  const [document, setDocument] = useState<ImageDocument | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [view, setView] = useState<View | null>(null);
  const keeper = useRef<AddressKeeper | null>(null);

  useEffect(() => {
    const controller = new AbortController();
    const load = async () => {
      const loaded = await api.fetchDocument(null, controller.signal);
      const usual = chooseVariable(loaded);
      const address = parseAddress(location.pathname, path || loaded.path);
      // The page of an image without a variant shows what an address without a variant means.
      const plain = address.imagePath !== null && address.variable === null && variable ? variable : usual;
      const own = new AddressKeeper(path || loaded.path, createInitialView(plain, ""), createInitialView(variable || usual, steps));
      keeper.current = own;
      const begin = own.read([]);
      const dimensions = begin.steps.length
        ? (await api.fetchDocument(begin, controller.signal).catch(() => loaded)).variables.find(({ name }) => name === "result")?.dimensions
        : undefined;
      const names = (dimensions ?? loaded.variables.find(({ name }) => name === begin.variable)?.dimensions ?? []).map(({ name }) => name);
      setDocument(loaded);
      setView(own.read(names));
    };
    load().catch((error: unknown) => !controller.signal.aborted && setFailure(explainError(error)));
    return () => {
      controller.abort();
      keeper.current?.stop();
    };
  }, [api, path, variable, steps]);

  const loading = useShown(api, document, view);
  const { shown } = loading;
  const pair = usePair(pairProps, view, variable);
  const names: WindowNames | null = useMemo(
    () => (shown?.kind === "picture" ? { rows: shown.rowsName, columns: shown.columnsName } : null),
    [shown?.kind, shown?.rowsName, shown?.columnsName],
  );

  const update = useCallback((change: Partial<View>) => {
    setView((old) => (old ? { ...old, ...change } : old));
  }, []);

  // Another unit makes a range that somebody has set meaningless.
  const unit = shown?.variable.units ?? null;
  const lastUnit = useRef(unit);
  useEffect(() => {
    if (shown && lastUnit.current !== null && lastUnit.current !== unit) {
      update({ low: null, high: null });
    }
    if (shown) {
      lastUnit.current = unit;
    }
  }, [shown, unit, update]);

  useEffect(() => {
    if (view && keeper.current) {
      keeper.current.write(view, names);
    }
  }, [view, names]);

  useEffect(() => {
    const onPop = () => {
      const dimensions = shown?.variable.dimensions.map(({ name }) => name) ?? [];
      if (keeper.current) {
        setView(keeper.current.read(dimensions));
      }
    };
    addEventListener("popstate", onPop);
    return () => removeEventListener("popstate", onPop);
  }, [shown]);

  const isReady = failure !== null || loading.error !== null || (shown !== null && (shown.layers.length > 0 || shown.full !== null || shown.kind === "colours"));
  useLayoutEffect(() => {
    if (isReady) {
      onReady();
    }
  }, [isReady, onReady]);

  if (failure) {
    return <p className="sv-plate-note sv-alone" role="alert">{failure}</p>;
  }
  if (!document || !view) {
    return null;
  }
  return (
    <Stage
      host={host} api={api} document={document} view={view} shown={shown} update={update} regionPanel={regionPanel} choicesPanel={choicesPanel}
      isOvertaken={loading.isOvertaken} isComplete={loading.isComplete} error={loading.error ?? pair?.error ?? null} pair={pair}
    />
  );
}

/** The variable that pictures of the server show. */
function chooseVariable(document: ImageDocument): string {
  const variables = listVariables(document);
  const images = variables.filter(({ dimensions }) => dimensions.length > 1);
  const preferred = ["background_subtracted", "image"].flatMap((name) => images.find((each) => each.name === name) ?? []);
  return (preferred[0] ?? images[0] ?? variables[0])?.name ?? "";
}

interface StageProps {
  readonly host: HTMLElement;
  readonly api: ImageApi;
  readonly document: ImageDocument;
  readonly view: View;
  readonly shown: Shown | null;
  readonly update: (change: Partial<View>) => void;
  readonly regionPanel: Element | null;
  readonly choicesPanel: Element | null;
  readonly isOvertaken: boolean;
  readonly isComplete: boolean;
  readonly error: string | null;
  readonly pair: Pair | null;
}

function Stage(props: StageProps) {
  const { host, api, document, view, shown, update, regionPanel, choicesPanel, isOvertaken, isComplete, error, pair } = props;
  const root = useRef<HTMLDivElement>(null);
  const width = useWidth(root);
  const chooseVariableOf = useCallback((variable: string) => {
    if (variable !== view.variable) {
      const size = (name: string) => JSON.stringify(document.variables.find((each) => each.name === name)?.dimensions);
      const isAlike = size(variable) === size(view.variable);
      update({
        variable, steps: [], low: null, high: null, colourMap: null, scaling: null, shape: null,
        ...(isAlike ? {} : { window: null, rows: null, columns: null, regions: [], indices: {} }),
      });
    }
  }, [document, update, view.variable]);
  const choices = (
    <div className="sv-choices">
      <VariableRow document={document} view={view} width={choicesPanel?.clientWidth ?? width} onChoose={chooseVariableOf} />
      <Steps
        api={api} document={document} steps={view.steps} shown={shown?.variable ?? null} error={error}
        onChange={(steps) => update({ steps })}
      />
      {error && shown && <p className="sv-error" role="alert">{error}</p>}
    </div>
  );
  return (
    <div ref={root} className="sv-viewer">
      {pair ? error && <p className="sv-error" role="alert">{error}</p> : choicesPanel ? createPortal(<div className="sv-viewer">{choices}</div>, choicesPanel) : choices}
      {shown ? (
        <Scenery
          {...props} shown={shown} width={width} isDimmed={error !== null} isOvertaken={isOvertaken}
          chooseVariable={chooseVariableOf} key={shown.kind === "curve" ? "curve" : "picture"} host={host} regionPanel={regionPanel}
          isComplete={isComplete}
        />
      ) : <p className="sv-plate-note sv-alone">{error ?? "Loading …"}</p>}
    </div>
  );
}

interface SceneryProps extends Omit<StageProps, "error"> {
  readonly shown: Shown;
  readonly width: number;
  readonly isDimmed: boolean;
  readonly chooseVariable: (variable: string) => void;
}

function Scenery({ host, api, document, view, shown: first, update, regionPanel, width, isDimmed, isOvertaken, isComplete, chooseVariable: choose, pair }: SceneryProps) {
  const shown = useCompared(first, pair);
  const second = pair?.shown?.kind === "picture" ? pair.shown : null;
  const [cursor] = useState(() => new Cursor());
  const [tool, setTool] = useState<Tool>("move");
  const [live, setLive] = useState<Area | null>(null);
  const [kept, setKept] = useState<KeptCurve | null>(null);
  const [isWebGl, setWebGl] = useState(hasWebGl);
  const describedBy = useStableId("sv-keys");
  const stage = useRef<HTMLDivElement>(null);

  const { attributes } = document;
  const [rotation, flip] = [attributes["display_rotation"], attributes["display_flip"]];
  const frame = useMemo(
    () => new Frame(shown.rows, shown.columns, view.isAsStored ? AS_STORED : parseOrientation(rotation, flip)),
    [shown.rows, shown.columns, rotation, flip, view.isAsStored],
  );
  const window = useMemo(() => live ?? fitWindow(view.window, frame), [live, view.window, frame]);
  const range = useMemo(
    () => resolvePairRange(view, shown, first, pair),
    // eslint-disable-next-line react-hooks/exhaustive-deps -- these parts of the view decide
    [view.low, view.high, view.percentiles, shown.distribution, first.distribution, second?.distribution],
  );
  const usual = useMemo(() => choosePairDisplay(shown, pair), [shown, pair]);
  const rows = useMemo(
    () => (view.rows ? cutTo(view.rows, frame.rows) : bandAround(first.brightest.row, frame.rows / LINEOUT_SHARE, frame.rows)),
    [view.rows, frame.rows, first.brightest.row],
  );
  const columns = useMemo(
    () => (view.columns ? cutTo(view.columns, frame.columns) : bandAround(first.brightest.column, frame.columns / LINEOUT_SHARE, frame.columns)),
    [view.columns, frame.columns, first.brightest.column],
  );
  const change = useCallback((part: Partial<View>) => {
    if ("window" in part) {
      setLive(null);
    }
    update(part);
  }, [update]);

  const isCurves = shown.kind === "curve" || (shown.kind === "picture" && (view.shape ?? (isStack(shown.rows, shown.columns) ? "curves" : "picture")) === "curves");
  const isSide = pair?.way === "side" && second !== null && !isCurves;
  const size = usePlotSize(width, frame, isCurves, isSide && width >= NARROW ? 2 : 1);
  const tiles = useTiles(api, shown, window, sizeOf(frame.areaToDisplay(window).horizontal) / (size.width * (globalThis.devicePixelRatio || 1)));
  const layers = useMemo(() => [...shown.layers, ...tiles], [shown.layers, tiles]);
  const scene: Scene = {
    api, document, shown, layers, view, update: change, cursor, frame, window, setWindow: setLive, range,
    scaling: view.scaling ?? usual.scaling, colourMap: view.colourMap ?? usual.colourMap, rows, columns, tool, setTool,
  };
  const firstScene = shown === first ? scene : { ...scene, shown: first, layers: first.layers };
  const secondFrame = useMemo(() => second && new Frame(second.rows, second.columns, frame.orientation), [second, frame.orientation]);
  const secondScene = pair && second && secondFrame
    ? { ...scene, api: pair.api, document: pair.document, shown: second, layers: second.layers, frame: secondFrame }
    : null;
  const isDifference = pair !== null && shown.variable.name === pair.way;
  const { flags, count } = useSaturation(scene);

  const middle = { row: Math.floor((rows[0] + rows[1]) / 2), column: Math.floor((columns[0] + columns[1]) / 2) };
  useEffect(() => {
    if (!cursor.pixel && shown.layers.length) {
      cursor.pin(middle);
    }
    // eslint-disable-next-line react-hooks/exhaustive-deps -- only where it begins
  }, [cursor, shown.layers.length]);

  useEffect(() => announceView(host, scene));
  useKeyboard(host, scene, listVariables(document), choose, pair);

  const title = describeImage(document, shown, view);
  const spokenRange = useThrottled(`Range ${formatInput(range.low)} to ${formatInput(range.high)} ${shown.variable.units ?? ""}`);
  const save = (kind: "png" | "svg") => {
    const canvas = stage.current?.querySelector<HTMLCanvasElement>(".sv-plot canvas") ?? null;
    const figure = buildFigure(scene, title, canvas);
    const name = `${document.path.split("/").at(-1) ?? "image"}_${shown.extraction.variable}.${kind}`;
    if (kind === "svg") {
      saveFile(name, new Blob([toSvg(figure)], { type: "image/svg+xml" }));
    } else {
      void toPng(figure).then((blob) => blob && saveFile(name, blob));
    }
  };
  const isNarrow = width < NARROW;
  const isPicture = shown.kind === "picture" && !isCurves;
  const canBeBoth = shown.kind === "picture" && isStack(shown.rows, shown.columns);
  const panel = isPicture && !pair && <RegionPanel scene={scene} />; // the page that compares has a table
  const missing = shown.distribution?.missing ?? 0;
  const isAwaited = pair !== null && isComputed(pair.way) && !isDifference;
  const note = isAwaited
    ? first.isTiled || second?.isTiled ? "Too large to be computed here" : "Computing …"
    : plateNote(shown, isComplete, isOvertaken);
  const heat = (shot: Scene) => (
    <Suspense fallback={null}>
      <HeatMap
        frame={shot.frame} window={window} layers={shot.layers} range={range} scaling={scene.scaling}
        colourMap={scene.colourMap} onLost={() => setWebGl(false)}
      />
    </Suspense>
  );
  return (
    <div ref={stage} className={`sv-card ${isNarrow ? "sv-narrow" : ""}`}>
      <Frames variable={shown.variable} view={view} isLoading={isOvertaken || !isComplete} update={change} />
      <div className="sv-head">
        {isPicture
          ? (
            <Toolbar scene={scene} saturated={count} isNarrow={isNarrow} isCompact={width < COMPACT || pair !== null}>
              {pair?.way === "blink" && <button type="button" className="sv-button" onClick={pair.toggle} disabled={!second}>Switch <kbd>B</kbd></button>}
              {!isNarrow && <SaveMenu save={save} />}
            </Toolbar>
          )
          : shown.kind === "colours" && <div className="sv-toolbar"><SaveMenu save={save} /></div>}
        {canBeBoth && (
          <Segments<"picture" | "curves">
            name="Shown as"
            choices={[{ value: "curves", label: "Curves" }, { value: "picture", label: "Picture" }]}
            value={isCurves ? "curves" : "picture"}
            onChange={(shape) => change({ shape })}
          />
        )}
      </div>
      <p id={describedBy} className="sv-aloud">
        {isCurves
          ? "Left and right arrows move the cursor, up and down choose a curve."
          : "Arrows move the cursor by a pixel, with Shift by ten. Plus and minus zoom, F fits. H and V draw lineouts through the cursor, R a region. S changes the scale, M the colour map."}
      </p>
      {isCurves ? <Curves shown={shown} width={size.width} height={size.height} describedBy={describedBy} /> : (
        <div
          className="sv-stage"
          style={{ gridTemplateColumns: isNarrow ? `${SIDES.left - 14}px ${size.width}px` : `${SIDES.left}px ${size.width}px ${isSide ? size.width + SIDES.gap : SIDES.right}px auto`, gridTemplateRows: `${size.height}px auto` }}
        >
          <PictureAxis scene={scene} side="left" length={size.height} />
          <div style={size} className={`sv-plate ${missing ? "sv-has-missing" : ""} ${isDimmed ? "sv-dimmed" : ""}`}>
            <Plot scene={scene} width={size.width} height={size.height} label={title} describedBy={describedBy}>
              <div className="sv-heat" data-layers={layers.map(({ step }) => step).join(" ")}>
                {isWebGl && isPicture
                  ? heat(scene)
                  : <ServerPicture api={api} shown={shown} frame={frame} window={window} range={isPicture ? range : null} scaling={scene.scaling} colourMap={scene.colourMap} />}
                {view.isSaturatedMarked && flags && <SaturationMarks scene={scene} flags={flags} width={size.width} height={size.height} />}
              </div>
            </Plot>
            {note && <p className="sv-corner">{note}</p>}
            {pair && <p className="sv-name">{namePicture(pair)}</p>}
          </div>
          {isSide && secondScene && (
            <div style={{ ...size, ...(isNarrow ? { gridColumn: 2 } : {}) }} className="sv-plate sv-second">
              <Plot scene={secondScene} width={size.width} height={size.height} label={describeImage(secondScene.document, secondScene.shown, view)} describedBy={describedBy}>
                <div className="sv-heat">{isWebGl && heat(secondScene)}</div>
              </Plot>
              <p className="sv-name">{pair.names[1]}</p>
            </div>
          )}
          {isPicture
            ? (
              <Beside
                displayed={scene} scene={isDifference ? scene : firstScene} second={isDifference ? null : secondScene} isSide={isSide} hasFile={!isDifference}
                size={size} isNarrow={isNarrow} kept={kept} setKept={setKept}
              />
            )
            : <div className="sv-below"><PictureAxis scene={scene} side="bottom" length={size.width} /></div>}
        </div>
      )}
      {!isWebGl && isPicture && <p className="sv-quiet">Plain picture: this browser has no WebGL.</p>}
      <p className="sv-aloud" aria-live="polite">{spokenRange}</p>
      {panel && (regionPanel ? createPortal(panel, regionPanel) : panel)}
    </div>
  );
}

/** Lineouts, colour bar and read-outs around the picture. */
function Beside({ displayed, scene, second, isSide, hasFile, size, isNarrow, kept, setKept }: {
  readonly displayed: Scene;
  /** Of which the lineouts are. */
  readonly scene: Scene;
  /** The other image that is compared, whose curves lie over those of the first one. */
  readonly second: Scene | null;
  /** Whether its picture is in the place of the lineout at the right. */
  readonly isSide: boolean;
  readonly hasFile: boolean;
  readonly size: { readonly width: number; readonly height: number };
  readonly isNarrow: boolean;
  readonly kept: KeptCurve | null;
  readonly setKept: (kept: KeptCurve | null) => void;
}) {
  const lineouts = useLineouts(scene);
  const others = useLineouts(second ?? scene);
  const isSwapped = scene.frame.orientation.isSwapped;
  const [below, right] = isSwapped ? [lineouts.columns, lineouts.rows] : [lineouts.rows, lineouts.columns];
  const along = (shot: Scene, dimension: "rows" | "columns") => shot.shown.axes[dimension === "rows" ? "columns" : "rows"];
  const keptOf = (dimension: "rows" | "columns") => {
    const { values } = others[dimension];
    if (second) {
      return values && placeCurve(values, matchPlaces(along(scene, dimension), along(second, dimension)));
    }
    return kept?.dimension === dimension ? kept.values : null;
  };
  return (
    <>
      {!isNarrow && (
        <>
          {!isSide && <LineoutPlot scene={scene} lineout={right} kept={keptOf(right.dimension)} length={size.height} thickness={SIDES.right - 4} side="right" />}
          <ColourBar scene={scene} height={size.height} />
        </>
      )}
      <div className="sv-below">
        <LineoutPlot scene={scene} lineout={below} kept={keptOf(below.dimension)} length={size.width} thickness={LINEOUT_HEIGHT} side="below" />
        <PictureAxis scene={scene} side="bottom" length={size.width} />
      </div>
      <div className="sv-numbers">
        <ReadOut scene={displayed} />
        <LineoutReadings
          scene={scene} lineout={below} isKept={kept !== null} canKeep={!second} hasFile={hasFile}
          onKeep={() => setKept(kept || !below.values ? null : { dimension: below.dimension, values: below.values })}
        />
      </div>
    </>
  );
}

function SaveMenu({ save }: { readonly save: (kind: "png" | "svg") => void }): ReactNode {
  return (
    <Menu align="right" className="sv-save" label={<><Icon name="save" /><span className="sv-aloud">Save picture</span></>}>
      {(close) => (
        <ul className="sv-list">
          {(["png", "svg"] as const).map((kind) => (
            <li key={kind}>
              <button type="button" onClick={() => { save(kind); close(); }}>
                <span>Save picture as {kind.toUpperCase()}</span>
                <small>as shown, with axes and colour bar</small>
              </button>
            </li>
          ))}
        </ul>
      )}
    </Menu>
  );
}

/** The name of what the first picture shows of two images. */
function namePicture({ way, names, isSecond }: Pair): string {
  const signs = { difference: "−", ratio: "÷" } as const;
  return way === "difference" || way === "ratio" ? `${names[0]} ${signs[way]} ${names[1]}` : names[way === "blink" && isSecond ? 1 : 0];
}

function plateNote(shown: Shown, isComplete: boolean, isOvertaken: boolean): string | null {
  if (isOvertaken) {
    return "Computing …";
  }
  const overview = shown.layers[0];
  if (!isComplete && overview && overview.step > 1) {
    return `overview 1 : ${overview.step} · ${shown.rows} × ${shown.columns} is coming`;
  }
  const { distribution } = shown;
  if (!distribution) {
    return null;
  }
  if (!distribution.sample.length) {
    return "No value is known";
  }
  return distribution.minimum === distribution.maximum ? `All values are ${formatInput(distribution.minimum)} ${shown.variable.units ?? ""}` : null;
}

/** What is in the picture, in words made from data. */
function describeImage(document: ImageDocument, shown: Shown, view: View): string {
  const { diagnostic, shot } = document.facts;
  const what = [view.variable.replaceAll("_", " "), ...view.steps.map((step) => step.replaceAll(/[_-]/g, " "))].join(", ");
  const name = typeof diagnostic === "string" && diagnostic ? diagnostic : (document.path.split("/").at(-1) ?? "");
  const number = typeof shot === "number" || typeof shot === "string" ? `, shot ${shot}` : "";
  return `${name}${number}, ${what}, ${shown.rows} × ${shown.columns} ${shown.variable.units ?? ""}`.trim();
}

/** Tell the page what is shown, so that its recipes and links are of that. */
function announceView(host: HTMLElement, scene: Scene): void {
  const { view, range, scaling, colourMap, rows, columns, window, shown, api, cursor } = scene;
  const detail = {
    variable: view.variable, steps: view.steps, slices: shown.extraction.parts ?? {}, range, scaling,
    colourMap: colourMap.isInverted ? `${colourMap.name}_r` : colourMap.name,
    dimensions: { rows: shown.rowsName, columns: shown.columnsName },
    window: view.window ? window : null, regions: view.regions, lineout: { rows, columns },
    isLineoutChosen: view.rows !== null || view.columns !== null,
    cursor: cursor.pixel, url: api.buildUrl(shown.extraction),
  };
  const text = JSON.stringify({ ...detail, cursor: null });
  if (host.dataset["view"] !== text) {
    host.dataset["view"] = text;
    host.dispatchEvent(new CustomEvent("shotdap-view", { detail, bubbles: true }));
  }
}

function useWidth(root: React.RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const element = root.current;
    if (!element) {
      return;
    }
    const measure = () => setWidth(element.clientWidth);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, [root]);
  return width || 900;
}

/** The size of the picture: as large as the page allows, in the proportions of the image. */
function usePlotSize(width: number, frame: Frame, isCurves: boolean, count: 1 | 2): { width: number; height: number } {
  const [screen, setScreen] = useState(() => [globalThis.innerHeight, readRem()] as const);
  useEffect(() => {
    const onResize = () => setScreen([globalThis.innerHeight, readRem()]);
    addEventListener("resize", onResize);
    return () => removeEventListener("resize", onResize);
  }, []);
  const [screenHeight, rem] = screen;
  const isNarrow = width < NARROW;
  const padding = isNarrow ? 0 : 28;
  const room = Math.floor(isNarrow ? width - (SIDES.left - 14) - 18 : (width - padding - SIDES.left - (count === 2 ? 0 : SIDES.right) - SIDES.range - 2 * SIDES.gap) / count);
  if (isCurves) {
    const whole = Math.floor(width - padding - SIDES.left - 8);
    return { width: whole, height: Math.max(240, Math.min(screenHeight - ZOOMED_HEIGHT_REM * rem, whole * 0.6)) };
  }
  const tallest = isNarrow ? Infinity : Math.max(MIN_SIDE, screenHeight - OTHER_HEIGHT_REM * rem);
  const scale = Math.min(room / frame.width, tallest / frame.height);
  return {
    width: Math.max(MIN_STRIP, Math.floor(frame.width * scale)),
    height: Math.max(MIN_STRIP, Math.floor(frame.height * scale)),
  };
}

const readRem = (): number => Number.parseFloat(getComputedStyle(globalThis.document.documentElement).fontSize) || 16;

let ids = 0;
function useStableId(prefix: string): string {
  const [id] = useState(() => `${prefix}-${(ids += 1)}`);
  return id;
}

