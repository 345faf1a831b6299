/** Asking the model beside the page: what is being marked, and the suggestion that is open. */

import { clicked, differences, toRuns, voxelOf, type Kind, type Mark, type Model } from "./clicks.ts";
import { underBrush, voxelAt, type Slice } from "./labels.ts";
import type { Session } from "./session.ts";
import { t } from "./texts.ts";
import type { Scene } from "./view.ts";

/** A mark while it is drawn on a slice. */
export class Sketch {
  private readonly from: [number, number];
  private last: [number, number];
  private readonly line = new Set<number>();

  constructor(
    readonly kind: Kind,
    private readonly slice: Slice,
    at: [number, number],
    private readonly present: boolean,
  ) {
    this.from = this.last = at;
    this.to(at);
  }

  to(at: [number, number]): void {
    const { slice } = this;
    // Three voxels wide, as networks are taught lines.
    for (const voxel of underBrush(slice, this.last, at, 1.5 * Math.min(...slice.mm))) this.line.add(voxel);
    this.last = at;
  }

  /** Voxels that show it. */
  get voxels(): number[] {
    if (this.kind === "scribble") return [...this.line];
    const [[u0, v0], [u1, v1]] = this.corners;
    const found: number[] = [];
    for (let v = v0; v <= v1; v++)
      for (let u = u0; u <= u1; u++)
        if (u === u0 || u === u1 || v === v0 || v === v1) found.push(voxelAt(this.slice, u, v));
    return found;
  }

  /** Lowest and highest column and row. */
  private get corners(): [number, number][] {
    const { width, height } = this.slice;
    const inside = ([u, v]: [number, number]) =>
      [Math.min(width - 1, Math.max(0, Math.round(u))), Math.min(height - 1, Math.max(0, Math.round(v)))] as const;
    const [a, b] = [inside(this.kind === "point" ? this.last : this.from), inside(this.last)];
    return [Math.min, Math.max].map((of) => [of(a[0], b[0]), of(a[1], b[1])]);
  }

  /** What the model is told; null where it is no box. */
  mark(shape: Scene["labels"]["shape"]): Mark | null {
    const [low, high] = this.corners;
    if (this.kind === "box" && (low[0] === high[0] || low[1] === high[1])) return null;
    const told = this.kind === "box" ? [low, high].map(([u, v]) => voxelAt(this.slice, u, v)) : this.voxels;
    if (told.length === 0) return null;
    return { kind: this.kind, voxels: told.map((voxel) => voxelOf(voxel, shape)), present: this.present };
  }
}

export class Asking {
  private of = { caseId: "", className: "" };
  private marks: Mark[] = [];
  /** Where they are shown. */
  private readonly shown = new Map<Mark, number[]>();
  private found: { more: number[]; less: number[] } | null = null;
  private number = 0;

  /** @param changed is called after what is shown has changed */
  constructor(
    readonly model: Model,
    private readonly session: Session,
    private readonly say: (text: string) => void,
    private readonly changed: () => void,
  ) {}

  /** Whether something was marked that is neither taken nor left. */
  get isOpen(): boolean {
    return this.marks.length > 0;
  }

  /** Mark something more, and ask about all that is marked. */
  async ask(scene: Scene, sketch: Sketch): Promise<void> {
    const { labels, current: className } = scene;
    const mark = sketch.mark(labels.shape);
    if (mark === null || !this.model.classes.includes(className)) {
      this.show(scene);
      this.changed();
      return this.say(mark === null ? t("noBox") : t("notKnown", { class: className }));
    }
    this.of = { caseId: this.session.current!.caseId, className };
    this.marks.push(mark);
    this.shown.set(mark, sketch.voxels);
    this.show(scene);
    this.changed();
    this.say(t("asking"));
    const number = ++this.number;
    try {
      const before = toRuns(labels.now);
      const question = { case_id: this.of.caseId, class_name: className, labels: before, marks: this.marks };
      const mask = await this.model.ask(question);
      if (number !== this.number) return;
      // What is drawn while the model thinks is no part of what it was asked.
      this.found = this.allowed(scene, differences(mask, before, labels.schema.within(className)));
      const [more, less] = [this.found.more.length, this.found.less.length];
      this.say(more + less === 0 ? t("suggestedNothing") : t("suggested", { more, less }));
    } catch (error) {
      if (number !== this.number) return;
      this.marks = this.marks.filter((one) => one !== mark);
      this.say(t("notAnswered", { how: error instanceof Error ? error.message : String(error) }));
    }
    this.show(scene);
    this.changed();
  }

  /** What of a suggestion may change, as if it were drawn. */
  private allowed(scene: Scene, found: { more: number[]; less: number[] }): { more: number[]; less: number[] } {
    const { labels, current } = scene;
    const free = this.session.free();
    const may = (voxels: number[], erase: boolean) =>
      voxels.filter((voxel) => labels.becomes(voxel, current, erase, free) !== null);
    return { more: may(found.more, false), less: may(found.less, true) };
  }

  /** Show what is suggested, marked, and being marked. */
  show(scene: Scene, sketch?: Sketch): void {
    scene.marks.clear();
    for (const voxel of this.found?.more ?? []) scene.marks.set(voxel, "more");
    for (const voxel of this.found?.less ?? []) scene.marks.set(voxel, "less");
    for (const mark of this.marks) for (const voxel of this.shown.get(mark)!) scene.marks.set(voxel, "mark");
    for (const voxel of sketch?.voxels ?? []) scene.marks.set(voxel, "mark");
  }

  /** Close the suggestion, and note whether it is taken; what it changes. */
  async close(scene: Scene, helped: boolean): Promise<{ more: number[]; less: number[] }> {
    const found = this.found ?? { more: [], less: [] };
    const clicks = clicked(this.of.caseId, this.of.className, this.marks, helped && this.found !== null);
    this.marks = [];
    this.shown.clear();
    this.found = null;
    this.number++;
    this.show(scene);
    this.changed();
    if (clicks.length > 0) await this.session.noteClicks(this.model.id, this.model.answered_by, clicks);
    return found;
  }
}
