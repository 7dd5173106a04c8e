// Reads every array of a Zarr store, whole, and prints what it is: its shape, its type, and a hash of its numbers as
// they lie in memory, or its texts themselves: node read.js URL 2|3
import { createHash } from "node:crypto";
import * as zarr from "zarrita";

const [url, version] = process.argv.slice(2);
const open = { 2: zarr.open.v2, 3: zarr.open.v3 }[version];

function hashed(data) {
  const numbers = data.buffer ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Uint8Array.from(data);
  return createHash("sha256").update(numbers).digest("hex");
}

async function described(array) {
  if (array.shape.includes(0)) return { shape: array.shape, type: array.dtype }; // zarrita reads none of these
  const whole = array.shape.length ? zarr.get(array) : array.getChunk([]); // get() of a single number gives a number
  const { data, shape } = await whole;
  const values = array.is("string") || array.is("object") ? { texts: Array.from(data) } : { sha256: hashed(data) };
  return { shape, type: array.dtype, ...values };
}

const store = await zarr.withConsolidatedMetadata(new zarr.FetchStore(url), { format: `v${version}` });
const root = await open(store, { kind: "group" });
const arrays = {};
for (const { path, kind } of store.contents()) {
  if (kind === "array") {
    arrays[path.slice(1)] = await described(await open(root.resolve(path), { kind: "array" }));
  }
}
console.log(JSON.stringify({ attributes: root.attrs, arrays }));
