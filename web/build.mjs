// Makes src/voxledger/page/review.html: one file, the same bytes from the same sources. `--check` only compares.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "src", "voxledger", "page");
const sha256 = (content, form) => createHash("sha256").update(content).digest(form);

const names = readdirSync(join(here, "src")).map((name) => `src/${name}`);
const sources = ["build.mjs", "package.json", "package-lock.json", "tsconfig.json", ...names].sort();
const listed = sources.map((path) => `${sha256(readFileSync(join(here, path)), "hex")}  ${path}\n`).join("");

const bundled = await build({
  absWorkingDir: here,
  entryPoints: ["src/app.ts"],
  bundle: true,
  minify: true,
  format: "iife",
  target: ["chrome110", "firefox115", "safari16.4"],
  charset: "ascii",
  legalComments: "none",
  metafile: true,
  write: false,
});
const script = bundled.outputFiles[0].text.trim();
const style = readFileSync(join(here, "src/page.css"), "utf8").trim();
const csp = [
  "default-src 'none'",
  `script-src 'sha256-${sha256(script, "base64")}'`,
  `style-src 'sha256-${sha256(style, "base64")}'`,
  "img-src data: blob:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");
const filled = { CSP: csp, SOURCES: sha256(listed, "hex"), STYLE: style, SCRIPT: script };
const page = readFileSync(join(here, "src/page.html"), "utf8").replace(/%([A-Z]+)%/g, (_, name) => filled[name]);

const packages = new Set(
  Object.keys(bundled.metafile.inputs).flatMap((path) => path.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1] ?? []),
);
const licences = [...packages].sort().map((name) => {
  const folder = join(here, "node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
});
const texts = {
  "review.html": page,
  "LICENSES.txt": `Packages of others in review.html; everything else in it is voxledger's, Apache-2.0.\n\n${licences.join("\n")}`,
};

const built = Object.entries({ ...texts, sources: listed });
texts["SHA256"] = built.map(([name, text]) => `${sha256(text, "hex")}  ${name}\n`).join("");

if (process.argv.includes("--check")) {
  const stale = Object.keys(texts).filter((name) => readFileSync(join(out, name), "utf8") !== texts[name]);
  if (stale.length > 0) {
    console.error(`not as web/ builds it: ${stale.join(", ")}: run \`make web\``);
    process.exit(1);
  }
} else {
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(out, name), text);
  console.log(`review.html: ${(Buffer.byteLength(page) / 1e3).toFixed(0)} kB`);
}
