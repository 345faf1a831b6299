import assert from "node:assert/strict";
import { test } from "node:test";
import { Asking, Sketch } from "../src/asking.ts";
import { clicked, differences, readRecord, together, toRuns, voxelOf, writeRecord, type Mark } from "../src/clicks.ts";
import { Labels, voxelAt } from "../src/labels.ts";
import type { Session } from "../src/session.ts";
import type { Scene } from "../src/view.ts";
import { SCHEMA } from "./_helpers.ts";

const LABELS = Uint16Array.from([0, 0, 3, 2, 2, 300]);

test("a label map goes out in runs, and what a mask changes comes back", () => {
  assert.deepEqual(toRuns(LABELS), [2, 0, 1, 3, 2, 2, 1, 300]);
  assert.deepEqual(toRuns(Uint8Array.of(7)), [1, 7]);
  const pancreas = new Set([2, 3]);
  for (const [mask, more, less] of [
    [[2, 0, 3, 1, 1, 0], [], []],
    [[6, 0], [], [2, 3, 4]],
    [[1, 0, 3, 1, 1, 0, 1, 1], [1, 5], [4]],
  ])
    assert.deepEqual(differences(mask, toRuns(LABELS), pancreas), { more, less });
});

test("a voxel is named z, y, x", () => {
  assert.deepEqual(voxelOf(0, [4, 3, 2]), [0, 0, 0]);
  assert.deepEqual(voxelOf(4 * 3 + 4 + 2, [4, 3, 2]), [1, 1, 2]);
});

test("what is marked on a slice that is shown mirrored lies where it was drawn", () => {
  const shape = [8, 6, 4] as [number, number, number];
  // Columns run against x, rows along y, at z = 2.
  const slice = { width: 8, height: 6, base: 2 * 48 + 7, stepU: -1, stepV: 8, mm: [1, 1] as [number, number] };
  const drawn = (kind: Mark["kind"], ...points: [number, number][]) => {
    const sketch = new Sketch(kind, slice, points[0], true);
    for (const point of points.slice(1)) sketch.to(point);
    return sketch;
  };
  assert.deepEqual(drawn("point", [1.2, 2.4]).mark(shape), { kind: "point", voxels: [[2, 2, 6]], present: true });
  assert.deepEqual(drawn("point", [1, 2], [3, 2]).voxels, [voxelAt(slice, 3, 2)]);
  assert.deepEqual(drawn("box", [3, 4], [1, 1]).mark(shape)!.voxels, [[2, 1, 6], [2, 4, 4]]);
  assert.equal(drawn("box", [3, 4], [-5, 20]).mark(shape)!.voxels.join(" "), "2,4,7 2,5,4");
  assert.equal(drawn("box", [3, 4], [3, 4]).mark(shape), null);
  assert.equal(drawn("box", [3, 4], [5, 4]).mark(shape), null);
  const line = drawn("scribble", [1, 2], [5, 2]).mark(shape)!.voxels;
  assert.ok(line.every(([z, y]) => z === 2 && y >= 1 && y <= 3));
  for (const x of [2, 3, 4, 5, 6]) assert.ok(line.some(([, y, at]) => y === 2 && at === x));
});

test("the record lists clicks by case, and is taken up again", () => {
  const marks: Mark[] = [
    { kind: "point", voxels: [[1, 2, 3]], present: false },
    { kind: "box", voxels: [[1, 2, 3], [1, 4, 5]], present: true },
  ];
  const clicks = [...clicked("b", "liver", marks, true), ...clicked("a", "liver", marks.slice(0, 1), false)];
  const answered_by = { name: "served", backend: "nninteractive", architecture: "UNet", licence: "CC-BY-NC-SA-4.0" };
  const written = writeRecord({ model: "m", answered_by, clicks });
  const values = JSON.parse(written);
  assert.deepEqual([values.format, values.answered_by, values.gate, values.cases], [3, answered_by, null, ["a", "b"]]);
  assert.deepEqual(values.clicks.map((c: { case_id: string }) => c.case_id), ["a", "b", "b"]);
  assert.deepEqual(values.clicks[2].others, [[1, 4, 5]]);
  assert.equal(writeRecord(readRecord(written)!), written);
  const before = readRecord(JSON.stringify({ ...values, format: 2, answered_by: undefined }));
  assert.deepEqual([before!.answered_by, before!.clicks.length], [null, 3]);
  for (const other of ["", "[]", "null", JSON.stringify({ ...values, gate: {} }), JSON.stringify({ ...values, format: 1 })])
    assert.equal(readRecord(other), null, other);
});

test("what another record of the same model has besides is kept", () => {
  const [a, b, c] = [1, 2, 3].map((x) => clicked("a", "liver", [{ kind: "point", voxels: [[0, 0, x]], present: true }], true)[0]);
  const record = (model: string, ...clicks: typeof a[]) => ({ model, answered_by: null, clicks });
  const reordered = JSON.parse(`{"helped": true, "others": [], ${JSON.stringify(b).slice(1)}`) as typeof b;
  assert.deepEqual(together(record("m", b, c), record("m", a, reordered)).clicks, [a, b, c]);
  assert.deepEqual(together(null, record("m", a)), record("m", a));
  assert.deepEqual(together(record("m", a), record("n", b)), record("m", a));
});

test("what is drawn while the model thinks stays", async () => {
  const shape = [4, 1, 1] as [number, number, number];
  const labels = new Labels(Uint8Array.of(0, 0, 0, 1), Uint8Array.of(0, 0, 0, 1), shape, SCHEMA);
  const noted: unknown[] = [];
  const session = {
    current: { caseId: "a" },
    free: () => new Set(["liver"]),
    noteClicks: async (...said: unknown[]) => void noted.push(said),
  } as unknown as Session;
  let answer = (_: number[]) => {};
  const answered_by = { name: "m", backend: "clicks", architecture: "UNet", licence: "MIT" };
  const ask = () => new Promise<number[]>((resolve) => (answer = resolve));
  const model = { id: "m", name: "m", answered_by, kinds: [], classes: ["liver"], ask };
  const asking = new Asking(model, session, () => {}, () => {});
  const scene = { labels, current: "liver", marks: new Map() } as unknown as Scene;
  const slice = { width: 4, height: 1, base: 0, stepU: 1, stepV: 4, mm: [1, 1] as [number, number] };
  const asked = asking.ask(scene, new Sketch("point", slice, [0, 0], true));
  labels.begin();
  labels.set(2, 1);
  labels.end();
  answer([2, 1, 2, 0]);
  await asked;
  assert.deepEqual(await asking.close(scene, true), { more: [0, 1], less: [3] });
  assert.deepEqual((noted as unknown[][]).map((said) => said.slice(0, 2)), [["m", answered_by]]);
});
