/** NIfTI-1: read what a bundle holds, and write label maps so that the same voxels are always the same bytes. */

import { Gunzip, gzipSync } from "fflate";
import { gridOf, type Grid, type Triple } from "./grid.ts";

export type Voxels =
  | Uint8Array
  | Int8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array;

export type LabelArray = Uint8Array | Uint16Array;

export interface Volume {
  /** Values as stored, the first axis of the grid fastest: `slope · v + inter` is what they mean. */
  voxels: Voxels;
  slope: number;
  inter: number;
  grid: Grid;
  /** The 348 bytes of the header. */
  header: Uint8Array;
}

/** A file that is not what it should be; the text names the file. */
export class Unreadable extends Error {}

const HEADER = 348;
const OFFSET = 352;

interface Form {
  bytes: number;
  make(buffer: ArrayBuffer, offset: number, count: number): Voxels;
}

const FORMS: Record<number, Form> = {
  2: { bytes: 1, make: (b, o, n) => new Uint8Array(b, o, n) },
  4: { bytes: 2, make: (b, o, n) => new Int16Array(b, o, n) },
  8: { bytes: 4, make: (b, o, n) => new Int32Array(b, o, n) },
  16: { bytes: 4, make: (b, o, n) => new Float32Array(b, o, n) },
  64: { bytes: 8, make: (b, o, n) => new Float64Array(b, o, n) },
  256: { bytes: 1, make: (b, o, n) => new Int8Array(b, o, n) },
  512: { bytes: 2, make: (b, o, n) => new Uint16Array(b, o, n) },
  768: { bytes: 4, make: (b, o, n) => new Uint32Array(b, o, n) },
};

/**
 * Unpack a gzip file into one buffer.
 *
 * @param isIntact whether the file is known to be as it was sent: what browsers refuse, since it is packed in several
 * pieces one after the other (as by bgzip), is then unpacked without a look at its checksums
 */
export async function gunzip(file: Blob, isIntact = false): Promise<ArrayBuffer> {
  try {
    return await joinedUp(file.stream().pipeThrough(new DecompressionStream("gzip")));
  } catch (error) {
    if (!isIntact || error instanceof Unreadable) throw error;
    return await joinedUp(pieces(file));
  }
}

/** What a gzip file of several pieces holds. */
export function pieces(file: Blob): ReadableStream<Uint8Array> {
  const unpack = new Gunzip();
  return file.stream().pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      start: (to) => void (unpack.ondata = (part) => to.enqueue(part)),
      transform: (part) => unpack.push(part),
      flush: () => unpack.push(new Uint8Array(0), true),
    }),
  );
}

async function joinedUp(stream: ReadableStream<Uint8Array>): Promise<ArrayBuffer> {
  const reader = stream.getReader();
  const parts: Uint8Array[] = [];
  let size = 0;
  let whole: Uint8Array<ArrayBuffer> | null = null;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (whole === null) {
      parts.push(value);
      size += value.length;
      // The header says how large it gets: no second copy of all of it is needed.
      if (size >= OFFSET) {
        const expected = expectedBytes(joined(parts, size));
        whole = new Uint8Array(Math.max(expected, size));
        let at = 0;
        for (const part of parts) {
          whole.set(part, at);
          at += part.length;
        }
      }
    } else {
      if (size + value.length > whole.length) throw new Unreadable("is longer than its header says");
      whole.set(value, size);
      size += value.length;
    }
  }
  if (whole === null || size < whole.length) throw new Unreadable("is cut off");
  return whole.buffer;
}

function joined(parts: Uint8Array[], size: number): Uint8Array {
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function expectedBytes(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = isLittle(view);
  const { shape, form, offset } = layoutOf(view, little);
  return offset + shape[0] * shape[1] * shape[2] * form.bytes;
}

function isLittle(view: DataView): boolean {
  if (view.byteLength < OFFSET) throw new Unreadable("is cut off");
  const little = view.getInt32(0, true) === HEADER;
  if (!little && view.getInt32(0, false) !== HEADER) throw new Unreadable("is not NIfTI-1");
  if (view.getUint8(344) !== 0x6e || view.getUint8(345) !== 0x2b) throw new Unreadable("is not NIfTI-1 in one file");
  return little;
}

function layoutOf(view: DataView, little: boolean): { shape: Triple; form: Form; offset: number } {
  const dims = view.getInt16(40, little);
  const shape = [42, 44, 46].map((at) => view.getInt16(at, little)) as Triple;
  const more = [48, 50, 52, 54].slice(0, Math.max(0, dims - 3)).some((at) => view.getInt16(at, little) > 1);
  if (dims < 3 || dims > 7 || more || shape.some((n) => n < 1)) throw new Unreadable("is not one 3-D volume");
  const form = FORMS[view.getInt16(70, little)];
  if (form === undefined) throw new Unreadable("holds values of a type that is not read");
  const offset = view.getFloat32(108, little);
  if (!(offset >= OFFSET && offset < 1 << 24) || offset % 8 !== 0) throw new Unreadable("is damaged");
  return { shape, form, offset };
}

/** Read an unpacked NIfTI-1 file. */
export function parse(buffer: ArrayBuffer): Volume {
  const view = new DataView(buffer);
  const little = isLittle(view);
  const { shape, form, offset } = layoutOf(view, little);
  const count = shape[0] * shape[1] * shape[2];
  if (buffer.byteLength < offset + count * form.bytes) throw new Unreadable("is cut off");
  if (!little) swap(new Uint8Array(buffer, offset, count * form.bytes), form.bytes);
  const slope = view.getFloat32(112, little);
  const scaled = Number.isFinite(slope) && slope !== 0;
  return {
    voxels: form.make(buffer, offset, count),
    slope: scaled ? slope : 1,
    inter: scaled ? view.getFloat32(116, little) || 0 : 0,
    grid: readGrid(view, little, shape),
    header: new Uint8Array(buffer.slice(0, HEADER)),
  };
}

function swap(bytes: Uint8Array, size: number): void {
  for (let at = 0; size > 1 && at < bytes.length; at += size) bytes.subarray(at, at + size).reverse();
}

function readGrid(view: DataView, little: boolean, shape: Triple): Grid {
  const f = (at: number) => view.getFloat32(at, little);
  const steps = [f(80), f(84), f(88)].map((s) => Math.abs(s) || 1) as Triple;
  if (view.getInt16(254, little) > 0) {
    const rows = [280, 296, 312].map((at) => [f(at), f(at + 4), f(at + 8)] as Triple);
    return gridOf(shape, rows as [Triple, Triple, Triple], [f(292), f(308), f(324)]);
  }
  if (view.getInt16(252, little) > 0) {
    const [b, c, d] = [f(256), f(260), f(264)];
    const a = Math.sqrt(Math.max(0, 1 - b * b - c * c - d * d));
    const side = f(76) < 0 ? -1 : 1;
    const turn: Triple[] = [
      [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
      [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
      [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ];
    const rows = turn.map((r) => [r[0] * steps[0], r[1] * steps[1], r[2] * steps[2] * side] as Triple);
    return gridOf(shape, rows as [Triple, Triple, Triple], [f(268), f(272), f(276)]);
  }
  return gridOf(shape, [[steps[0], 0, 0], [0, steps[1], 0], [0, 0, steps[2]]], [0, 0, 0]);
}

/** A label map as the smallest of two types that holds `mostId`. */
export function asLabels(volume: Volume, mostId: number): LabelArray {
  const { voxels } = volume;
  if (volume.slope !== 1 || volume.inter !== 0) throw new Unreadable("is not a label map, but holds scaled values");
  if (voxels instanceof Uint8Array && mostId < 256 && voxels.every((v) => v <= mostId)) return voxels;
  const labels = mostId < 256 ? new Uint8Array(voxels.length) : new Uint16Array(voxels.length);
  for (let i = 0; i < voxels.length; i++) {
    const value = voxels[i];
    if (!(value >= 0 && value <= mostId) || value !== Math.trunc(value))
      throw new Unreadable(`is not a label map of these classes, since it holds: ${value}`);
    labels[i] = value;
  }
  return labels;
}

/**
 * A label map as `.nii.gz` with the geometry of a header, in the smallest unsigned type that holds it.
 *
 * The header is that of the label that was sent, little-endian as voxledger writes it.
 */
export function writeLabels(labels: LabelArray, header: Uint8Array): Uint8Array {
  let most = 0;
  for (let i = 0; i < labels.length; i++) if (labels[i] > most) most = labels[i];
  const wide = most > 255;
  const file = new Uint8Array(OFFSET + labels.length * (wide ? 2 : 1));
  file.set(header.subarray(0, HEADER));
  const view = new DataView(file.buffer);
  if (view.getInt32(0, true) !== HEADER) throw new Unreadable("is not little-endian");
  view.setInt16(70, wide ? 512 : 2, true);
  view.setInt16(72, wide ? 16 : 8, true);
  view.setFloat32(108, OFFSET, true);
  view.setFloat32(112, 1, true);
  view.setFloat32(116, 0, true);
  if (wide) for (let i = 0; i < labels.length; i++) view.setUint16(OFFSET + 2 * i, labels[i], true);
  else file.set(labels, OFFSET);
  return gzipSync(file, { level: 6, mtime: 0 });
}
