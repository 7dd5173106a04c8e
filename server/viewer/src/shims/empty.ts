/** `ndarray-ops` compiles its functions by `new Function`; the viewer calls none of them. */

const nothing = {};
export default nothing;
export const assign = undefined;
