/** One reviewer at work on one bundle: what is decided, drawn, shown, spent and kept. Nothing of it is on the screen. */

import { key, labelPath, linesOf, openImages, openLabels, Refused, sha256, TABLE } from "./bundle.ts";
import type { Bundle, CaseImages, CaseLabels } from "./bundle.ts";
import { CLICKS, readRecord, together, writeRecord, type AnsweredBy, type Clicked, type ClickRecord } from "./clicks.ts";
import { blankRow, toCsv, type Decision, type Row } from "./csv.ts";
import { findings, isChanged, type Finding } from "./findings.ts";
import { Labels, type Pair, type Stroke } from "./labels.ts";
import { Clock } from "./minutes.ts";
import { writeLabels, type LabelArray } from "./nifti.ts";
import { overview, type Box } from "./places.ts";
import type { Progress, Store } from "./store.ts";

export interface OpenCase {
  caseId: string;
  labels: Labels;
  files: CaseLabels;
  images: CaseImages;
  counts: Map<number, number>;
  boxes: Map<number, Box>;
  /** Whether what another program saved was taken over just now. */
  isTaken: boolean;
}

/** Of one case, where something was drawn: what `findings` needs, and the file that goes back. */
interface Drawn {
  pairs: Pair[];
  counts: ReadonlyMap<number, number>;
  labels: Labels;
  files: CaseLabels;
  /** SHA-256 of the label that lies in the bundle now. */
  hash: string;
  /** Whether what another program saved was taken over just now. */
  isTaken: boolean;
}

export class Session {
  rows: Row[];
  private spent: Record<string, number>;
  private readonly shown: Set<string>;
  private readonly done: Record<string, number>;
  private readonly known: Record<string, string>;
  /** Lines of the table as they were last read or written here: what differs from them, somebody else wrote. */
  private lay: Row[];
  /** SHA-256 of tables that were read or written here. */
  private readonly tables: Set<string>;
  /** Whether something was taken over from the table when the bundle was opened. */
  isTableTaken = false;
  /** What a model was asked; null where none was. */
  clicks: ClickRecord | null;
  /** Whether time was spent that is not kept yet. */
  private isSpent = false;
  current: OpenCase | null = null;
  className: string | null = null;
  readonly resumed: boolean;
  /** Where the reviewer was when the page was left. */
  readonly at: Progress["at"];
  readonly clock = new Clock((ms) => this.spend(ms));

  private constructor(
    readonly bundle: Bundle,
    readonly store: Store | null,
    progress: Progress | undefined,
  ) {
    this.resumed = progress !== undefined;
    this.rows = progress?.rows ?? bundle.rows;
    this.spent = progress?.spent ?? {};
    this.shown = new Set(progress?.shown ?? []);
    this.done = progress?.done ?? {};
    this.known = progress?.known ?? {};
    this.at = progress?.at ?? null;
    this.lay = structuredClone(progress?.lay ?? bundle.rows);
    this.tables = new Set(progress?.tables ?? []);
    this.clicks = progress?.clicks ?? null;
  }

  static async start(bundle: Bundle, store: Store | null): Promise<Session> {
    const progress = await store?.progress(bundle.manifest.id);
    const session = new Session(bundle, store, progress);
    if (progress?.lay === undefined) await session.noteTable(await bundle.table());
    session.isTableTaken = (await session.readTable()).isTaken;
    const found = readRecord((await (await bundle.source.read(CLICKS))?.text()) ?? "");
    if (found !== null) session.clicks = together(session.clicks, found);
    return session;
  }

  private get id(): string {
    return this.bundle.manifest.id;
  }

  /** Lines of a case: what was asked, then what was added. */
  lines(caseId: string): Row[] {
    return this.rows.filter((row) => row.caseId === caseId);
  }

  row(caseId: string, className: string): Row | undefined {
    return this.rows.find((row) => row.caseId === caseId && row.className === className);
  }

  isAsked(row: Row): boolean {
    return this.bundle.asked(row.caseId).includes(row.className);
  }

  get decided(): number {
    return this.rows.filter((row) => row.decision !== null && this.isAsked(row)).length;
  }

  get asked(): number {
    return this.bundle.manifest.asked.length;
  }

  /**
   * Take over what somebody else wrote into the table since it was last read or written here, cell by cell.
   *
   * An empty cell says nothing, and neither does a table that was there before, or is as it was sent: it is a copy.
   */
  private async readTable(): Promise<{ text: string; isTaken: boolean }> {
    const text = await this.bundle.table();
    if (this.tables.has(await textHash(text))) return { text, isTaken: false };
    let isTaken = false;
    for (const found of linesOf(this.bundle.manifest, text)) {
      const { caseId, className } = found;
      const blank = blankRow(caseId, className);
      const before = this.lay.find((row) => key(row) === key(found)) ?? blank;
      const cells = (Object.keys(blank) as (keyof Row)[]).filter((c) => found[c] !== before[c] && found[c] !== blank[c]);
      if (cells.length === 0) continue;
      const own = this.row(caseId, className);
      if (own === undefined || cells.some((c) => own[c] !== found[c])) isTaken = true;
      const row = own ?? blank;
      Object.assign(row, Object.fromEntries(cells.map((c) => [c, found[c]])));
      // Minutes that somebody wrote there stand for all until now.
      if (cells.includes("minutes")) delete this.spent[key(row)];
      if (own === undefined) this.rows.push(row);
    }
    await this.noteTable(text);
    return { text, isTaken };
  }

  /** What lies there as the table is known from now on. */
  private async noteTable(text: string): Promise<void> {
    this.tables.add(await textHash(text));
    const lines = new Map([...this.lay, ...linesOf(this.bundle.manifest, text)].map((row) => [key(row), row]));
    this.lay = structuredClone([...lines.values()]);
  }

  /** The volumes and labels of a case; it is not yet `current`. */
  async open(caseId: string): Promise<OpenCase> {
    const files = await this.labelsOf(caseId);
    const images = await openImages(this.bundle, caseId, files.grid);
    const { labels, isTaken } = await this.redrawn(caseId, files);
    const { counts, boxes } = overview(files.sent, files.grid.shape);
    return { caseId, labels, files, images, counts, boxes, isTaken };
  }

  private async labelsOf(caseId: string): Promise<CaseLabels> {
    const open = this.current?.caseId === caseId && !this.current.files.unknown ? this.current.files : null;
    const kept = (await this.store?.sent(this.id, caseId)) ?? open?.sentBytes;
    return await openLabels(this.bundle, caseId, kept, this.known[caseId]);
  }

  /** The label map with all strokes so far; what somebody drew elsewhere meanwhile is one more. */
  private async redrawn(caseId: string, files: CaseLabels): Promise<{ labels: Labels; isTaken: boolean }> {
    const labels = new Labels(files.sent.slice(), files.sent, files.grid.shape, this.bundle.schema);
    labels.strokes = (await this.store?.strokes(this.id, caseId)) ?? [];
    const { length } = labels.now;
    labels.strokes = labels.strokes.filter((stroke) => stroke.voxels.every((voxel) => voxel < length));
    const done = Math.min(this.done[caseId] ?? 0, labels.strokes.length);
    while (labels.done < done) labels.redo();
    return { labels, isTaken: await this.takeOver(caseId, files.found, files, labels) };
  }

  /** Draw what another program saved over the label; whether that changed anything. */
  private async takeOver(caseId: string, found: LabelArray | null, files: CaseLabels, labels: Labels): Promise<boolean> {
    if (found === null) return false;
    if (!files.unknown) await this.store?.keepSent(this.id, caseId, files.sentBytes);
    // Where nothing was written from here, it was drawn on what was sent: what was drawn here elsewhere stays.
    const isOnSent = this.known[caseId] === undefined && !files.unknown;
    labels.begin();
    found.forEach((id, voxel) => !(isOnSent && id === files.sent[voxel]) && labels.set(voxel, id));
    const stroke = labels.end();
    // From now on it is known: strokes that follow count more.
    this.known[caseId] = files.hash;
    if (stroke !== null) await this.keepStroke(caseId, labels, stroke);
    return stroke !== null;
  }

  async keepStroke(caseId: string, labels: Labels, stroke: Stroke): Promise<void> {
    this.done[caseId] = labels.done;
    await this.store?.keepStroke(this.id, caseId, labels.done - 1, stroke);
    await this.keep();
  }

  async noteClicks(model: string, answered_by: AnsweredBy | null, clicks: Clicked[]): Promise<void> {
    this.clicks = { model, answered_by, clicks: [...(this.clicks?.clicks ?? []), ...clicks] };
    await this.keep();
  }

  async undo(): Promise<boolean> {
    return await this.stepped((labels) => labels.undo());
  }

  async redo(): Promise<boolean> {
    return await this.stepped((labels) => labels.redo());
  }

  private async stepped(step: (labels: Labels) => Stroke | null): Promise<boolean> {
    const open = this.current;
    if (open === null || step(open.labels) === null) return false;
    this.done[open.caseId] = open.labels.done;
    await this.keep();
    return true;
  }

  /** Classes that may lose voxels to another: they have a line that nobody has accepted or rejected. */
  free(): Set<string> {
    const open = this.current;
    const lines = open === null ? [] : this.lines(open.caseId);
    return new Set(lines.filter((r) => r.decision === null || r.decision === "revise").map((r) => r.className));
  }

  async addLine(caseId: string, className: string): Promise<void> {
    if (this.row(caseId, className) === undefined) this.rows.push(blankRow(caseId, className));
    await this.keep();
  }

  async decide(row: Row, decision: Decision | null): Promise<void> {
    row.decision = decision;
    if (decision === "accept") row.errorType = "none";
    await this.keep();
  }

  markShown(caseId: string, className: string): void {
    this.shown.add(key({ caseId, className }));
    void this.keep();
  }

  wasShown(caseId: string, className: string): boolean {
    return this.shown.has(key({ caseId, className }));
  }

  private spend(ms: number): void {
    if (this.current === null || this.className === null) return;
    const at = key({ caseId: this.current.caseId, className: this.className });
    this.spent[at] = (this.spent[at] ?? 0) + ms;
    this.isSpent = true;
  }

  /** Minutes of a line: what the table had, and what was measured. */
  minutes(row: Row): number | null {
    const spent = this.spent[key(row)];
    if (spent === undefined) return row.minutes;
    return Math.min(24 * 60, (row.minutes ?? 0) + Math.max(0.01, spent / 60_000));
  }

  /** Keep the time that was spent; where none was, the work of another tab is left alone. */
  async keepSpent(): Promise<void> {
    if (this.isSpent) await this.keep();
  }

  /** Keep all but the strokes, which are kept one by one. */
  async keep(): Promise<void> {
    this.isSpent = false;
    const at = this.current && this.className ? { caseId: this.current.caseId, className: this.className } : null;
    await this.store?.keepProgress(this.id, {
      ...{ rows: this.rows, spent: this.spent, shown: [...this.shown], done: this.done, known: this.known, at },
      ...{ lay: this.lay, tables: [...this.tables], clicks: this.clicks },
    });
  }

  /** Whether a class of the case that is open is not as it was sent. */
  changed(className: string): boolean {
    const open = this.current;
    return open !== null && isChanged(this.bundle.schema, className, open.labels.changes());
  }

  findings(caseId: string, drawn: Pick<Drawn, "pairs" | "counts">, unknown: boolean): Finding[] {
    const said = new Map(this.lines(caseId).map((row) => [row.className, row]));
    const found = findings(this.bundle.schema, drawn.pairs, drawn.counts, said, this.bundle.asked(caseId));
    return unknown ? found.filter((f) => f.kind === "undecided") : found;
  }

  currentFindings(): Finding[] {
    const open = this.current;
    if (open === null) return [];
    const drawn = { pairs: open.labels.changes(), counts: open.counts };
    return this.findings(open.caseId, drawn, open.files.unknown);
  }

  /** All that goes back, and what `receive` would say of it. */
  async result(): Promise<Result> {
    const result: Result = { files: new Map(), asSent: new Map(), lies: new Map(), taken: [], others: [], findings: [] };
    result.others = await this.bundle.otherLabels();
    const { text, isTaken } = await this.readTable();
    result.lies.set(TABLE, await textHash(text));
    if (isTaken) result.taken.push(TABLE);
    for (const caseId of this.bundle.cases) {
      const drawn = await this.drawn(caseId);
      if (drawn?.isTaken) result.taken.push(labelPath(caseId));
      const nothing = { pairs: [], counts: new Map<number, number>() };
      const unknown = drawn?.files.unknown ?? false;
      for (const finding of this.findings(caseId, drawn ?? nothing, unknown)) result.findings.push({ ...finding, caseId });
      if (drawn === null) continue;
      const { labels, files } = drawn;
      const path = labelPath(caseId);
      result.lies.set(path, drawn.hash);
      if (!labels.unchanged) result.files.set(path, writeLabels(labels.now, files.header) as Uint8Array<ArrayBuffer>);
      else if (files.unknown) result.files.set(path, new Uint8Array(files.sentBytes));
      else if (this.known[caseId] !== undefined || files.found !== null)
        result.asSent.set(path, new Uint8Array(files.sentBytes));
    }
    const rows = this.rows.filter((row) => this.isAsked(row) || row.decision !== null || row.confirmed);
    const table = toCsv(rows.map((row) => ({ ...row, minutes: row.decision === null ? null : this.minutes(row) })));
    result.files.set(TABLE, new TextEncoder().encode(table));
    if (this.clicks !== null) {
      result.files.set(CLICKS, new TextEncoder().encode(writeRecord(this.clicks)));
      result.lies.set(CLICKS, await this.lies(CLICKS));
    }
    return result;
  }

  private async drawn(caseId: string): Promise<Drawn | null> {
    const open = this.current;
    const files = await this.labelsOf(caseId);
    const { hash } = files;
    if (open?.caseId === caseId) {
      const { labels, counts } = open;
      // Of a case of which nobody knows what was sent, `found` is what it was opened with.
      const isNew = files.unknown && hash !== open.files.hash && hash !== this.known[caseId];
      const found = isNew ? files.sent : files.found;
      const isTaken = await this.takeOver(caseId, found, { ...open.files, hash }, labels);
      return { pairs: labels.changes(), counts, labels, files: open.files, hash, isTaken };
    }
    const touched = (this.done[caseId] ?? 0) > 0 || files.found !== null || files.unknown;
    if (!touched && this.known[caseId] === undefined) return null;
    const { labels, isTaken } = await this.redrawn(caseId, files);
    const { counts } = overview(files.sent, files.grid.shape);
    return { pairs: labels.changes(), counts, labels, files, hash, isTaken };
  }

  /**
   * Write what goes back into the bundle; a label that was sent is kept in this browser before it is written over.
   *
   * What is not there any more as it was when the result was put together is not written over.
   */
  async writeBack(result: Result): Promise<void> {
    const write = this.bundle.source.write!;
    for (const path of [...result.files.keys(), ...result.asSent.keys()])
      if ((await this.lies(path)) !== result.lies.get(path)) throw new Refused("changedMeanwhile", { file: path });
    for (const [path, bytes] of [...result.files, ...result.asSent]) {
      const caseId = this.bundle.cases.find((c) => labelPath(c) === path);
      if (caseId !== undefined) {
        const { sentBytes, unknown } = await this.labelsOf(caseId);
        if (!unknown) await this.store?.keepSent(this.id, caseId, sentBytes);
      }
      await write(path, bytes);
      // Not before: a label that was not written would be taken for somebody else's.
      const hash = await sha256(bytes);
      if (caseId !== undefined) this.known[caseId] = hash;
      else if (path === TABLE) await this.noteTable(new TextDecoder().decode(bytes));
      result.lies.set(path, hash);
      await this.keep();
    }
  }

  /** SHA-256 of what lies in the bundle now: of the text of the table, or of another file. */
  private async lies(path: string): Promise<string> {
    if (path === TABLE) return await textHash(await this.bundle.table());
    const file = await this.bundle.source.read(path);
    return file === null ? "" : await sha256(await file.arrayBuffer());
  }
}

export interface Result {
  /** What goes back besides `bundle.json`, by path in the bundle. */
  files: Map<string, Uint8Array<ArrayBuffer>>;
  /** Labels that are as they were sent again, where something else may lie in the folder. */
  asSent: Map<string, Uint8Array<ArrayBuffer>>;
  /** What lay there when this was put together, where it is written over: see `Session.writeBack`. */
  lies: Map<string, string>;
  /** Files that another program saved since, which were taken over. */
  taken: string[];
  /** Labels that only other programs read: see `Bundle.otherLabels`. */
  others: string[];
  findings: (Finding & { caseId: string })[];
}

const textHash = (text: string) => sha256(new TextEncoder().encode(text));

/** The list that is signed, as `sha256sum` writes it. */
export async function signedList(files: Iterable<[string, Uint8Array<ArrayBuffer>]>): Promise<string> {
  const lines = await Promise.all([...files].map(async ([path, bytes]) => [path, await sha256(bytes)]));
  return lines.sort(([a], [b]) => (a < b ? -1 : 1)).map(([path, hash]) => `${hash}  ${path}\n`).join("");
}
