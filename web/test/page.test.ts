import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { zipSync } from "fflate";
import { REASONS_DE, TEXTS } from "../src/texts.ts";
import { Zip } from "../src/zip.ts";

const sources = readdirSync("src").map((name) => [name, readFileSync(`src/${name}`, "utf8")] as const);

test("nothing becomes markup or code, and no other machine is named", () => {
  for (const [name, text] of sources) {
    assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function/, name);
    assert.doesNotMatch(text, /https?:\/\//, name);
  }
});

test("both languages say all, with the same values", () => {
  const values = (text: string) => (text.match(/\{\w+\}/g) ?? []).sort();
  for (const [key, text] of Object.entries(TEXTS.en)) {
    const other = TEXTS.de[key as keyof typeof TEXTS.en];
    assert.deepEqual(values(other), values(text), key);
  }
});

test("every reason why a file cannot be read is there in German", () => {
  const code = sources.filter(([name]) => name === "nifti.ts" || name === "zip.ts").map(([, text]) => text);
  const said = [...code.join().matchAll(/(?:Unreadable|BadZip)\(["`]([^"`:]*)/g)].map(([, text]) => text);
  assert.ok(said.length > 15);
  for (const text of said) assert.ok(text in REASONS_DE, text);
});

test("every text that the page names is there", () => {
  const page = sources.find(([name]) => name === "page.html")![1];
  for (const [, key] of page.matchAll(/data-(?:text|label)="(\w+)"/g)) assert.ok(key in TEXTS.en, key);
});

test("files are read out of a zip, and what is none is refused", async () => {
  const text = new TextEncoder().encode("hello ".repeat(100));
  const made = zipSync({ "a/stored.gz": [text, { level: 0 }], "a/packed.csv": [text, { level: 6 }] });
  const file = new Blob([made as Uint8Array<ArrayBuffer>]);
  const zip = await Zip.open(file);
  for (const path of ["a/stored.gz", "a/packed.csv"])
    assert.equal(await (await zip.read(path))!.text(), "hello ".repeat(100));
  assert.equal(await zip.read("a/none"), null);
  await assert.rejects(Zip.open(file.slice(0, file.size - 30)), /zip/);
  await assert.rejects(Zip.open(new Blob(["no"])), /zip/);
});
