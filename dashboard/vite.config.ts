import { appendFileSync, copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const OUT = "../src/llm_metrics_proxy/dashboard/site";
const LICENCES = "licenses.md";
const TYPES = "api.d.ts"; // the API's types, for programs of others; the server gives them as text

/** Every file once as `.br` and `.gz`, as hard as it can be done: the server never compresses. */
function packed(): Plugin {
  return {
    name: "packed",
    apply: "build",
    closeBundle() {
      appendFileSync(join(OUT, LICENCES), `\n${readFileSync("node_modules/echarts/NOTICE", "utf8")}`); // Apache 2.0, 4 (d)
      copyFileSync("src/api/schema.d.ts", join(OUT, TYPES));
      for (const entry of readdirSync(OUT, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(js|css|html|svg|ts)$/.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const content = readFileSync(path);
        writeFileSync(`${path}.br`, brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
        writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }));
      }
    },
  };
}

/** `virtual:words/de`: the German words alone, so that a browser loads one language; `virtual:lazy/errors/de`: those of one view. */
function words(): Plugin {
  const address = /^\0virtual:(words|lazy)\/(?:(\w+)\/)?(\w+)$/;
  return {
    name: "words",
    resolveId: (id) => (address.test(`\0${id}`) ? `\0${id}` : undefined),
    load(id) {
      const [, folderName = "", part, language = ""] = address.exec(id) ?? [];
      if (language === "") return undefined;
      const folder = join(import.meta.dirname, "src/i18n", folderName);
      const names = part === undefined ? readdirSync(folder) : [`${part}.json`];
      const rows = names.flatMap((name) => {
        this.addWatchFile(join(folder, name));
        return Object.entries(JSON.parse(readFileSync(join(folder, name), "utf8")) as Record<string, Record<string, string>>);
      });
      return `export default ${JSON.stringify(Object.fromEntries(rows.map(([key, row]) => [key, row[language]])))}`;
    },
  };
}

// Served by the metrics process wherever that is reached; assets bear a hash, so that browsers may keep them for ever.
export default defineConfig({
  plugins: [react(), words(), packed()],
  base: "./", // addresses are relative to the page, or to the script that asks
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: "es2022",
    sourcemap: false,
    license: { fileName: LICENCES }, // what the licences of React, ECharts and others ask of whoever passes them on
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false }, // it would be an inline script, which the Content-Security-Policy forbids
    chunkSizeWarningLimit: 650, // ECharts; tests hold the compressed size of the first view
  },
  server: { proxy: { "/api": "http://127.0.0.1:8002", "/health": "http://127.0.0.1:8002", "/session": "http://127.0.0.1:8002" } },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
