/** What somebody marked in a case before there was a proposal: voxels that were drawn, or diameters, boxes, points and lines. */

import { voxelOf, type Grid, type Triple } from "./grid.ts";
import type { LabelArray } from "./nifti.ts";

/** A mark that is no label map; its points are voxels, the fastest axis first, with fractions. */
export interface Mark {
  type: "recist" | "box" | "point" | "scribble";
  className: string;
  points: Triple[];
}

export interface WeakLabel {
  /** Ids of classes by voxel; null where there are marks. */
  drawn: LabelArray | null;
  marks: Mark[];
}

/** Where each kind of mark has its points, as `voxledger.weak.marks` writes it. */
const POINTS: Record<Mark["type"], string> = {
  recist: "points_lps_mm",
  box: "corners_lps_mm",
  point: "point_lps_mm",
  scribble: "points_lps_mm",
};

/** The marks of a file `weak/<case>.json` of any format; what is none is left out. */
export function marksOf(text: string, grid: Grid): Mark[] {
  const said = JSON.parse(text) as { marks?: unknown[] };
  return (said.marks ?? [said]).flatMap((one) => {
    const mark = one as Record<string, unknown>;
    const type = mark.type as Mark["type"];
    if (!Object.hasOwn(POINTS, type)) return [];
    const given = mark[POINTS[type]] as Triple | Triple[];
    const lps = (type === "point" ? [given] : given) as Triple[];
    return [{ type, className: String(mark.class), points: lps.map((point) => voxelOf(grid, point)) }];
  });
}

/** What a mark is in the plane across an axis: lines from voxel to voxel; nothing where it does not meet that slice. */
export function linesIn(mark: Mark, axis: number, slice: number): [Triple, Triple][] {
  const at = mark.points.map((p) => p[axis]);
  const [low, high] = [Math.min(...at), Math.max(...at)];
  if (slice < low - 0.5 || slice > high + 0.5) return [];
  const { points } = mark;
  if (mark.type === "point") return [[points[0], points[0]]];
  if (mark.type === "box") return rectangle(points[0], points[1], axis);
  // Of a diameter every two points are one axis; of a scribble every one goes on from the one before.
  const step = mark.type === "recist" ? 2 : 1;
  const pairs: [Triple, Triple][] = [];
  for (let i = 0; i + 1 < points.length; i += step) pairs.push([points[i], points[i + 1]]);
  return pairs.length > 0 ? pairs : [[points[0], points[0]]];
}

function rectangle(a: Triple, b: Triple, axis: number): [Triple, Triple][] {
  const [u, v] = [0, 1, 2].filter((one) => one !== axis);
  // Corners are the middles of voxels that lie inside.
  const low = [u, v].map((one) => Math.min(a[one], b[one]) - 0.5);
  const high = [u, v].map((one) => Math.max(a[one], b[one]) + 0.5);
  const corner = (x: number, y: number): Triple => {
    const found: Triple = [...a];
    [found[u], found[v]] = [x, y];
    return found;
  };
  const around = [corner(low[0], low[1]), corner(high[0], low[1]), corner(high[0], high[1]), corner(low[0], high[1])];
  return around.map((point, i) => [point, around[(i + 1) % 4]]);
}
