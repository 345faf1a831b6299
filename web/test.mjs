// Bundles every test of test/ and runs it with node's own runner.
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { build } from "esbuild";

rmSync("build", { recursive: true, force: true });
await build({
  entryPoints: readdirSync("test").filter((name) => name.endsWith(".test.ts")).map((name) => `test/${name}`),
  bundle: true,
  outdir: "build",
  platform: "node",
  format: "esm",
  outExtension: { ".js": ".mjs" },
});
const files = readdirSync("build").map((name) => `build/${name}`);
process.exit(spawnSync(process.execPath, ["--test", ...files], { stdio: "inherit" }).status ?? 1);
