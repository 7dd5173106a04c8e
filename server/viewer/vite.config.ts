import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Write which of the files is the script that a page loads, and all that may follow; Vite's own manifest has paths. */
function writeManifest(): Plugin {
  return {
    name: "shotdap-manifest",
    generateBundle(_options, bundle) {
      const files = Object.values(bundle);
      const script = files.find((file) => file.type === "chunk" && file.isEntry)?.fileName;
      const style = files.find((file) => file.fileName.endsWith(".css"))?.fileName;
      const manifest = { script, style, files: files.map((file) => file.fileName).filter((name) => /\.(js|css)$/.test(name)).sort() };
      // A name that stays, for pages whose URLs of files have a hash already.
      this.emitFile({ type: "asset", fileName: "viewer.js", source: `import "./${script ?? ""}";\n` });
      this.emitFile({ type: "asset", fileName: "manifest.json", source: `${JSON.stringify(manifest, null, 2)}\n` });
    },
  };
}

/** Write the licences of the packages that the files hold. */
function writeLicences(): Plugin {
  return {
    name: "shotdap-licences",
    generateBundle(_options, bundle) {
      const modules = Object.values(bundle).flatMap((file) => (file.type === "chunk" ? Object.keys(file.modules) : []));
      const folders = new Set(modules.flatMap((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id.replace(/^\0/, ""))?.[0] ?? []));
      const texts = [...folders].map((folder) => {
        const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8")) as Record<string, string>;
        const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
        return `${name} ${version}, ${license}\n\n${file ? readFileSync(`${folder}/${file}`, "utf8").replaceAll("\r\n", "\n").trim() : "(no text)"}\n`;
      });
      this.emitFile({ type: "asset", fileName: "licences.txt", source: texts.sort().join(`\n${"-".repeat(72)}\n\n`) });
    },
  };
}

export default defineConfig({
  plugins: [writeManifest(), writeLicences()],
  base: "./",
  resolve: {
    alias: [
      // Both build functions from text, which the pages' Content-Security-Policy forbids.
      { find: /^ndarray$/, replacement: here("src/shims/ndarray.ts") },
      { find: /^ndarray-ops$/, replacement: here("src/shims/empty.ts") },
    ],
  },
  esbuild: { legalComments: "none" },
  build: {
    outDir: here("../static/viewer"),
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 2000,
    rollupOptions: {
      input: { viewer: here("src/element.tsx") },
      output: {
        entryFileNames: "[name]-[hash].js",
        chunkFileNames: "[name]-[hash].js",
        assetFileNames: "[name]-[hash][extname]",
      },
    },
  },
  test: { environment: "jsdom", include: ["tests/**/*.test.{ts,tsx}"] },
} as Parameters<typeof defineConfig>[0]);
