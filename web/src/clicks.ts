/** A model beside the page: what it is asked, what it answers, and the record of both that goes back. */

import type { Triple } from "./grid.ts";
import type { LabelArray } from "./nifti.ts";

export type Kind = "point" | "box" | "scribble";

/** What a reviewer marks of a class. */
export interface Mark {
  kind: Kind;
  /** z, y, x: of a point the one, of a box two opposite corners, of a scribble all. */
  voxels: Triple[];
  present: boolean;
}

export interface Question {
  case_id: string;
  class_name: string;
  /** The label map as it is, in runs: how many voxels, then their id. */
  labels: number[];
  marks: Mark[];
}

/** What the card of a model says; the record repeats it for those who have no card of it. */
export interface AnsweredBy {
  name: string;
  backend: string;
  architecture: string;
  licence: string;
}

/** The model that `voxledger review serve` runs beside the page. */
export interface Model {
  id: string;
  name: string;
  answered_by: AnsweredBy;
  kinds: Kind[];
  classes: string[];
  /** The class as the model has it, in runs of 0 and 1; rejects with what speaks against it. */
  ask(question: Question): Promise<number[]>;
}

/** A click as `clicks.json` has it. */
export interface Clicked {
  case_id: string;
  class_name: string;
  kind: Kind;
  voxel: Triple;
  others: Triple[];
  present: boolean;
  helped: boolean;
}

/** What goes back of the clicks: `voxledger.records.clicks`. */
export interface ClickRecord {
  model: string;
  /** Null in what was noted by a page of before. */
  answered_by: AnsweredBy | null;
  clicks: Clicked[];
}

export const CLICKS = "clicks.json";
const FORMAT = 3;
/** Formats of a record that a page may have written before. */
const READ = [2, FORMAT];

/** The model of a server; null where it runs none. */
export async function modelOf(headers: Record<string, string>): Promise<Model | null> {
  const answer = await fetch("model", { headers, cache: "no-store" });
  const offer = answer.ok ? ((await answer.json()) as Omit<Model, "ask"> | null) : null;
  if (offer === null) return null;
  return {
    ...offer,
    async ask(question) {
      const answer = await fetch("ask", { method: "POST", headers, body: JSON.stringify(question) });
      if (!answer.ok) throw new Error((await answer.text()).trim() || String(answer.status));
      return ((await answer.json()) as { mask: number[] }).mask;
    },
  };
}

/** An array as how many voxels, then their value, and so on. */
export function toRuns(values: LabelArray): number[] {
  const runs: number[] = [];
  let start = 0;
  for (let i = 1; i <= values.length; i++)
    if (i === values.length || values[i] !== values[start]) {
      runs.push(i - start, values[start]);
      start = i;
    }
  return runs;
}

/** Voxels by which a mask differs from a class of a label map, both in runs: what it adds, and what it takes away. */
export function differences(mask: number[], labels: number[], inside: ReadonlySet<number>): { more: number[]; less: number[] } {
  const [more, less]: [number[], number[]] = [[], []];
  let [at, end] = [1, labels[0]];
  let voxel = 0;
  for (let run = 0; run < mask.length; run += 2)
    for (const stop = voxel + mask[run]; voxel < stop; ) {
      for (; voxel >= end; end += labels[at - 1]) at += 2;
      const [to, isIn] = [Math.min(stop, end), inside.has(labels[at])];
      if (isIn === (mask[run + 1] === 1)) voxel = to;
      else for (; voxel < to; voxel++) (isIn ? less : more).push(voxel);
    }
  return { more, less };
}

/** A voxel by its number, z, y, x. */
export function voxelOf(number: number, shape: Triple): Triple {
  const [width, height] = shape;
  return [Math.floor(number / (width * height)), Math.floor(number / width) % height, number % width];
}

export function clicked(caseId: string, className: string, marks: Mark[], helped: boolean): Clicked[] {
  return marks.map(({ kind, voxels: [voxel, ...others], present }) => ({
    ...{ case_id: caseId, class_name: className, kind, voxel, others, present, helped },
  }));
}

/** A record with what another one of the same model has besides: one of another model has no place in it. */
export function together(own: ClickRecord | null, found: ClickRecord): ClickRecord {
  if (own === null || own.model !== found.model) return own ?? found;
  const said = (c: Clicked) => JSON.stringify([c.case_id, c.class_name, c.kind, c.voxel, c.others, c.present, c.helped]);
  const known = new Set(own.clicks.map(said));
  const answered_by = own.answered_by ?? found.answered_by;
  return { model: own.model, answered_by, clicks: [...found.clicks.filter((click) => !known.has(said(click))), ...own.clicks] };
}

export function writeRecord({ model, answered_by, clicks }: ClickRecord): string {
  const cases = [...new Set(clicks.map((click) => click.case_id))].sort();
  const ordered = cases.flatMap((caseId) => clicks.filter((click) => click.case_id === caseId));
  return `${JSON.stringify({ format: FORMAT, model, answered_by: answered_by ?? null, gate: null, cases, clicks: ordered })}\n`;
}

/** The clicks of a person in a record that came back before; null where it is another one. */
export function readRecord(text: string): ClickRecord | null {
  try {
    const { format, model, answered_by, gate, clicks } = JSON.parse(text) as ClickRecord & { format: number; gate: unknown };
    const known = READ.includes(format) && gate === null && typeof model === "string" && Array.isArray(clicks);
    return known ? { model, answered_by: answered_by ?? null, clicks } : null;
  } catch {
    return null;
  }
}
