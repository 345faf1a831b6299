/** Where voxels lie in the patient: as in `voxledger.imaging.volume`, with the same tolerances. */

export type Triple = [number, number, number];

export interface Grid {
  /** Voxels along the three axes of the file, the fastest first. */
  shape: Triple;
  /** Step in millimetres along each of these axes. */
  spacing: Triple;
  /** Unit vectors of the axes, one a row, in RAS. */
  axes: [Triple, Triple, Triple];
  /** The first voxel in RAS millimetres. */
  origin: Triple;
}

const SPACING_MM = 1e-3;
const ORIGIN_MM = 1e-2;
const DIRECTION = 1e-4;

/** A grid from the columns of a matrix that takes voxels to RAS millimetres. */
export function gridOf(shape: Triple, matrix: [Triple, Triple, Triple], origin: Triple): Grid {
  const spacing = [0, 1, 2].map((a) => Math.hypot(matrix[0][a], matrix[1][a], matrix[2][a])) as Triple;
  const axes = [0, 1, 2].map((a) => [0, 1, 2].map((r) => matrix[r][a] / (spacing[a] || 1)) as Triple);
  return { shape, spacing, axes: axes as [Triple, Triple, Triple], origin };
}

/** The voxel, with fractions, at a point of the patient (LPS, in millimetres). */
export function voxelOf({ axes, origin, spacing }: Grid, [left, posterior, superior]: Triple): Triple {
  const from = [-left - origin[0], -posterior - origin[1], superior - origin[2]];
  return [0, 1, 2].map((a) => from.reduce((sum, v, i) => sum + v * axes[a][i], 0) / spacing[a]) as Triple;
}

/** How two grids differ, in words; empty where they are the same within the tolerances. */
export function differences(a: Grid, b: Grid): string[] {
  const found: string[] = [];
  const numbers = (v: number[]) => v.map((x) => String(Number(x.toPrecision(5)))).join(" × ");
  const most = (f: (i: number) => number) => Math.max(f(0), f(1), f(2));
  if (a.shape.some((n, i) => n !== b.shape[i])) found.push(`${numbers(a.shape)} / ${numbers(b.shape)} voxels`);
  if (!(most((i) => Math.abs(a.spacing[i] - b.spacing[i])) <= SPACING_MM))
    found.push(`${numbers(a.spacing)} / ${numbers(b.spacing)} mm`);
  if (!(Math.hypot(...a.origin.map((v, i) => v - b.origin[i])) <= ORIGIN_MM))
    found.push(`origin ${numbers(a.origin)} / ${numbers(b.origin)} mm`);
  if (!(most((i) => most((j) => Math.abs(a.axes[i][j] - b.axes[i][j]))) <= DIRECTION)) found.push("direction");
  return found;
}

/** One way of looking at a volume: two axes of the file on the screen, and the one that is looked along. */
export interface Plane {
  name: "axial" | "coronal" | "sagittal";
  /** Axis of the file from left to right, and whether it is mirrored. */
  u: number;
  uFlip: boolean;
  /** Axis of the file from top to bottom, and whether it is mirrored. */
  v: number;
  vFlip: boolean;
  /** Axis of the file that is looked along. */
  n: number;
  /** Letters at the left, right, top and bottom. */
  letters: [string, string, string, string];
}

/** Which axis of the file runs closest to right, anterior and superior, and whether it points that way. */
export function anatomicalAxes(grid: Grid): { axis: number; positive: boolean }[] {
  const orders = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ];
  const fit = (order: number[]) => order.reduce((sum, axis, r) => sum + Math.abs(grid.axes[axis][r]), 0);
  const best = orders.reduce((a, b) => (fit(b) > fit(a) + 1e-9 ? b : a));
  return best.map((axis, r) => ({ axis, positive: grid.axes[axis][r] > 0 }));
}

/** The three planes as radiologists look at them: the patient's right at the left, anterior and superior up. */
export function planesOf(grid: Grid): Plane[] {
  const [right, anterior, superior] = anatomicalAxes(grid);
  // What grows to the left, to the posterior or to the feet is drawn from left to right, and from top to bottom.
  const plane = (
    name: Plane["name"],
    u: typeof right,
    v: typeof right,
    n: typeof right,
    letters: Plane["letters"],
  ): Plane => ({ name, u: u.axis, uFlip: u.positive, v: v.axis, vFlip: v.positive, n: n.axis, letters });
  return [
    plane("axial", right, anterior, superior, ["R", "L", "A", "P"]),
    plane("coronal", right, superior, anterior, ["R", "L", "S", "I"]),
    plane("sagittal", anterior, superior, right, ["A", "P", "S", "I"]),
  ];
}

/** Degrees by which the axes of the file are turned against those of the patient. */
export function tilt(grid: Grid): number {
  const cosines = anatomicalAxes(grid).map(({ axis }, r) => Math.min(1, Math.abs(grid.axes[axis][r])));
  return (Math.acos(Math.min(...cosines)) * 180) / Math.PI;
}
