/** The tools above the picture. */

import { COLOUR_MAPS, colourAt, type ColourMap } from "../colours/colour_maps";
import { SCALINGS, type Scaling } from "../colours/scale";
import type { Scene, Tool } from "../state/scene";
import { scaleWindow, toArea, isWhole } from "../state/window";
import { formatCount } from "../text/numbers";
import { sizeOf } from "../values/spans";
import { ColourBar } from "./colour_bar";
import { Icon, Menu, Segments } from "./controls";
import type { ReactNode } from "react";

const ZOOM_STEP = 1.5;
const SCALE_LABELS: Readonly<Record<Scaling, string>> = { linear: "linear", sqrt: "√", log: "log" };
const SCALE_TITLES: Readonly<Record<Scaling, string>> = { linear: "Linear", sqrt: "Square root", log: "Logarithmic" };
const NARROW_BAR_HEIGHT = 260;

/** Zoom in or out about the middle of what is visible, or about the cursor. */
export function zoomBy(scene: Scene, factor: number): void {
  const { frame, window, update, cursor } = scene;
  const visible = frame.areaToDisplay(window);
  const pixel = cursor.pixel && frame.middleOf(cursor.pixel.row, cursor.pixel.column);
  const [x, y] = pixel
    ? [(pixel.u - visible.horizontal[0]) / sizeOf(visible.horizontal), (pixel.v - visible.vertical[0]) / sizeOf(visible.vertical)]
    : [0.5, 0.5];
  const isInside = x >= 0 && x <= 1 && y >= 0 && y <= 1;
  const share = sizeOf(visible.horizontal) / frame.width / factor;
  const area = toArea(scaleWindow(visible, frame, share, isInside ? x : 0.5, isInside ? y : 0.5), frame);
  update({ window: isWhole(area, frame) ? null : area });
}

export function Toolbar({ scene, saturated, isNarrow, isCompact, children }: {
  readonly scene: Scene;
  /** How many pixels are saturated; null if that is not known. */
  readonly saturated: number | null;
  readonly isNarrow: boolean;
  /** Whether rare tools are in the menu of colours. */
  readonly isCompact: boolean;
  readonly children?: ReactNode;
}) {
  const { tool, setTool, scaling, colourMap, update, view, window, frame, shown } = scene;
  const hasColours = shown.kind === "picture";
  const tools = [
    { value: "move", label: <><Icon name="move" /><span className="sv-word">Move</span></>, title: "Move" },
    { value: "lineout", label: <><Icon name="lineout" /><span className="sv-word">Lineout</span></>, title: "Lineout" },
    { value: "region", label: <><Icon name="region" /><span className="sv-word">Region</span></>, title: "Region" },
  ] as const;
  const setMap = (map: ColourMap) => update({ colourMap: map });
  const saturation = saturated !== null && (
    <button type="button" className="sv-button" aria-pressed={view.isSaturatedMarked} onClick={() => update({ isSaturatedMarked: !view.isSaturatedMarked })}>
      Mark saturated · {formatCount(saturated)}
    </button>
  );
  const invert = (
    <button type="button" className="sv-button" aria-pressed={colourMap.isInverted} onClick={() => setMap({ ...colourMap, isInverted: !colourMap.isInverted })}>
      Invert
    </button>
  );
  return (
    <div className="sv-toolbar" role="toolbar" aria-label="Tools of the picture">
      <Segments<Tool> name="Tool" choices={tools} value={tool} onChange={setTool} />
      <div className="sv-group" role="group" aria-label="Zoom">
        <button type="button" className="sv-button" aria-label="Zoom out" disabled={isWhole(window, frame)} onClick={() => zoomBy(scene, 1 / ZOOM_STEP)}>−</button>
        <button type="button" className="sv-button" aria-label="Zoom in" onClick={() => zoomBy(scene, ZOOM_STEP)}>+</button>
        <button type="button" className="sv-button" aria-label="Fit" disabled={isWhole(window, frame)} onClick={() => update({ window: null })}>
          <Icon name="fit" /><span className="sv-word">Fit</span>
        </button>
      </div>
      <span className="sv-space" />
      {hasColours && (
        <>
          <Menu
            align={isNarrow ? "left" : "right"}
            className="sv-colours"
            label={<><Swatch colourMap={colourMap} /><span className="sv-word">{colourMap.name}</span><Icon name="down" /></>}
          >
            {() => (
              <>
                {isNarrow && <ColourBar scene={scene} height={NARROW_BAR_HEIGHT} isPresetsBelow />}
                <div role="radiogroup" aria-label="Colour map">
                  {COLOUR_MAPS.map((name) => (
                    <label key={name} className="sv-option">
                      <input type="radio" name="sv-colour-map" checked={name === colourMap.name} onChange={() => setMap({ ...colourMap, name })} />
                      <Swatch colourMap={{ name, isInverted: colourMap.isInverted }} /> {name}
                    </label>
                  ))}
                </div>
                {(isCompact || isNarrow) && <div className="sv-more">{invert}{saturation}</div>}
                <label className="sv-option sv-check">
                  <input type="checkbox" checked={view.isAsStored} onChange={() => update({ isAsStored: !view.isAsStored, window: null })} />
                  As stored, not turned as the camera displays it
                </label>
              </>
            )}
          </Menu>
          <Segments<Scaling>
            name="Scale"
            choices={SCALINGS.map((each) => ({ value: each, label: SCALE_LABELS[each], title: SCALE_TITLES[each] }))}
            value={scaling}
            onChange={(each) => update({ scaling: each })}
          />
          {!isCompact && !isNarrow && <>{invert}{saturation}</>}
        </>
      )}
      {children}
    </div>
  );
}

function Swatch({ colourMap }: { readonly colourMap: ColourMap }) {
  const stops = Array.from({ length: 12 }, (_, index) => colourAt(colourMap, index / 11));
  return <span className="sv-swatch" style={{ backgroundImage: `linear-gradient(to right, ${stops.join(", ")})` }} aria-hidden="true" />;
}
