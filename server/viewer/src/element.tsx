/**
 * `<shotdap-viewer>`: shows an image in place of the picture that the server has put into it.
 *
 * Attributes: `data-path`, the public path of the image; `data-src`, the URL of its document in the REST API, by default
 * the one of this path, below `data-root` if the application is mounted there;
 * `data-variable` and `data-steps` (`median_filter-size-5~…`), what the server's picture shows; `data-region-panel`, a
 * selector of where the statistics of regions go; `data-choices-panel`, one of where variables and steps go. To compare
 * two images: `data-second-src`, `data-second-variable`, `data-names` (both names as JSON), `data-show`. Event: `shotdap-view`, with what is shown. See docs/viewer.md.
 */

import { createRoot, type Root } from "react-dom/client";

import { hasWebGl } from "./render/webgl";
import type { PairProps } from "./state/compared";
import { WAYS } from "./values/pair";
import { Viewer } from "./viewer";
import sheetUrl from "./viewer.css?url";

class ShotdapViewer extends HTMLElement {
  #root: Root | null = null;

  connectedCallback(): void {
    const path = this.dataset["path"] ?? "";
    const encoded = path.split("/").map(encodeURIComponent).join("/");
    const src = this.dataset["src"] ?? (path && `${this.dataset["root"] ?? ""}/api/v1/images/${encoded}`);
    const pair = this.#readPair();
    if (this.#root || !src || (pair && !hasWebGl())) { // without WebGL, the server's own comparison stays
      return;
    }
    const own = document.createElement("div");
    own.className = "sv-root";
    own.hidden = true;
    const fallback = [...this.childNodes];
    this.append(own);
    this.#root = createRoot(own);
    const find = (selector: string | undefined) => (selector ? document.querySelector(selector) : null);
    const [regionPanel, choicesPanel] = [find(this.dataset["regionPanel"]), find(this.dataset["choicesPanel"])];
    void loadSheet().then(() => {
      own.hidden = false;
      own.classList.add("sv-waiting");
      this.#root?.render(
        <Viewer
          host={this}
          src={new URL(src, document.baseURI).href}
          path={path}
          variable={this.dataset["variable"] ?? ""}
          steps={this.dataset["steps"] ?? ""}
          regionPanel={regionPanel}
          choicesPanel={choicesPanel}
          pair={pair}
          onReady={() => {
            fallback.forEach((node) => node.remove());
            for (const panel of [choicesPanel, regionPanel]) {
              [...(panel?.children ?? [])].filter((each) => !each.matches(".sv-viewer, .sv-regions")).forEach((each) => each.remove());
            }
            own.classList.remove("sv-waiting");
            this.dataset["ready"] = "";
          }}
        />,
      );
    });
  }

  #readPair(): PairProps | null {
    const { secondSrc: src, secondVariable: variable = "", names = "[]", show } = this.dataset;
    const [first = "", second = ""] = JSON.parse(names) as string[];
    const way = WAYS.find((each) => each === show) ?? "side";
    return src ? { src: new URL(src, document.baseURI).href, variable, names: [first, second], way } : null;
  }

  disconnectedCallback(): void {
    this.#root?.unmount();
    this.#root = null;
  }
}

/** Load the style sheet that belongs to this script; without it, the viewer is not to be seen. */
function loadSheet(): Promise<void> {
  const href = new URL(sheetUrl, import.meta.url).href;
  const known = [...document.querySelectorAll<HTMLLinkElement>("link[rel=stylesheet]")].find((link) => link.href === href);
  if (known?.sheet) {
    return Promise.resolve();
  }
  return new Promise((resolve, reject) => {
    const link = known ?? Object.assign(document.createElement("link"), { rel: "stylesheet", href });
    link.addEventListener("load", () => resolve(), { once: true });
    link.addEventListener("error", () => reject(new Error(`${href} cannot be loaded.`)), { once: true });
    if (!known) {
      document.head.append(link);
    }
  });
}

customElements.define("shotdap-viewer", ShotdapViewer);
