import assert from "node:assert/strict";
import { test } from "node:test";
import { Bundle, Refused, sha256 } from "../src/bundle.ts";
import { gridOf, type Grid, type Triple } from "../src/grid.ts";
import { readingsOf } from "../src/readings.ts";
import { linkOf, put } from "../src/send.ts";
import { linesIn, marksOf } from "../src/weak.ts";

type Bytes = Uint8Array<ArrayBuffer>;
const bytes = (value: string) => new TextEncoder().encode(value) as Bytes;

/** An oblique grid of 2 × 3 × 4 mm, and a voxel of it as LPS millimetres, by the matrix itself. */
const [c, s] = [Math.cos(0.3), Math.sin(0.3)];
const MATRIX: [Triple, Triple, Triple] = [[2 * c, -3 * s, 0], [2 * s, 3 * c, 0], [0, 0, -4]];
const ORIGIN: Triple = [10, -20, 30];
const GRID: Grid = gridOf([20, 20, 20], MATRIX, ORIGIN);
const lps = (voxel: Triple) => {
  const ras = MATRIX.map((row, r) => ORIGIN[r] + row.reduce((sum, v, i) => sum + v * voxel[i], 0));
  return [-ras[0], -ras[1], ras[2]];
};
const near = (found: Triple[], expected: Triple[]) =>
  found.flat().forEach((v, i) => assert.ok(Math.abs(v - expected.flat()[i]) < 1e-9, `${found}`));

test("marks lie on the voxels that they were made on, also in a grid that is turned; what is none is left out", () => {
  const [a, b]: Triple[] = [[3, 4, 5], [9, 6, 5]];
  const text = JSON.stringify({
    ...{ format: 2, case: "x", source: "json" },
    marks: [
      { type: "recist", class: "lesion", slice: 5, points_lps_mm: [a, b].map(lps), long_diameter_mm: 13.4 },
      { type: "box", class: "liver", corners_lps_mm: [b, a].map(lps) },
      { type: "point", class: "liver", point_lps_mm: lps(a) },
      { type: "scribble", class: "liver", points_lps_mm: [a, b, a].map(lps) },
      { type: "opinion", class: "liver" },
    ],
  });
  const marks = marksOf(text, GRID);
  assert.deepEqual(marks.map((m) => [m.type, m.className, m.points.length]), [
    ["recist", "lesion", 2],
    ["box", "liver", 2],
    ["point", "liver", 1],
    ["scribble", "liver", 3],
  ]);
  near(marks[0].points, [a, b]);
  const lines = marks.map((m) => linesIn(m, 2, 5));
  assert.deepEqual(lines.map((l) => l.length), [1, 4, 1, 2]);
  near(lines[0][0], [a, b]);
  near(lines[1].map(([from]) => from), [[2.5, 3.5, 5], [9.5, 3.5, 5], [9.5, 6.5, 5], [2.5, 6.5, 5]]);
  assert.deepEqual(marks.map((m) => linesIn(m, 2, 6).length), [0, 0, 0, 0]);
});

test("a diameter of the first format, and both axes of one", () => {
  const points: Triple[] = [[1, 1, 2], [9, 1, 2], [5, 0, 2], [5, 4, 2]];
  const [mark] = marksOf(JSON.stringify({ type: "recist", class: "lesion", points_lps_mm: points.map(lps) }), GRID);
  const lines = linesIn(mark, 2, 2);
  assert.equal(lines.length, 2);
  near(lines[1], points.slice(2));
});

test("what readers said is read as voxledger writes it", () => {
  const said = readingsOf(
    "case_id,class_name,why,reader,decision,error_type,comment\nc,liver,Dice 0.7,bob,revise,boundary,\"a, <b>\"\n",
  );
  assert.deepEqual(said, [
    {
      ...{ caseId: "c", className: "liver", why: "Dice 0.7", reader: "bob" },
      ...{ decision: "revise", errorType: "boundary", comment: "a, <b>" },
    },
  ]);
});

test("only a link is one", () => {
  assert.equal(linkOf('{"format": 1, "put": "https:\\/\\/drop.example/x?y=1"}')?.host, "drop.example");
  for (const text of ["", "{}", "null", '{"put": "file:\\/\\/\\/etc"}', '{"put": "javascript:alert(1)"}', '{"put": 7}'])
    assert.equal(linkOf(text), null, text);
});

test("what the server answers to a return is told apart", async () => {
  const real = globalThis.fetch;
  const answers = async (answer: () => Promise<Response>) => {
    globalThis.fetch = answer;
    return await put(new URL("http://drop.example/x"), bytes("x")).then(() => "", (error: Refused) => error.key);
  };
  try {
    const status = (code: number) => async () => new Response(null, { status: code });
    assert.equal(await answers(status(200)), "");
    assert.equal(await answers(status(412)), "sentBefore");
    assert.equal(await answers(status(403)), "linkOver");
    assert.equal(await answers(status(500)), "notSent");
    assert.equal(await answers(() => Promise.reject(new TypeError("Failed to fetch"))), "notSent");
  } finally {
    globalThis.fetch = real;
  }
});

test("predicted quality is shown where there is one, and a table of readings only as it was sent", async () => {
  const files = new Map<string, Bytes>([
    ["readings.csv", bytes("case_id,class_name,why,reader,decision,error_type,comment\nc,liver,x,bob,accept,none,\n")],
  ]);
  const notes = {
    c: { modality: "CT", classes: { liver: { predicted_dice: 0.87, predicted_dice_low: 0.8, predicted_dice_high: 0.93 } } },
    d: { modality: "MR", classes: { liver: { predicted_dice: "<b>" } } },
  };
  files.set("review.json", bytes(JSON.stringify({ format: 1, cases: notes })));
  const listed = await Promise.all([...files].map(async ([p, b]) => [p, { sha256: await sha256(b), bytes: b.length }]));
  const manifest = {
    ...{ id: "0", dataset: "d", round: 1, reviewer: "r", voxels: { c: 8 }, files: Object.fromEntries(listed) },
    ...{ asked: [{ case_id: "c", class_name: "liver" }], label_schema: { classes: [{ id: 1, name: "liver" }] } },
  };
  files.set("bundle.json", bytes(JSON.stringify(manifest)));
  const source = { read: async (path: string) => (files.has(path) ? new Blob([files.get(path)!]) : null) };
  const bundle = await Bundle.open(source);
  assert.deepEqual(bundle.predicted("c", "liver"), { dice: 0.87, low: 0.8, high: 0.93 });
  for (const [one, name] of [["c", "spleen"], ["d", "liver"], ["e", "liver"], ["c", "constructor"]])
    assert.equal(bundle.predicted(one, name), null);
  assert.deepEqual([bundle.modality("d"), bundle.modality("e"), bundle.link], ["MR", "", null]);
  assert.equal(bundle.readingsOf("c", "liver")[0].reader, "bob");
  assert.equal(bundle.hasDrawing(bundle.readings[0]), false);
  files.set("readings.csv", bytes("case_id\n"));
  await assert.rejects(Bundle.open(source), (error: Refused) => error.key === "altered");
});
