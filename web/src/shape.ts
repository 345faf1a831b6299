/** Shapes of one class: pieces, smoothing, and what lies between two slices. */

import type { Triple } from "./grid.ts";
import type { LabelArray } from "./nifti.ts";
import { position, type Box } from "./places.ts";

/** A class in a label map. */
export interface Mask {
  map: LabelArray;
  shape: Triple;
  /** By id: 1 where it counts as the class. */
  inside: Uint8Array;
}

/** Numbers of neighbouring voxels that lie in the volume, itself included, written to `found`; returns how many. */
function around(voxel: number, [nx, ny, nz]: Triple, found: Int32Array): number {
  const [x, y, z] = position(voxel, [nx, ny, nz]);
  let n = 0;
  for (let k = Math.max(0, z - 1); k <= Math.min(nz - 1, z + 1); k++)
    for (let j = Math.max(0, y - 1); j <= Math.min(ny - 1, y + 1); j++)
      for (let i = Math.max(0, x - 1); i <= Math.min(nx - 1, x + 1); i++) found[n++] = i + nx * (j + ny * k);
  return n;
}

/** The piece (26 neighbours) that a voxel lies in, as a list and by voxel; empty where the class is not there. */
export function piece({ map, shape, inside }: Mask, start: number): { voxels: number[]; isIn: Uint8Array } {
  const isIn = new Uint8Array(map.length);
  const voxels = inside[map[start]] ? [start] : [];
  for (const voxel of voxels) isIn[voxel] = 1;
  const near = new Int32Array(27);
  for (let done = 0; done < voxels.length; done++)
    for (let i = around(voxels[done], shape, near) - 1; i >= 0; i--)
      if (isIn[near[i]] === 0 && inside[map[near[i]]]) {
        isIn[near[i]] = 1;
        voxels.push(near[i]);
      }
  return { voxels, isIn };
}

/** Voxels at the border of a class, in a box, of which most neighbours say the contrary: to take out, and to take in. */
export function smoothed({ map, shape, inside }: Mask, box: Box): { out: number[]; in: number[] } {
  const change = { out: [] as number[], in: [] as number[] };
  const [nx, ny] = shape;
  const steps = [1, nx, nx * ny];
  const near = new Int32Array(27);
  for (let z = box.low[2]; z <= box.high[2]; z++)
    for (let y = box.low[1]; y <= box.high[1]; y++)
      for (let x = box.low[0]; x <= box.high[0]; x++) {
        const voxel = x + nx * (y + ny * z);
        const own = inside[map[voxel]];
        const at = [x, y, z];
        let isBorder = false;
        for (let a = 0; a < 3 && !isBorder; a++)
          isBorder =
            (at[a] > 0 && inside[map[voxel - steps[a]]] !== own) ||
            (at[a] < shape[a] - 1 && inside[map[voxel + steps[a]]] !== own);
        if (!isBorder) continue;
        const all = around(voxel, shape, near);
        let count = 0;
        for (let i = 0; i < all; i++) count += inside[map[near[i]]];
        if (2 * count > all !== (own === 1)) (own === 1 ? change.out : change.in).push(voxel);
      }
  return change;
}

/** Millimetres from every pixel to the nearest one that is set (Felzenszwalb and Huttenlocher 2012); rows of `width`. */
export function distances(set: Uint8Array, width: number, height: number, mm: [number, number]): Float64Array {
  const far = 1e12;
  const found = Float64Array.from(set, (v) => (v ? 0 : far));
  const line = (start: number, step: number, n: number, size: number) => {
    const values = Float64Array.from({ length: n }, (_, i) => found[start + i * step]);
    const at = new Int32Array(n);
    const from = new Float64Array(n + 1);
    let k = 0;
    from[0] = -Infinity;
    from[1] = Infinity;
    const meet = (a: number, b: number) =>
      (values[b] + (b * size) ** 2 - values[a] - (a * size) ** 2) / (2 * size * size * (b - a));
    for (let q = 1; q < n; q++) {
      while (meet(at[k], q) <= from[k]) k--;
      from[k + 1] = meet(at[k], q);
      at[++k] = q;
      from[k + 1] = Infinity;
    }
    for (let q = 0, j = 0; q < n; q++) {
      while (from[j + 1] < q) j++;
      found[start + q * step] = ((q - at[j]) * size) ** 2 + values[at[j]];
    }
  };
  for (let y = 0; y < height; y++) line(y * width, 1, width, mm[0]);
  for (let x = 0; x < width; x++) line(x, width, height, mm[1]);
  return found.map(Math.sqrt);
}

/**
 * The slices between two drawn ones, by their signed distances (Raya and Udupa 1990).
 *
 * @param count how many slices lie between
 */
export function between(
  a: Uint8Array,
  b: Uint8Array,
  width: number,
  height: number,
  mm: [number, number],
  count: number,
): Uint8Array[] {
  const signed = (mask: Uint8Array) => {
    const [outside, inside] = [mask, mask.map((v) => 1 - v)].map((m) => distances(m, width, height, mm));
    return outside.map((d, i) => Math.min(d, 1e6) - Math.min(inside[i], 1e6));
  };
  const [first, last] = [signed(a), signed(b)];
  return Array.from({ length: count }, (_, n) => {
    const t = (n + 1) / (count + 1);
    return Uint8Array.from(first, (d, i) => (d * (1 - t) + last[i] * t < 0 ? 1 : 0));
  });
}
