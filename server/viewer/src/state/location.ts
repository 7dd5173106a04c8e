/** The page's address ↔ the view. On `/images/PATH`, a variable with steps is the path of a variant, as in DAP's URLs. */

import { createView, formatQuery, formatView, parseView, type View, type WindowNames } from "./view";

const MARK = "~";
const SETTLE_MS = 250; // after the last change, so that a drag is one entry

/** The parts of an address that belong to the view. */
export interface PageAddress {
  /** Path of the image's page, without a variant; null on a page with another address. */
  readonly imagePath: string | null;
  readonly variable: string | null;
  readonly steps: readonly string[];
}

/** Read the variant from the path of a page. */
export function parseAddress(pathname: string, path: string): PageAddress {
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  const end = ["/images/" + path, "/images/" + encoded].map((each) => [pathname.indexOf(each), each.length] as const)
    .find(([start]) => start >= 0);
  if (!end) {
    return { imagePath: null, variable: null, steps: [] };
  }
  const imagePath = pathname.slice(0, end[0] + end[1]);
  const segment = pathname.slice(imagePath.length).replace(/^\//, "");
  const parts = segment.startsWith(MARK) ? segment.slice(1).split(MARK).map(decodeURIComponent) : [];
  return { imagePath, variable: parts[0] ?? null, steps: parts.slice(1) };
}

/** Write the address of a view: a path and a query. */
export function formatAddress(
  view: View, initial: View, address: PageAddress, names: WindowNames | null, search: string,
): string {
  const query = formatView(view, names, new URLSearchParams(search));
  const isVariant = view.steps.length > 0;
  const isOther = view.variable !== initial.variable;
  if (address.imagePath === null ? isVariant || isOther : isOther && !isVariant) {
    const own = new URLSearchParams([["variable", view.variable], ...view.steps.map((step) => ["transform", step])]);
    query.forEach((value, name) => own.append(name, value));
    return `${address.imagePath ?? ""}?${formatQuery(own)}`;
  }
  const text = formatQuery(query);
  const variant = isVariant ? `/${MARK}${[view.variable, ...view.steps].join(MARK)}` : "";
  const base = address.imagePath === null ? "" : `${address.imagePath}${variant}`;
  return `${base}${text || !base ? `?${text}` : ""}`;
}

/** Keeps the page's address equal to the view: decisions are entries of the history, the rest replaces the last. */
export class AddressKeeper {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #written: View | null = null;

  /**
   * @param path public path of the image
   * @param initial what an address without a variable means, and what is therefore left out
   * @param start where to begin on a page whose address does not name the image
   */
  constructor(readonly path: string, readonly initial: View, readonly start: View) {}

  /** Read the view from the page's address. */
  read(dimensions: readonly string[]): View {
    const address = parseAddress(location.pathname, this.path);
    const first = address.imagePath === null ? this.start : this.initial;
    const base = { ...first, ...(address.variable ? { variable: address.variable, steps: address.steps } : {}) };
    const view = parseView(new URLSearchParams(location.search), base, dimensions);
    this.#written = view;
    return view;
  }

  /** Write a view into the page's address, at once for another variable or step, else when it has settled. */
  write(view: View, names: WindowNames | null): void {
    clearTimeout(this.#timer);
    const previous = this.#written;
    const isDecision = previous !== null
      && (previous.variable !== view.variable || String(previous.steps) !== String(view.steps));
    const save = () => {
      const address = parseAddress(location.pathname, this.path);
      const target = formatAddress(view, this.initial, address, names, location.search);
      this.#written = view;
      if (new URL(target, location.href).href !== location.href) {
        history[isDecision ? "pushState" : "replaceState"](history.state, "", target);
      }
    };
    if (isDecision) {
      save();
    } else {
      this.#timer = setTimeout(save, SETTLE_MS);
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

export const createInitialView = (variable: string, steps: string): View =>
  createView(variable, steps.split(MARK).filter(Boolean));
