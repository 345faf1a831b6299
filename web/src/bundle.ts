/** A bundle as it is opened: where its files are read from, what it asks, and the volumes of one case. */

import { fromCsv, blankRow, type Row } from "./csv.ts";
import { modelOf, type Model } from "./clicks.ts";
import { differences, type Grid } from "./grid.ts";
import { asLabels, gunzip, parse, Unreadable, type LabelArray, type Volume } from "./nifti.ts";
import { places, type Place } from "./places.ts";
import { readingPath, readingsOf, type Reading } from "./readings.ts";
import { Schema, type LabelClass } from "./schema.ts";
import { linkOf } from "./send.ts";
import { marksOf, type WeakLabel } from "./weak.ts";
import { Zip } from "./zip.ts";

/** Where the files of a bundle are. */
export interface Source {
  read(path: string): Promise<Blob | null>;
  /** Paths of all files below `labels/`, where that can be told. */
  labels?(): Promise<string[]>;
  /** Only where results can be put beside what was sent. */
  write?(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Where `write` is; of what is not there nothing is said. */
  remove?(path: string): Promise<void>;
  /** The model that runs beside it, if there is one. */
  model?(): Promise<Model | null>;
}

export interface Manifest {
  id: string;
  dataset: string;
  round: number;
  reviewer: string;
  label_schema: { classes: LabelClass[] };
  asked: { case_id: string; class_name: string }[];
  voxels: Record<string, number>;
  files: Record<string, { sha256: string; bytes: number }>;
}

/** Why a bundle or case is not opened: a key of `texts.ts` with what to fill in. */
export class Refused extends Error {
  constructor(
    readonly key: string,
    readonly values: Record<string, string> = {},
  ) {
    super(`${key} ${Object.values(values).join(" ")}`);
  }
}

const MANIFEST = "bundle.json";
export const TABLE = "decisions.csv";
const NOTES = "review.json";
const READINGS = "readings.csv";
const LINK = "return.json";
const LABELS = "labels/";

/** How well a class of a case is expected to be labelled, as Dice with its interval. */
export interface Predicted {
  dice: number;
  low: number | null;
  high: number | null;
}

export class Bundle {
  readonly schema: Schema;
  readonly cases: string[];
  /** What a file of notes says of cases. */
  private notes: Notes = {};
  /** Lines of the table as it was found. */
  rows: Row[] = [];
  /** What readers said, where this is the bundle of who settles it. */
  readings: Reading[] = [];
  /** Where the return may be sent to. */
  link: URL | null = null;

  private constructor(
    readonly source: Source,
    readonly manifest: Manifest,
    readonly manifestBytes: Uint8Array<ArrayBuffer>,
  ) {
    this.schema = new Schema(manifest.label_schema.classes);
    this.cases = [...new Set(manifest.asked.map((a) => a.case_id))].sort();
  }

  get name(): string {
    return `bundle-r${String(this.manifest.round).padStart(2, "0")}-${this.manifest.reviewer}`;
  }

  asked(caseId: string): string[] {
    return this.manifest.asked.filter((a) => a.case_id === caseId).map((a) => a.class_name);
  }

  modality(caseId: string): string {
    return String(this.note(caseId).modality ?? "");
  }

  /** Null where nobody predicted it. */
  predicted(caseId: string, className: string): Predicted | null {
    const classes = this.note(caseId).classes;
    const said = (Object.hasOwn(classes ?? {}, className) ? classes![className] : null) ?? {};
    const number = (value: unknown) => (typeof value === "number" ? value : null);
    const dice = number(said.predicted_dice);
    if (dice === null) return null;
    return { dice, low: number(said.predicted_dice_low), high: number(said.predicted_dice_high) };
  }

  private note(caseId: string): Note {
    return (Object.hasOwn(this.notes, caseId) ? this.notes[caseId] : null) ?? {};
  }

  /** What readers said of a class. */
  readingsOf(caseId: string, className: string): Reading[] {
    return this.readings.filter((one) => one.caseId === caseId && one.className === className);
  }

  /** Whether a reader drew a label of a case. */
  hasDrawing({ reader, caseId }: Reading): boolean {
    return Object.hasOwn(this.manifest.files, readingPath(reader, caseId));
  }

  /** The text of the table as it lies there now; empty where there is none. */
  async table(): Promise<string> {
    const file = await this.source.read(TABLE);
    return file === null ? "" : decoded(await file.arrayBuffer());
  }

  /**
   * Labels in other formats, or under other names, that are not as they were sent.
   *
   * They count for `receive`, and this page does not show them.
   */
  async otherLabels(): Promise<string[]> {
    const { files } = this.manifest;
    const own = new Set(this.cases.map(labelPath));
    const paths = (await this.source.labels?.()) ?? Object.keys(files).filter((path) => path.startsWith(LABELS));
    const found: string[] = [];
    for (const path of paths.filter((path) => !own.has(path) && !/(^|\/)(\.[^/]*|Thumbs\.db|desktop\.ini)$/i.test(path))) {
      const file = Object.hasOwn(files, path) ? await this.source.read(path) : null;
      const asSent = file !== null && (await sha256(await file.arrayBuffer())) === files[path].sha256;
      const isGone = file === null && Object.hasOwn(files, path);
      if (!asSent && !isGone) found.push(path);
    }
    return found.sort();
  }

  static async open(source: Source): Promise<Bundle> {
    const file = await source.read(MANIFEST);
    if (file === null) throw new Refused("noBundle");
    const bytes = new Uint8Array(await file.arrayBuffer());
    const manifest = checked(bytes);
    const bundle = new Bundle(source, manifest, bytes);
    bundle.rows = rowsOf(manifest, linesOf(manifest, await bundle.table()));
    bundle.notes = await readNotes(source, manifest);
    bundle.readings = readingsOf((await (await sentFile(bundle, READINGS))?.text()) ?? "");
    bundle.link = linkOf((await (await source.read(LINK))?.text()) ?? "");
    return bundle;
  }
}

/** Lines of a table about classes and cases of the bundle; of two for one class, the one with a decision. */
export function linesOf(manifest: Manifest, text: string): Row[] {
  const names = new Set(manifest.label_schema.classes.map((c) => c.name));
  const found = new Map<string, Row>();
  for (const row of fromCsv(text))
    if (names.has(row.className) && Object.hasOwn(manifest.voxels, row.caseId))
      if (row.decision !== null || !found.has(key(row))) found.set(key(row), row);
  return [...found.values()];
}

function decoded(buffer: ArrayBuffer): string {
  const [a, b] = new Uint8Array(buffer.slice(0, 2));
  if (a === 0xff && b === 0xfe) return new TextDecoder("utf-16le").decode(buffer);
  if (a === 0xfe && b === 0xff) return new TextDecoder("utf-16be").decode(buffer);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(buffer);
  } catch {
    return new TextDecoder("windows-1252").decode(buffer);
  }
}

function checked(bytes: Uint8Array): Manifest {
  try {
    const manifest = JSON.parse(new TextDecoder().decode(bytes)) as Manifest;
    const names = new Set(manifest.label_schema.classes.map((c) => c.name));
    const sound =
      [manifest.id, manifest.dataset, manifest.reviewer].every((v) => typeof v === "string") &&
      Number.isInteger(manifest.round) &&
      manifest.label_schema.classes.every(
        (c) => Number.isInteger(c.id) && c.id > 0 && c.id < 65535 && (c.inside == null || names.has(c.inside)),
      ) &&
      manifest.asked.every((a) => names.has(a.class_name) && typeof a.case_id === "string") &&
      typeof manifest.files === "object";
    if (!sound) throw new Error();
    return manifest;
  } catch {
    throw new Refused("badManifest");
  }
}

/** What a line is about. */
export const key = ({ caseId, className }: { caseId: string; className: string }) => `${caseId}\n${className}`;

/** One line for everything that was asked, in that order, then those that the reviewer added. */
function rowsOf(manifest: Manifest, found: Row[]): Row[] {
  const known = new Map(found.map((row) => [key(row), row]));
  const asked = manifest.asked.map((a) => {
    const blank = blankRow(a.case_id, a.class_name);
    return known.get(key(blank)) ?? blank;
  });
  const keys = new Set(asked.map(key));
  return [...asked, ...[...known.values()].filter((row) => !keys.has(key(row)))];
}

interface Note {
  modality?: unknown;
  classes?: Record<string, Record<string, unknown>>;
}
type Notes = Record<string, Note>;

async function readNotes(source: Source, manifest: Manifest): Promise<Notes> {
  const file = Object.hasOwn(manifest.files, NOTES) ? await source.read(NOTES) : null;
  if (file === null) return {};
  try {
    return (JSON.parse(await file.text()) as { cases?: Notes }).cases ?? {};
  } catch {
    return {};
  }
}

/** The label of a case: as it was sent, and as it was found where that is something else. */
export interface CaseLabels {
  sent: LabelArray;
  /** Header of the file that was sent. */
  header: Uint8Array;
  grid: Grid;
  sentBytes: ArrayBuffer;
  /** SHA-256 of what lies in the bundle now. */
  hash: string;
  /** The same as a label map, where it is neither as it was sent nor as this page wrote it. */
  found: LabelArray | null;
  /** Whether what was sent is not here any more, so that `sent` is what was found. */
  unknown: boolean;
}

/** The volumes of one case, on one grid. */
export interface CaseImages {
  image: Volume;
  hasHeat: boolean;
  weak: WeakLabel | null;
  /** Components of attention by class id, the largest first. */
  places: Map<number, Place[]>;
}

export const labelPath = (caseId: string) => `labels/${caseId}.nii.gz`;

/**
 * @param kept the label that was sent, where this browser kept it before it wrote another one over it
 * @param known SHA-256 of what this page wrote over it, or has taken over from there
 */
export async function openLabels(
  bundle: Bundle,
  caseId: string,
  kept: ArrayBuffer | undefined,
  known: string | undefined,
): Promise<CaseLabels> {
  const path = labelPath(caseId);
  const file = await bundle.source.read(path);
  if (file === null) throw new Refused("missing", { file: path });
  const bytes = await file.arrayBuffer();
  const hash = await sha256(bytes);
  const expected = bundle.manifest.files[path]?.sha256;
  let [sentBytes, found, unknown]: [ArrayBuffer, ArrayBuffer | null, boolean] = [bytes, null, false];
  if (hash !== expected) {
    const keptHash = kept === undefined ? "" : await sha256(kept);
    unknown = keptHash !== expected;
    if (!unknown) [sentBytes, found] = [kept!, hash === known ? null : bytes];
  }
  const volume = await readVolume(new Blob([sentBytes]), path);
  const { mostId } = bundle.schema;
  const read = (v: Volume) => named(path, () => asLabels(v, mostId));
  const foundVolume = found === null ? null : await readVolume(new Blob([found]), path);
  if (foundVolume !== null) requireSameGrid(foundVolume.grid, volume.grid, caseId, path);
  return {
    sent: read(volume),
    header: volume.header,
    grid: volume.grid,
    sentBytes,
    hash,
    found: foundVolume === null ? null : read(foundVolume),
    unknown,
  };
}

export async function openImages(bundle: Bundle, caseId: string, grid: Grid): Promise<CaseImages> {
  const path = `images/${caseId}.nii.gz`;
  const marks = `attention/${caseId}_attention.nii.gz`;
  const [image, attention, weak] = await Promise.all([
    sentVolume(bundle, path),
    sentVolume(bundle, marks),
    openWeak(bundle, caseId, grid),
  ]);
  if (image === null) throw new Refused("missing", { file: path });
  requireSameGrid(grid, image.grid, caseId, labelPath(caseId));
  if (attention !== null) requireSameGrid(attention.grid, image.grid, caseId, marks);
  const marked = attention === null ? null : named(marks, () => asLabels(attention, bundle.schema.mostId));
  return {
    image,
    hasHeat: Object.hasOwn(bundle.manifest.files, heatPath(caseId)),
    weak,
    places: marked === null ? new Map() : places(marked, image.grid.shape),
  };
}

async function openWeak(bundle: Bundle, caseId: string, grid: Grid): Promise<WeakLabel | null> {
  const [drawn, measured] = [`weak/${caseId}.nii.gz`, `weak/${caseId}.json`];
  const volume = await sentVolume(bundle, drawn);
  if (volume !== null) {
    requireSameGrid(volume.grid, grid, caseId, drawn);
    const { voxels } = volume;
    const isPlain = voxels instanceof Uint8Array || voxels instanceof Uint16Array;
    return { drawn: isPlain ? voxels : new Uint16Array(voxels), marks: [] };
  }
  const file = await sentFile(bundle, measured);
  return file === null ? null : { drawn: null, marks: marksOf(await file.text(), grid) };
}

/** The label that a reader drew. */
export async function openReading(bundle: Bundle, reader: string, caseId: string, grid: Grid): Promise<LabelArray> {
  const path = readingPath(reader, caseId);
  const volume = await sentVolume(bundle, path);
  if (volume === null) throw new Refused("missing", { file: path });
  requireSameGrid(volume.grid, grid, caseId, path);
  return named(path, () => asLabels(volume, bundle.schema.mostId));
}

const heatPath = (caseId: string) => `attention/${caseId}_heat.nii.gz`;

/** Where an error is likely, 0 to 255; only where it is asked for, since it is as large as the image. */
export async function openHeat(bundle: Bundle, caseId: string, grid: Grid): Promise<Uint8Array | null> {
  const volume = await sentVolume(bundle, heatPath(caseId));
  if (volume === null) return null;
  requireSameGrid(volume.grid, grid, caseId, heatPath(caseId));
  return asHeat(volume);
}

function asHeat(volume: Volume): Uint8Array {
  const { voxels } = volume;
  let most = 0;
  for (let i = 0; i < voxels.length; i++) if (voxels[i] > most) most = voxels[i];
  const found = new Uint8Array(voxels.length);
  if (most > 0) for (let i = 0; i < voxels.length; i++) found[i] = voxels[i] > 0 ? (255 * voxels[i]) / most : 0;
  return found;
}

function requireSameGrid(label: Grid, image: Grid, caseId: string, file: string): void {
  const found = differences(label, image);
  if (found.length > 0) throw new Refused("otherGrid", { case: caseId, file, how: found.join("; ") });
}

/** A file of the packing list, which has to be as it was sent; null where there is none. */
async function sentFile(bundle: Bundle, path: string): Promise<Blob | null> {
  const listed = Object.hasOwn(bundle.manifest.files, path) ? bundle.manifest.files[path] : undefined;
  if (listed === undefined) return null;
  const file = await bundle.source.read(path);
  if (file === null) return null;
  if ((await sha256(await file.arrayBuffer())) !== listed.sha256) throw new Refused("altered", { file: path });
  return file;
}

async function sentVolume(bundle: Bundle, path: string): Promise<Volume | null> {
  const file = await sentFile(bundle, path);
  return file === null ? null : await readVolume(file, path, true);
}

async function readVolume(file: Blob, path: string, isIntact = false): Promise<Volume> {
  try {
    return parse(await gunzip(file, isIntact));
  } catch (error) {
    throw new Refused("unreadable", { file: path, how: error instanceof Unreadable ? error.message : "is damaged" });
  }
}

function named<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new Refused("unreadable", { file: path, how: error instanceof Error ? error.message : "" });
  }
}

export async function sha256(bytes: ArrayBuffer | Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (b) => b.toString(16).padStart(2, "0")).join("");
}

/** Paths in a listing without the folder that the bundle lies in. */
function insideBundle<T>(files: Map<string, T>): Map<string, T> {
  const roots = [...files.keys()].filter((p) => p === MANIFEST || p.endsWith(`/${MANIFEST}`));
  roots.sort((a, b) => a.split("/").length - b.split("/").length);
  if (roots.length === 0) throw new Refused("noBundle");
  if (roots.length > 1) throw new Refused("severalBundles");
  const prefix = roots[0].slice(0, -MANIFEST.length);
  return new Map([...files].filter(([p]) => p.startsWith(prefix)).map(([p, f]) => [p.slice(prefix.length), f]));
}

export function fromFiles(list: Iterable<File>): Source {
  const files = insideBundle(new Map([...list].map((f) => [f.webkitRelativePath || f.name, f])));
  return {
    read: async (path) => files.get(path) ?? null,
    labels: async () => [...files.keys()].filter((path) => path.startsWith(LABELS)),
  };
}

export async function fromZip(file: File): Promise<Source> {
  const zip = await Zip.open(file).catch((error: Error) => {
    throw new Refused("unreadable", { file: file.name, how: error.message });
  });
  const paths = insideBundle(new Map([...zip.entries.keys()].map((p) => [p, p])));
  return {
    read: async (path) => {
      const inside = paths.get(path);
      return inside === undefined ? null : await zip.read(inside);
    },
    labels: async () => [...paths.keys()].filter((path) => path.startsWith(LABELS) && !path.endsWith("/")),
  };
}

export async function fromFolder(chosen: FileSystemDirectoryHandle): Promise<Source> {
  const folder = await bundleFolder(chosen);
  const place = async (path: string, create: boolean) => {
    const parts = path.split("/");
    const name = parts.pop()!;
    let at = folder;
    for (const part of parts) at = await at.getDirectoryHandle(part, { create });
    return await at.getFileHandle(name, { create });
  };
  return {
    async read(path) {
      try {
        return await (await place(path, false)).getFile();
      } catch (error) {
        if (error instanceof DOMException && error.name === "NotFoundError") return null;
        throw error;
      }
    },
    async labels() {
      const found: string[] = [];
      const list = async (at: FileSystemDirectoryHandle, prefix: string): Promise<void> => {
        for await (const one of at.values())
          if (one.kind === "file") found.push(prefix + one.name);
          else await list(one as FileSystemDirectoryHandle, `${prefix}${one.name}/`);
      };
      const labels = await folder.getDirectoryHandle("labels").catch(() => null);
      if (labels !== null) await list(labels, LABELS);
      return found;
    },
    async write(path, bytes) {
      const sink = await (await place(path, true)).createWritable();
      await sink.write(bytes);
      await sink.close();
    },
    async remove(path) {
      await folder.removeEntry(path).catch((error: unknown) => {
        if (!(error instanceof DOMException && error.name === "NotFoundError")) throw error;
      });
    },
  };
}

async function bundleFolder(chosen: FileSystemDirectoryHandle): Promise<FileSystemDirectoryHandle> {
  const found: FileSystemDirectoryHandle[] = [];
  for await (const entry of chosen.values()) {
    if (entry.kind === "file" && entry.name === MANIFEST) return chosen;
    if (entry.kind !== "directory") continue;
    const folder = entry as FileSystemDirectoryHandle;
    const has = await folder.getFileHandle(MANIFEST).then(
      () => true,
      () => false,
    );
    if (has) found.push(folder);
  }
  if (found.length === 0) throw new Refused("noBundle");
  if (found.length > 1) throw new Refused("severalBundles");
  return found[0];
}

/** From `voxledger review serve`, which gives what it serves to whoever has the token. */
export function fromServer(token: string): Source {
  const headers = { "X-Voxledger-Token": token };
  const url = (path: string) => `files/${path.split("/").map(encodeURIComponent).join("/")}`;
  return {
    async read(path) {
      // A page that is served may send to nobody else.
      if (path === LINK) return null;
      const answer = await fetch(url(path), { headers, cache: "no-store" });
      if (answer.status === 404 || answer.status === 204) return null;
      if (!answer.ok) throw new Refused("notServed", { status: String(answer.status) });
      return await answer.blob();
    },
    async write(path, bytes) {
      const answer = await fetch(url(path), { method: "PUT", headers, body: bytes });
      if (!answer.ok) throw new Refused("notWritten", { file: path, status: String(answer.status) });
    },
    async remove(path) {
      const answer = await fetch(url(path), { method: "DELETE", headers });
      if (!answer.ok && answer.status !== 404) throw new Refused("notWritten", { file: path, status: String(answer.status) });
    },
    model: () => modelOf(headers),
  };
}
