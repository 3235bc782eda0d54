import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// Served by the metrics process at /; assets bear a hash, so that browsers may keep them for ever.
export default defineConfig({
  plugins: [react()],
  base: "/",
  build: {
    outDir: "../src/llm_metrics_proxy/dashboard/site",
    emptyOutDir: true,
    target: "es2022",
    sourcemap: false,
    assetsInlineLimit: 0, // the Content-Security-Policy allows no data: scripts or styles
    modulePreload: { polyfill: false }, // it would be an inline script
  },
  server: { proxy: { "/api": "http://127.0.0.1:8002", "/health": "http://127.0.0.1:8002" } },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
