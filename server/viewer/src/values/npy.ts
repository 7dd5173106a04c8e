/** NumPy's file format: bytes → an array of numbers. */

export type Numbers =
  | Float32Array | Float64Array
  | Int8Array | Int16Array | Int32Array
  | Uint8Array | Uint16Array | Uint32Array;

/** An array in C order: the last dimension varies fastest. */
export interface NumberArray {
  readonly data: Numbers;
  readonly shape: readonly number[];
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]; // \x93NUMPY
const TYPES: Readonly<Record<string, new (buffer: ArrayBuffer) => Numbers>> = {
  f4: Float32Array, f8: Float64Array,
  i1: Int8Array, i2: Int16Array, i4: Int32Array,
  u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, b1: Uint8Array,
};

/** Parse a NPY file; 64-bit integers become floats, as JavaScript has no other numbers for them. */
export function parseNpy(buffer: ArrayBuffer): NumberArray {
  const text = new TextDecoder("latin1");
  const signature = new Uint8Array(buffer, 0, Math.min(6, buffer.byteLength));
  if (buffer.byteLength < 12 || MAGIC.some((byte, index) => signature[index] !== byte)) {
    throw new Error("The server sent no array.");
  }
  const view = new DataView(buffer);
  const isLong = view.getUint8(6) > 1;
  const start = isLong ? 12 : 10;
  const length = isLong ? view.getUint32(8, true) : view.getUint16(8, true);
  const header = text.decode(new Uint8Array(buffer, start, length));
  const type = /'descr': '([<>|=])(\w+)'/.exec(header);
  const shape = /'shape': \(([^)]*)\)/.exec(header)?.[1]?.split(",").filter((each) => each.trim()).map(Number);
  if (!type?.[2] || !shape || header.includes("'fortran_order': True")) {
    throw new Error(`The server sent an array that cannot be shown: ${header.trim()}`);
  }
  const itemSize = Number(type[2].slice(1));
  const body = buffer.slice(start + length);
  if (type[1] === ">" && itemSize > 1) {
    swapBytes(new Uint8Array(body), itemSize);
  }
  return { data: createNumbers(body, type[2]), shape };
}

function createNumbers(body: ArrayBuffer, type: string): Numbers {
  if (type === "i8" || type === "u8") {
    return Float64Array.from(type === "i8" ? new BigInt64Array(body) : new BigUint64Array(body), Number);
  }
  const constructor = TYPES[type];
  if (!constructor) {
    throw new Error(`Values of the type ${type} cannot be shown.`);
  }
  return new constructor(body);
}

function swapBytes(bytes: Uint8Array, itemSize: number): void {
  for (let start = 0; start + itemSize <= bytes.length; start += itemSize) {
    bytes.subarray(start, start + itemSize).reverse();
  }
}
