import { gzipSync } from "fflate";
import { Schema } from "../src/schema.ts";

export const SCHEMA = new Schema([
  { id: 1, name: "liver" },
  { id: 2, name: "pancreas" },
  { id: 3, name: "lesion", inside: "pancreas", lesion: true },
  { id: 4, name: "spleen" },
]);

/** A NIfTI-1 file by hand. */
export function nifti(
  shape: [number, number, number],
  type: number,
  bits: number,
  rows: number[][],
  values: (view: DataView, at: number, i: number, little: boolean) => void,
  little = true,
): ArrayBuffer {
  const count = shape[0] * shape[1] * shape[2];
  const buffer = new ArrayBuffer(352 + (count * bits) / 8);
  const view = new DataView(buffer);
  view.setInt32(0, 348, little);
  [3, ...shape, 1, 1, 1, 1].forEach((n, i) => view.setInt16(40 + 2 * i, n, little));
  view.setInt16(70, type, little);
  view.setInt16(72, bits, little);
  view.setFloat32(108, 352, little);
  view.setInt16(254, 1, little);
  rows.forEach((row, r) => row.forEach((v, c) => view.setFloat32(280 + 16 * r + 4 * c, v, little)));
  [0x6e, 0x2b, 0x31, 0].forEach((byte, i) => view.setUint8(344 + i, byte));
  for (let i = 0; i < count; i++) values(view, 352 + (i * bits) / 8, i, little);
  return buffer;
}

export const packed = (buffer: ArrayBuffer) => new Blob([gzipSync(new Uint8Array(buffer)) as Uint8Array<ArrayBuffer>]);
