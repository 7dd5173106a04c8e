/**
 * The heat map: layers of an image, coloured by the graphics card.
 *
 * h5web gives the canvas; the material is our own, because pictures must equal those of the server: its functions from
 * values to brightness, its means over areas where an image is reduced, its colour maps.
 */

import { VisCanvas, VisMesh } from "@h5web/lib";
import { useThree } from "@react-three/fiber";
import { memo, useEffect, useLayoutEffect, useMemo } from "react";
import {
  DataTexture, FloatType, GLSL3, NearestFilter, RedFormat, RGBAFormat, ShaderMaterial, UnsignedByteType, Vector2,
  Vector4, type Texture,
} from "three";

import { formatColourMap, getColours, type ColourMap } from "../colours/colour_maps";
import { LOG_STEEPNESS, SCALINGS, type Range, type Scaling } from "../colours/scale";
import type { Layer } from "../values/layers";
import type { Frame } from "../values/orientation";
import { MISSING } from "../values/reduce";
import type { Area } from "../values/spans";

export interface HeatMapProps {
  readonly frame: Frame;
  readonly window: Area;
  readonly layers: readonly Layer[];
  readonly range: Range;
  readonly scaling: Scaling;
  readonly colourMap: ColourMap;
  /** Called when the graphics card has lost what it knew. */
  readonly onLost: () => void;
}

const VERTEX = /* glsl */ `
out vec2 place;
void main() {
  place = uv;
  gl_Position = vec4(position.xy * 2.0 / span, 0.0, 1.0);
}`.replace("void main", "uniform vec2 span;\nvoid main");

const FRAGMENT = /* glsl */ `
precision highp float;
precision highp sampler2D;
in vec2 place;
out vec4 colour;
uniform sampler2D values;
uniform sampler2D colours;
uniform vec2 texels;   // columns and rows of the texture
uniform vec2 origin;   // stored column and row of its first pixel
uniform float stride;  // stored pixels per texel
uniform vec4 window;   // left, top, width and height of what is visible, in pixels of the display
uniform vec2 display;  // width and height of the whole image on the display
uniform vec2 canvas;   // of the screen
uniform vec3 turned;   // swapped, leftwards, upwards
uniform float low;
uniform float high;
uniform int scaling;

const int TAPS = 8;

float brighten(float place) {
  float t = clamp(place, 0.0, 1.0);
  if (scaling == 1) { return sqrt(t); }
  if (scaling == 2) { return log(1.0 + t * ${LOG_STEEPNESS.toFixed(1)}) / log(1.0 + ${LOG_STEEPNESS.toFixed(1)}); }
  return t;
}

void main() {
  vec2 shown = window.xy + vec2(place.x, 1.0 - place.y) * window.zw;
  if (turned.y > 0.5) { shown.x = display.x - shown.x; }
  if (turned.z > 0.5) { shown.y = display.y - shown.y; }
  vec2 half_size = 0.5 * window.zw / canvas;
  if (turned.x > 0.5) { shown = shown.yx; half_size = half_size.yx; }
  vec2 at = (shown - origin) / stride;
  vec2 reach = half_size / stride;
  if (any(lessThan(at, vec2(0.0))) || any(greaterThanEqual(at, texels))) { discard; }
  float sum = 0.0;
  float weight = 0.0;
  if (max(reach.x, reach.y) <= 0.5) {
    sum = texelFetch(values, ivec2(at), 0).r;
    weight = sum < ${(MISSING * 0.99).toExponential(3)} ? 0.0 : 1.0;
  } else {
    vec2 first = max(at - reach, vec2(0.0));
    vec2 last = min(at + reach, texels);
    ivec2 start = ivec2(floor(first));
    for (int j = 0; j < TAPS; j++) {
      float y = float(start.y + j);
      float tall = min(y + 1.0, last.y) - max(y, first.y);
      if (tall <= 0.0) { break; }
      for (int i = 0; i < TAPS; i++) {
        float x = float(start.x + i);
        float wide = min(x + 1.0, last.x) - max(x, first.x);
        if (wide <= 0.0) { break; }
        float value = texelFetch(values, ivec2(start.x + i, start.y + j), 0).r;
        if (value > ${(MISSING * 0.99).toExponential(3)}) {
          sum += value * wide * tall;
          weight += wide * tall;
        }
      }
    }
  }
  if (weight <= 0.0) { discard; }
  float bright = brighten((sum / weight - low) / (high - low));
  colour = vec4(texelFetch(colours, ivec2(int(floor(bright * 255.0 + 0.5)), 0), 0).rgb, 1.0);
}`;

const UNIT_AXIS = { visDomain: [0, 1] as [number, number], showGrid: false };

/** Draw layers of an image, coarse ones first, into the space that its parent gives. */
const HeatMap = memo(function HeatMap({ layers, ...shared }: HeatMapProps) {
  return (
    <VisCanvas abscissaConfig={UNIT_AXIS} ordinateConfig={UNIT_AXIS} showAxes={false}>
      <LossListener onLost={shared.onLost} />
      {layers.map((layer, index) => (
        <LayerMesh key={layer.key} layer={layer} order={index} {...shared} />
      ))}
    </VisCanvas>
  );
});

export default HeatMap;

function LossListener({ onLost }: { readonly onLost: () => void }) {
  const canvas = useThree((state) => state.gl.domElement);
  useEffect(() => {
    canvas.addEventListener("webglcontextlost", onLost);
    return () => canvas.removeEventListener("webglcontextlost", onLost);
  }, [canvas, onLost]);
  return null;
}

function LayerMesh({
  layer, order, frame, window, range, scaling, colourMap,
}: Omit<HeatMapProps, "layers" | "onLost"> & { readonly layer: Layer; readonly order: number }) {
  const invalidate = useThree((state) => state.invalidate);
  const { width, height } = useThree((state) => state.size);
  const dpr = useThree((state) => state.viewport.dpr);
  const { horizontal, vertical } = frame.areaToDisplay(window);
  const [wide, tall] = [horizontal[1] - horizontal[0], vertical[1] - vertical[0]];
  const ratio = Math.max(wide / (width * dpr), tall / (height * dpr));
  const { data, rows, columns, power } = layer.levelFor(ratio);

  const values = useTexture(
    () => new DataTexture(data, columns, rows, RedFormat, FloatType),
    [data, columns, rows],
  );
  const mapKey = formatColourMap(colourMap);
  const colours = useTexture(() => {
    const rgb = getColours(colourMap);
    const rgba = Uint8Array.from({ length: 1024 }, (_, index) =>
      index % 4 === 3 ? 255 : (rgb[Math.floor(index / 4) * 3 + (index % 4)] ?? 0));
    return new DataTexture(rgba, 256, 1, RGBAFormat, UnsignedByteType);
     
  }, [mapKey]);

  const material = useMemo(() => new ShaderMaterial({
    glslVersion: GLSL3,
    vertexShader: VERTEX,
    fragmentShader: FRAGMENT,
    depthTest: false,
    depthWrite: false,
    uniforms: {
      values: { value: null }, colours: { value: null }, texels: { value: new Vector2() }, origin: { value: new Vector2() },
      stride: { value: 1 }, window: { value: new Vector4() }, display: { value: new Vector2() }, canvas: { value: new Vector2() },
      turned: { value: [0, 0, 0] }, low: { value: 0 }, high: { value: 1 }, scaling: { value: 0 }, span: { value: new Vector2(1, 1) },
    },
  }), []);
  useEffect(() => () => material.dispose(), [material]);

  useLayoutEffect(() => {
    const { uniforms } = material;
    const set = (name: string, value: unknown) => {
      const uniform = uniforms[name];
      if (uniform) {
        uniform.value = value;
      }
    };
    set("values", values);
    set("colours", colours);
    set("texels", new Vector2(columns, rows));
    set("origin", new Vector2(layer.column, layer.row));
    set("stride", layer.step * 2 ** power);
    set("window", new Vector4(horizontal[0], vertical[0], wide, tall));
    set("display", new Vector2(frame.width, frame.height));
    set("canvas", new Vector2(width * dpr, height * dpr));
    set("turned", [frame.orientation.isSwapped, frame.orientation.isLeftwards, frame.orientation.isUpwards].map(Number));
    set("low", range.low);
    set("high", range.high);
    set("scaling", SCALINGS.indexOf(scaling));
    set("span", new Vector2(width, height));
    invalidate();
  });

  return (
    <VisMesh renderOrder={order} frustumCulled={false}>
      <primitive object={material} attach="material" />
    </VisMesh>
  );
}

function useTexture(create: () => DataTexture, dependencies: readonly unknown[]): Texture {
  // eslint-disable-next-line react-hooks/exhaustive-deps -- the caller lists them
  const texture = useMemo(create, dependencies);
  useLayoutEffect(() => {
    texture.magFilter = NearestFilter;
    texture.minFilter = NearestFilter;
    texture.generateMipmaps = false;
    texture.needsUpdate = true;
    return () => texture.dispose();
  }, [texture]);
  return texture;
}
