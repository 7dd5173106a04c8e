/**
 * The part of `ndarray` that h5web calls while it draws, without `new Function`, which a strict CSP forbids.
 *
 * h5web imports ndarray in modules that the viewer does not use; only the name must exist.
 */

export default function ndarray<T>(data: T, shape: readonly number[] = []) {
  return { data, shape, dtype: "generic", size: shape.reduce((size, each) => size * each, 1) };
}
