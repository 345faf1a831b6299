import assert from "node:assert/strict";
import { test } from "node:test";
import { enclosed, Labels, underBrush, type Slice } from "../src/labels.ts";
import { overview, places } from "../src/places.ts";
import { SCHEMA } from "./_helpers.ts";

const slice: Slice = { width: 5, height: 5, base: 0, stepU: 1, stepV: 5, mm: [1, 1] };
const fresh = (values: number[]) =>
  new Labels(Uint8Array.from(values), Uint8Array.from(values), [values.length, 1, 1], SCHEMA);

test("strokes are taken back and made again, and a new one ends those that were taken back", () => {
  const labels = fresh([0, 1, 2, 3]);
  const stroke = (...changes: [number, number][]) => {
    labels.begin();
    for (const [voxel, id] of changes) labels.set(voxel, id);
    return labels.end();
  };
  stroke([0, 1], [1, 2]);
  stroke([0, 2], [0, 4]);
  assert.deepEqual([...labels.now], [4, 2, 2, 3]);
  labels.undo();
  assert.deepEqual([...labels.now], [1, 2, 2, 3]);
  labels.redo();
  labels.undo();
  labels.undo();
  assert.ok(labels.unchanged);
  assert.equal(labels.undo(), null);
  labels.redo();
  stroke([3, 0]);
  assert.equal(labels.redo(), null);
  assert.equal(labels.strokes.length, 2);
  assert.equal(stroke([3, 1], [3, 0]), null, "what ends as it began is no stroke");
  assert.ok(!labels.unchanged);
  labels.begin();
  labels.set(0, 4);
  assert.equal(labels.undo(), null, "not while another one is drawn");
});

const free = new Set(["lesion", "spleen"]);
for (const [what, before, name, erase, after] of [
  ["background is painted", 0, "lesion", false, 3],
  ["the organ around keeps its voxel as well", 2, "lesion", false, 3],
  ["a lesion counts as its organ already", 3, "pancreas", false, null],
  ["a class without a line is locked", 1, "lesion", false, null],
  ["a free class gives way", 4, "lesion", false, 3],
  ["what is erased of a lesion is organ", 3, "lesion", true, 2],
  ["what is erased of an organ is background", 2, "pancreas", true, 0],
  ["a free lesion goes with its organ", 3, "pancreas", true, 0],
  ["other classes are not erased", 1, "lesion", true, null],
] as const)
  test(`where one may draw: ${what}`, () => {
    assert.equal(fresh([before]).becomes(0, name, erase, free), after);
  });

test("a lesion that is locked stays when its organ is erased", () => {
  assert.equal(fresh([3]).becomes(0, "pancreas", true, new Set(["pancreas"])), null);
});

test("a brush covers what lies under it between two points, and never nothing", () => {
  assert.deepEqual(underBrush(slice, [2, 2], [2, 2], 0.1), [12]);
  assert.deepEqual(underBrush(slice, [2, 2], [2, 2], 1), [7, 11, 12, 13, 17]);
  assert.deepEqual(underBrush(slice, [0, 2], [4, 2], 0.4), [10, 11, 12, 13, 14]);
  assert.deepEqual(underBrush({ ...slice, mm: [1, 3] }, [2, 2], [2, 2], 1), [11, 12, 13]);
  assert.deepEqual(underBrush(slice, [-9, -9], [-9, -9], 1), []);
});

test("an outline that is closed is filled, one that is open is not", () => {
  const ring = new Set([6, 7, 8, 11, 13, 16, 17, 18]);
  assert.deepEqual(enclosed(slice, 2, 2, (v) => ring.has(v)), [12]);
  assert.deepEqual(enclosed(slice, 1, 1, (v) => ring.has(v)), []);
  ring.delete(7);
  assert.equal(enclosed(slice, 2, 2, (v) => ring.has(v)), null);
});

test("components of attention, the largest first, and where most of each lies", () => {
  const shape: [number, number, number] = [4, 4, 3];
  const map = new Uint8Array(48);
  const at = (x: number, y: number, z: number) => x + 4 * (y + 4 * z);
  for (const [x, y, z] of [[0, 0, 0], [1, 1, 1], [2, 1, 1], [3, 3, 2]]) map[at(x, y, z)] = 3;
  map[at(3, 0, 0)] = 1;
  const found = places(map, shape);
  assert.deepEqual(found.get(3)!.map((p) => p.voxels), [3, 1]);
  assert.deepEqual(found.get(3)![0].low, [0, 0, 0]);
  assert.deepEqual(found.get(3)![0].high, [2, 1, 1]);
  assert.equal(found.get(3)![0].at[2], 1);
  assert.equal(found.get(1)!.length, 1);
});

test("voxels and boxes by id", () => {
  const { counts, boxes } = overview(Uint8Array.from([0, 1, 1, 0, 0, 1, 2, 0]), [2, 2, 2]);
  assert.deepEqual([...counts].sort(), [[0, 4], [1, 3], [2, 1]]);
  assert.deepEqual(boxes.get(1), { low: [0, 0, 0], high: [1, 1, 1] });
  assert.deepEqual(boxes.get(2), { low: [0, 1, 1], high: [0, 1, 1] });
});
