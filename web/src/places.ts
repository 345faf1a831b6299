/** Where to look: components of attention, and what is known of a label map after one pass over it. */

import type { LabelArray } from "./nifti.ts";
import type { Triple } from "./grid.ts";

export interface Box {
  low: Triple;
  high: Triple;
}

export interface Place extends Box {
  voxels: number;
  /** A voxel of it in the slice that has most of it. */
  at: Triple;
}

const MOST = 200;

export const position = (voxel: number, shape: Triple): Triple => [
  voxel % shape[0],
  Math.floor(voxel / shape[0]) % shape[1],
  Math.floor(voxel / (shape[0] * shape[1])),
];

/** Voxels and boxes by id, in one pass. */
export function overview(labels: LabelArray, shape: Triple): { counts: Map<number, number>; boxes: Map<number, Box> } {
  const counts = new Map<number, number>();
  const boxes = new Map<number, Box>();
  const [nx, ny, nz] = shape;
  for (let z = 0, i = 0; z < nz; z++)
    for (let y = 0; y < ny; y++)
      for (let x = 0; x < nx; ) {
        const id = labels[i];
        let run = 1;
        while (x + run < nx && labels[i + run] === id) run++;
        if (id !== 0) {
          counts.set(id, (counts.get(id) ?? 0) + run);
          const box = boxes.get(id);
          if (box === undefined) boxes.set(id, { low: [x, y, z], high: [x + run - 1, y, z] });
          else {
            if (x < box.low[0]) box.low[0] = x;
            if (x + run - 1 > box.high[0]) box.high[0] = x + run - 1;
            if (y < box.low[1]) box.low[1] = y;
            if (y > box.high[1]) box.high[1] = y;
            box.high[2] = z;
          }
        }
        x += run;
        i += run;
      }
  let labelled = 0;
  for (const n of counts.values()) labelled += n;
  counts.set(0, labels.length - labelled);
  return { counts, boxes };
}

/** Components (26 neighbours) of each id of an attention map, the largest first. The map is used up. */
export function places(attention: LabelArray, shape: Triple): Map<number, Place[]> {
  const found = new Map<number, Place[]>();
  for (let i = 0; i < attention.length; i++) {
    const id = attention[i];
    if (id === 0) continue;
    const list = found.get(id) ?? [];
    list.push(component(attention, shape, i));
    found.set(id, list);
  }
  for (const [id, list] of found) found.set(id, list.sort((a, b) => b.voxels - a.voxels).slice(0, MOST));
  return found;
}

function component(map: LabelArray, shape: Triple, start: number): Place {
  const [nx, ny, nz] = shape;
  const id = map[start];
  const stack = [start];
  const slices = new Map<number, number[]>();
  const low: Triple = [...shape];
  const high: Triple = [0, 0, 0];
  let voxels = 0;
  map[start] = 0;
  while (stack.length > 0) {
    const at = stack.pop()!;
    const p = position(at, shape);
    for (let a = 0; a < 3; a++) {
      if (p[a] < low[a]) low[a] = p[a];
      if (p[a] > high[a]) high[a] = p[a];
    }
    voxels++;
    const inSlice = slices.get(p[2]);
    if (inSlice === undefined) slices.set(p[2], [at]);
    else inSlice.push(at);
    for (let z = Math.max(0, p[2] - 1); z <= Math.min(nz - 1, p[2] + 1); z++)
      for (let y = Math.max(0, p[1] - 1); y <= Math.min(ny - 1, p[1] + 1); y++)
        for (let x = Math.max(0, p[0] - 1); x <= Math.min(nx - 1, p[0] + 1); x++) {
          const next = x + nx * (y + ny * z);
          if (map[next] === id) {
            map[next] = 0;
            stack.push(next);
          }
        }
  }
  const fullest = [...slices.values()].reduce((a, b) => (b.length > a.length ? b : a)).sort((a, b) => a - b);
  return { low, high, voxels, at: position(fullest[Math.floor(fullest.length / 2)], shape) };
}
