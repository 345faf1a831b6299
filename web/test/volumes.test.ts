import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "fflate";
import { differences, planesOf, tilt } from "../src/grid.ts";
import { asLabels, gunzip, parse, pieces, writeLabels } from "../src/nifti.ts";
import { nifti, packed } from "./_helpers.ts";

const RAS = [
  [2, 0, 0, -10],
  [0, 3, 0, -20],
  [0, 0, 4, -30],
];
const shape: [number, number, number] = [3, 4, 5];

for (const little of [true, false])
  test(`values and grid are read, ${little ? "little" : "big"}-endian`, async () => {
    const file = nifti(shape, 4, 16, RAS, (view, at, i, le) => view.setInt16(at, i - 7, le), little);
    const volume = parse(await gunzip(packed(file)));
    assert.deepEqual([...volume.voxels].slice(0, 3), [-7, -6, -5]);
    assert.deepEqual(volume.grid.spacing, [2, 3, 4]);
    assert.deepEqual(volume.grid.origin, [-10, -20, -30]);
  });

test("a gzip file of several pieces is unpacked, whole or not at all", async () => {
  const whole = new Uint8Array(nifti(shape, 2, 8, RAS, (view, at, i) => view.setUint8(at, i)));
  const packed = [whole.slice(0, 300), whole.slice(300, 380), whole.slice(380)].map((part) => gzipSync(part));
  const unpacked = (parts: Uint8Array[]) => new Response(pieces(new Blob(parts as Uint8Array<ArrayBuffer>[]))).arrayBuffer();
  assert.deepEqual(new Uint8Array(await unpacked(packed)), whole);
  await assert.rejects(unpacked([packed[0], packed[1].subarray(0, 30)]));
});

test("what is cut off, of four dimensions, or of another type is refused", async () => {
  const whole = nifti(shape, 2, 8, RAS, () => undefined);
  await assert.rejects(gunzip(packed(whole.slice(0, 380))), /cut off/);
  const four = whole.slice(0);
  new DataView(four).setInt16(40, 4, true);
  new DataView(four).setInt16(48, 2, true);
  assert.throws(() => parse(four), /3-D/);
  const odd = whole.slice(0);
  new DataView(odd).setInt16(70, 128, true);
  assert.throws(() => parse(odd), /type/);
  assert.throws(() => parse(new ArrayBuffer(400)), /NIfTI/);
});

test("label maps: the same voxels are the same bytes, in the smallest type, with the geometry that was sent", async () => {
  const sent = parse(nifti(shape, 2, 8, RAS, (view, at, i) => view.setUint8(at, i % 3)));
  const labels = asLabels(sent, 300).slice();
  const once = writeLabels(labels, sent.header);
  assert.deepEqual(once, writeLabels(labels, sent.header));
  const back = parse(await gunzip(new Blob([once as Uint8Array<ArrayBuffer>])));
  assert.ok(back.voxels instanceof Uint8Array);
  assert.deepEqual([...back.voxels], [...labels]);
  assert.deepEqual(differences(back.grid, sent.grid), []);
  labels[5] = 300;
  const wide = parse(await gunzip(new Blob([writeLabels(labels, sent.header) as Uint8Array<ArrayBuffer>])));
  assert.deepEqual([...wide.voxels], [...labels]);
});

test("ids that are no class, fractions and scaled values are no label map", () => {
  const floats = parse(nifti(shape, 16, 32, RAS, (view, at, i) => view.setFloat32(at, i === 3 ? 0.5 : 1, true)));
  assert.throws(() => asLabels(floats, 4), /0\.5/);
  const large = parse(nifti(shape, 4, 16, RAS, (view, at) => view.setInt16(at, 9, true)));
  assert.throws(() => asLabels(large, 4), /9/);
  const bytes = parse(nifti(shape, 2, 8, RAS, (view, at) => view.setUint8(at, 9)));
  assert.throws(() => asLabels(bytes, 4), /9/);
  assert.throws(() => asLabels({ ...large, slope: 2 }, 9), /scaled/);
});

test("grids differ by more than the tolerances of voxledger", () => {
  const grid = (rows: number[][], size = shape) => parse(nifti(size, 2, 8, rows, () => undefined)).grid;
  const moved = (mm: number) => RAS.map((row, r) => (r === 2 ? [...row.slice(0, 3), row[3] + mm] : row));
  assert.deepEqual(differences(grid(RAS), grid(moved(0.005))), []);
  assert.match(differences(grid(RAS), grid(moved(30))).join(), /origin/);
  assert.match(differences(grid(RAS), grid(RAS, [3, 4, 6])).join(), /voxels/);
  assert.match(differences(grid(RAS), grid(RAS.map((row) => row.map((v, i) => (i === 0 ? -v : v))))).join(), /direction/);
  assert.match(differences(grid(RAS), grid([[2.1, 0, 0, -10], RAS[1], RAS[2]])).join(), /mm/);
});

test("planes show the patient's right at the left, anterior and superior up, whatever the order of axes", () => {
  // Axes of the file: posterior, superior, left.
  const rows = [
    [0, 0, -2, 50],
    [-2, 0, 0, 50],
    [0, 2, 0, -50],
  ];
  const [axial, coronal, sagittal] = planesOf(parse(nifti(shape, 2, 8, rows, () => undefined)).grid);
  assert.deepEqual([axial.u, axial.uFlip, axial.v, axial.vFlip, axial.n], [2, false, 0, false, 1]);
  assert.deepEqual([coronal.u, coronal.v, coronal.vFlip, coronal.n], [2, 1, true, 0]);
  assert.deepEqual([sagittal.u, sagittal.uFlip, sagittal.v, sagittal.n], [0, false, 1, 2]);
  const [ras] = planesOf(parse(nifti(shape, 2, 8, RAS, () => undefined)).grid);
  assert.deepEqual([ras.u, ras.uFlip, ras.v, ras.vFlip], [0, true, 1, true]);
  const [c, s] = [Math.cos(0.2), Math.sin(0.2)];
  const turned = parse(nifti(shape, 2, 8, [[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0]], () => undefined)).grid;
  assert.equal(tilt(turned).toFixed(1), "11.5");
});
