import assert from "node:assert/strict";
import { test } from "node:test";
import type { Triple } from "../src/grid.ts";
import { between, distances, piece, smoothed } from "../src/shape.ts";

const picture = (...rows: string[]) => Uint8Array.from(rows.join(""), (c) => (c === "#" ? 1 : 0));
const rows = (mask: Uint8Array, width: number) =>
  Array.from({ length: mask.length / width }, (_, y) =>
    [...mask.slice(y * width, (y + 1) * width)].map((v) => (v ? "#" : ".")).join(""),
  );

const volume = (shape: Triple, isIn: (voxel: number) => boolean) => ({
  map: Uint8Array.from({ length: shape[0] * shape[1] * shape[2] }, (_, voxel) => (isIn(voxel) ? 3 : 1)),
  shape,
  inside: Uint8Array.from([0, 0, 1, 1]),
});
const sorted = (voxels: number[]) => [...voxels].sort((a, b) => a - b);

test("a piece is what touches, also by a corner, and nothing where the voxel is outside", () => {
  const mask = new Set([0, 1, 6, 15, 16 + 10]);
  const whole = volume([4, 4, 2], (voxel) => mask.has(voxel));
  assert.deepEqual(sorted(piece(whole, 0).voxels), [0, 1, 6, 15, 26]);
  assert.deepEqual(piece(whole, 3).voxels, []);
  mask.delete(6);
  const { voxels, isIn } = piece(volume([4, 4, 2], (voxel) => mask.has(voxel)), 1);
  assert.deepEqual(sorted(voxels), [0, 1]);
  assert.equal(isIn.reduce((a, b) => a + b, 0), 2);
});

test("smoothing takes a single voxel away and fills a single hole", () => {
  const box = { low: [0, 0, 0] as Triple, high: [4, 4, 4] as Triple };
  assert.deepEqual(smoothed(volume([5, 5, 5], (v) => v === 62), box), { out: [62], in: [] });
  assert.deepEqual(smoothed(volume([5, 5, 5], (v) => v !== 62), box), { out: [], in: [62] });
});

test("distances are those by hand, in millimetres", () => {
  const found = distances(picture("....", "#...", "...."), 4, 3, [2, 3]);
  assert.deepEqual(
    [...found].map((v) => Number(v.toFixed(3))),
    [3, 3.606, 5, 6.708, 0, 2, 4, 6, 3, 3.606, 5, 6.708],
  );
});

test("between a small and a large disc lies one of a size between; between two places one in the middle", () => {
  const small = picture(".......", ".......", "...#...", "..###..", "...#...", ".......", ".......");
  const large = picture("..###..", ".#####.", "#######", "#######", "#######", ".#####.", "..###..");
  const [middle] = between(small, large, 7, 7, [1, 1], 1);
  const area = middle.reduce((a, b) => a + b, 0);
  assert.ok(area > 9 && area < 35, rows(middle, 7).join("\n"));
  const [same] = between(small, small, 7, 7, [1, 1], 1);
  assert.deepEqual(rows(same, 7), rows(small, 7));
});
