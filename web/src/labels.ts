/** A label map that is edited: what may be painted where, strokes, and how they are taken back. */

import type { LabelArray } from "./nifti.ts";
import type { Triple } from "./grid.ts";
import type { Schema } from "./schema.ts";

/** How many voxels went from one id to another. */
export interface Pair {
  before: number;
  after: number;
  count: number;
}

/** One stroke: which voxels it changed, from what, to what. */
export interface Stroke {
  voxels: Uint32Array;
  before: Uint16Array;
  after: Uint16Array;
}

export class Labels {
  /** Strokes that count come first; those that were taken back follow. */
  strokes: Stroke[] = [];
  /** How many count. */
  done = 0;
  private open: Map<number, { before: number; after: number }> | null = null;
  private pairs: Pair[] | null = null;

  /**
   * @param now the label map as it is, changed in place
   * @param sent the one that was sent
   */
  constructor(
    readonly now: LabelArray,
    readonly sent: LabelArray,
    readonly shape: Triple,
    readonly schema: Schema,
  ) {}

  /** Start a stroke; what is set until `end` is one step of undo. */
  begin(): void {
    this.open = new Map();
  }

  set(voxel: number, id: number): void {
    const before = this.now[voxel];
    if (before === id || this.open === null) return;
    const known = this.open.get(voxel);
    if (known === undefined) this.open.set(voxel, { before, after: id });
    else known.after = id;
    this.now[voxel] = id;
  }

  /** End a stroke; null where it changed nothing. */
  end(): Stroke | null {
    const open = [...(this.open ?? [])].filter(([, { before, after }]) => before !== after).sort((a, b) => a[0] - b[0]);
    this.open = null;
    if (open.length === 0) return null;
    const stroke: Stroke = {
      voxels: Uint32Array.from(open, ([voxel]) => voxel),
      before: Uint16Array.from(open, ([, c]) => c.before),
      after: Uint16Array.from(open, ([, c]) => c.after),
    };
    this.strokes.length = this.done;
    this.strokes.push(stroke);
    this.done++;
    this.pairs = null;
    return stroke;
  }

  /** Take the last stroke back; null where there is none, or one is being drawn. */
  undo(): Stroke | null {
    if (this.done === 0 || this.open !== null) return null;
    const stroke = this.strokes[--this.done];
    this.pairs = null;
    stroke.voxels.forEach((voxel, i) => (this.now[voxel] = stroke.before[i]));
    return stroke;
  }

  redo(): Stroke | null {
    if (this.done === this.strokes.length || this.open !== null) return null;
    const stroke = this.strokes[this.done++];
    this.pairs = null;
    stroke.voxels.forEach((voxel, i) => (this.now[voxel] = stroke.after[i]));
    return stroke;
  }

  /** Voxels that any stroke has touched. */
  touched(): Set<number> {
    const found = new Set<number>();
    for (const stroke of this.strokes.slice(0, this.done)) for (const voxel of stroke.voxels) found.add(voxel);
    return found;
  }

  /** What changed since it was sent, by ids before and after; counted once a stroke. */
  changes(): Pair[] {
    if (this.pairs !== null) return this.pairs;
    const found = new Map<number, Pair>();
    for (const voxel of this.touched()) {
      const [before, after] = [this.sent[voxel], this.now[voxel]];
      if (before === after) continue;
      const pair = found.get(before * 65536 + after);
      if (pair === undefined) found.set(before * 65536 + after, { before, after, count: 1 });
      else pair.count++;
    }
    return (this.pairs = [...found.values()]);
  }

  /** Whether all is as it was sent. */
  get unchanged(): boolean {
    return this.changes().length === 0;
  }

  /**
   * What a voxel becomes where a class is painted, or erased; null where it may not change.
   *
   * Painted: background and the classes around it, which keep their voxels, and classes that are free. What is of the
   * class already stays, also as a class inside it. Erased: the class, and classes inside it that are free, fall back to
   * the class around.
   */
  becomes(voxel: number, name: string, erase: boolean, free: ReadonlySet<string>): number | null {
    const at = this.now[voxel];
    const innermost = this.schema.byId.get(at)?.name;
    const chain = innermost === undefined ? [] : this.schema.chain(innermost);
    if (erase) {
      if (!chain.includes(name)) return null;
      const inner = chain.slice(0, chain.indexOf(name));
      return inner.every((n) => free.has(n)) ? this.schema.outer(name) : null;
    }
    if (chain.includes(name)) return null;
    const around = this.schema.chain(name);
    return chain.every((n) => around.includes(n) || free.has(n)) ? this.schema.get(name).id : null;
  }
}

/** A slice of the label map as the screen shows it: how to get from its rows and columns to voxels. */
export interface Slice {
  width: number;
  height: number;
  /** Voxel of column 0, row 0, and what a column and a row add. */
  base: number;
  stepU: number;
  stepV: number;
  /** Millimetres of a column and a row. */
  mm: [number, number];
}

export const voxelAt = (slice: Slice, u: number, v: number) => slice.base + u * slice.stepU + v * slice.stepV;

/** Columns and rows under a round brush that was drawn from one point to another. */
export function underBrush(slice: Slice, from: [number, number], to: [number, number], radius: number): number[] {
  const [mu, mv] = slice.mm;
  const [ru, rv] = [radius / mu, radius / mv];
  const lo = (a: number, b: number, r: number) => Math.max(0, Math.floor(Math.min(a, b) - r));
  const hi = (a: number, b: number, r: number, n: number) => Math.min(n - 1, Math.ceil(Math.max(a, b) + r));
  const [du, dv] = [(to[0] - from[0]) * mu, (to[1] - from[1]) * mv];
  const length = du * du + dv * dv;
  // However small the brush, the voxel under its centre is under it.
  const least = Math.max(radius, Math.min(mu, mv) / 2);
  const found: number[] = [];
  for (let v = lo(from[1], to[1], rv); v <= hi(from[1], to[1], rv, slice.height); v++)
    for (let u = lo(from[0], to[0], ru); u <= hi(from[0], to[0], ru, slice.width); u++) {
      const [pu, pv] = [(u - from[0]) * mu, (v - from[1]) * mv];
      const along = length > 0 ? Math.min(1, Math.max(0, (pu * du + pv * dv) / length)) : 0;
      if (Math.hypot(pu - along * du, pv - along * dv) <= least) found.push(voxelAt(slice, u, v));
    }
  return found;
}

/** The region around a point of a slice that an outline closes; null where it reaches the edge of the slice. */
export function enclosed(slice: Slice, u: number, v: number, isOutline: (voxel: number) => boolean): number[] | null {
  const start = voxelAt(slice, u, v);
  if (isOutline(start)) return [];
  const seen = new Uint8Array(slice.width * slice.height);
  const stack = [u + v * slice.width];
  seen[stack[0]] = 1;
  const found: number[] = [];
  while (stack.length > 0) {
    const at = stack.pop()!;
    const [x, y] = [at % slice.width, Math.floor(at / slice.width)];
    if (x === 0 || y === 0 || x === slice.width - 1 || y === slice.height - 1) return null;
    found.push(voxelAt(slice, x, y));
    for (const next of [at - 1, at + 1, at - slice.width, at + slice.width])
      if (seen[next] === 0) {
        seen[next] = 1;
        if (!isOutline(voxelAt(slice, next % slice.width, Math.floor(next / slice.width)))) stack.push(next);
      }
  }
  return found;
}
