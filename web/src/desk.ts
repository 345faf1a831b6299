/** The three planes with the tools: what the pointer does to the picture and to the labels. */

import { Sketch, type Asking } from "./asking.ts";
import { openHeat, openReading } from "./bundle.ts";
import type { Kind } from "./clicks.ts";
import { planesOf, tilt, type Triple } from "./grid.ts";
import { enclosed, underBrush, voxelAt } from "./labels.ts";
import { overview, type Box, type Place } from "./places.ts";
import type { OpenCase, Session } from "./session.ts";
import { between, piece, smoothed, type Mask } from "./shape.ts";
import { t } from "./texts.ts";
import { PlaneView, type Scene } from "./view.ts";
import { presets, type Preset } from "./windows.ts";

export type Tool = "look" | "pen" | "eraser" | "fill" | Kind;
export const KINDS: Kind[] = ["point", "box", "scribble"];
export const TOOLS: Tool[] = ["look", "pen", "eraser", "fill", ...KINDS];
const CANVASES = ["axial", "coronal", "sagittal"];

type Drag =
  | { kind: "look" }
  | { kind: "pan"; x: number; y: number }
  | { kind: "window"; x: number; y: number }
  | { kind: "stroke"; from: [number, number]; erase: boolean }
  | { kind: "mark"; sketch: Sketch };

export class Desk {
  scene: Scene | null = null;
  windows: Preset[] = [];
  /** Which window is shown; null for one that was dragged. */
  preset: number | null = 0;
  tool: Tool = "look";
  /** Millimetres. */
  radius = 4;
  inWindow = false;
  /** The model beside the page. */
  asking: Asking | null = null;
  private views: PlaneView[] = [];
  private open: OpenCase | null = null;
  private place = 0;
  private shown: Box | null = null;
  private isWhole = false;
  private hover: { view: PlaneView; at: [number, number] } | null = null;
  private drag: (Drag & { view: PlaneView }) | null = null;
  private kept = new Map<number, number>();
  private frame = 0;

  /**
   * @param say tells the reviewer something
   * @param changed is called after the labels or what is shown of them changed
   * @param drawn is called after the planes were drawn
   */
  constructor(
    private readonly session: Session,
    private readonly say: (text: string) => void,
    private readonly changed: () => void,
    private readonly drawn: () => void,
  ) {
    for (const id of CANVASES) this.listen(document.getElementById(id) as HTMLCanvasElement);
    new ResizeObserver(() => this.draw()).observe(document.getElementById("planes")!);
  }

  show(open: OpenCase, className: string): void {
    const { bundle } = this.session;
    const { schema } = bundle;
    const before = this.scene;
    this.open = open;
    this.windows = presets(open.images.image, bundle.modality(open.caseId));
    this.preset = 0;
    this.scene = {
      image: open.images.image,
      heat: null,
      weak: open.images.weak,
      reading: null,
      labels: open.labels,
      cursor: open.files.grid.shape.map((n) => n >> 1) as Triple,
      window: this.windows[0],
      current: className,
      showLabels: true,
      filled: before?.filled ?? false,
      showHeat: false,
      showWeak: before?.showWeak ?? true,
      marks: new Map(),
      colors: new Map(schema.classes.map((c) => [c.id, schema.color(c.name)])),
    };
    const planes = planesOf(open.images.image.grid);
    this.views = planes.map((plane, i) => {
      const canvas = document.getElementById(CANVASES[i]) as HTMLCanvasElement;
      return new PlaneView(canvas, plane, this.scene!);
    });
    const turned = tilt(open.images.image.grid);
    if (turned > 1) this.say(t("tilted", { degrees: turned.toFixed(0) }));
    this.showClass(className);
    if (before?.showHeat) void this.showHeat(true);
  }

  /** Show the heat map, which is read when it is asked for first, or hide it. */
  async showHeat(isShown: boolean): Promise<void> {
    const { open, scene } = this;
    if (open === null || scene === null) return;
    scene.showHeat = isShown && open.images.hasHeat;
    if (scene.showHeat && scene.heat === null)
      scene.heat = await openHeat(this.session.bundle, open.caseId, open.files.grid);
    this.changed();
  }

  /** Show what a reader drew of the case, or, for null, of no reader. */
  async showReading(reader: string | null): Promise<void> {
    const { open, scene } = this;
    if (open === null || scene === null) return;
    const { bundle } = this.session;
    const { current } = scene;
    const map = reader === null ? null : await openReading(bundle, reader, open.caseId, open.files.grid);
    // Of another class the reader may have drawn nothing.
    if (scene.current !== current) return;
    scene.reading = reader === null || map === null ? null : { reader, map };
    this.changed();
  }

  /** Draw the class as the reader drew it whose label is shown. */
  async takeReading(): Promise<void> {
    const { scene } = this;
    if (scene === null || scene.reading === null) return;
    const { map } = scene.reading;
    const { inside, map: now } = this.mask();
    const [out, into]: [number[], number[]] = [[], []];
    map.forEach((id, voxel) => inside[id] !== inside[now[voxel]] && (inside[id] === 1 ? into : out).push(voxel));
    await this.change(out, into, false);
  }

  clear(): void {
    void this.leave();
    this.scene = this.open = null;
    this.views = [];
    for (const id of CANVASES) {
      const canvas = document.getElementById(id) as HTMLCanvasElement;
      canvas.getContext("2d")!.clearRect(0, 0, canvas.width, canvas.height);
    }
  }

  showClass(className: string): void {
    if (this.scene === null) return;
    void this.leave();
    this.scene.current = className;
    this.scene.showLabels = true;
    this.scene.reading = null;
    this.goTo(0);
  }

  private get places(): Place[] {
    if (this.open === null || this.scene === null) return [];
    return this.open.images.places.get(this.session.bundle.schema.get(this.scene.current).id) ?? [];
  }

  /** Show the place of this number, by size; where there is none, the class, and where it is empty, all. */
  goTo(number: number): void {
    const { open, scene, places } = this;
    if (open === null || scene === null) return;
    this.isWhole = false;
    if (places.length > 0) {
      this.place = (number + places.length) % places.length;
      const place = places[this.place];
      scene.cursor = [...place.at];
      this.shown = place;
    } else {
      this.shown = this.boxOf(scene.current);
      const [low, high] = this.shown === null ? [[0, 0, 0], open.files.grid.shape] : [this.shown.low, this.shown.high];
      scene.cursor = [0, 1, 2].map((a) => (low[a] + high[a]) >> 1) as Triple;
    }
    this.fit(this.shown);
    this.changed();
  }

  step(by: number): void {
    this.goTo(this.places.length > 0 ? this.place + by : 0);
  }

  placeText(): string {
    const { places } = this;
    if (this.open === null || places.length === 0) return t("noPlace");
    const mm3 = this.open.files.grid.spacing.reduce((a, b) => a * b);
    const ml = ((places[this.place].voxels * mm3) / 1000).toFixed(2);
    return t("placeOf", { n: this.place + 1, of: places.length, ml });
  }

  private boxOf(className: string): Box | null {
    const ids = this.session.bundle.schema.within(className);
    const boxes = [...this.open!.boxes].filter(([id]) => ids.has(id)).map(([, box]) => box);
    if (boxes.length === 0) return null;
    return {
      low: [0, 1, 2].map((a) => Math.min(...boxes.map((b) => b.low[a]))) as Triple,
      high: [0, 1, 2].map((a) => Math.max(...boxes.map((b) => b.high[a]))) as Triple,
    };
  }

  whole(): void {
    this.isWhole = !this.isWhole;
    this.fit(this.isWhole ? null : this.shown);
  }

  private fit(box: Box | null): void {
    for (const view of this.views) view.fit(box);
    this.draw();
  }

  setWindow(number: number): void {
    if (this.scene === null) return;
    this.preset = number % this.windows.length;
    this.scene.window = this.windows[this.preset];
    this.draw();
  }

  /** Draw once before the next picture of the screen. */
  draw(): void {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      if (this.scene === null) return;
      const isBrush = this.tool === "pen" || this.tool === "eraser";
      // While one draws, the other planes wait.
      const busy = this.drag?.kind === "stroke" ? this.drag.view : null;
      for (const view of this.views.filter((one) => busy === null || one === busy))
        view.draw(isBrush && this.hover?.view === view ? { at: this.hover.at, radius: this.radius } : null);
      this.drawn();
    });
  }

  /** Move through the slices of the plane under the pointer, or of the axial one. */
  slice(by: number): void {
    const { scene } = this;
    if (scene === null) return;
    const { plane } = this.hover?.view ?? this.views[0];
    const most = scene.image.grid.shape[plane.n] - 1;
    scene.cursor[plane.n] = Math.min(most, Math.max(0, scene.cursor[plane.n] + by));
    this.draw();
  }

  /** The class under the pointer, the innermost that has a line; null where there is none. */
  pick(): string | null {
    if (this.scene === null || this.hover === null) return null;
    const [u, v] = this.hover.at.map(Math.round);
    const slice = this.hover.view.slice();
    if (u < 0 || v < 0 || u >= slice.width || v >= slice.height) return null;
    const { schema } = this.session.bundle;
    const innermost = schema.byId.get(this.scene.labels.now[voxelAt(slice, u, v)])?.name;
    const lines = this.session.lines(this.open!.caseId).map((row) => row.className);
    return innermost === undefined ? null : (schema.chain(innermost).find((n) => lines.includes(n)) ?? null);
  }

  private listen(canvas: HTMLCanvasElement): void {
    const view = () => this.views.find((one) => one.canvas === canvas);
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("pointerdown", (event) => {
      const at = view();
      if (at !== undefined) this.press(at, event);
    });
    canvas.addEventListener("pointermove", (event) => {
      const at = view();
      if (at !== undefined) this.move(at, event);
    });
    canvas.addEventListener("pointerup", () => void this.release());
    canvas.addEventListener("pointercancel", () => void this.release());
    canvas.addEventListener("pointerleave", () => {
      if (this.drag === null) this.hover = null;
      this.draw();
    });
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const at = view();
        if (at === undefined) return;
        this.hover = { view: at, at: at.under(event) };
        if (event.ctrlKey || event.metaKey) at.zoom(Math.exp(-event.deltaY / 300), event);
        else this.slice(Math.sign(event.deltaY));
        this.draw();
      },
      { passive: false },
    );
  }

  private press(view: PlaneView, event: PointerEvent): void {
    view.canvas.focus({ preventScroll: true });
    view.canvas.setPointerCapture(event.pointerId);
    const { clientX: x, clientY: y } = event;
    const at = view.under(event);
    this.hover = { view, at };
    if (event.button === 1 || (event.button === 0 && (event.ctrlKey || event.metaKey))) {
      event.preventDefault();
      this.drag = { kind: "pan", x, y, view };
    } else if (event.button === 2) this.drag = { kind: "window", x, y, view };
    else if (this.tool === "look") {
      this.drag = { kind: "look", view };
      this.look(view, at);
    } else if (this.tool === "fill") void this.fill(view, at);
    else if (this.tool === "point" || this.tool === "box" || this.tool === "scribble") {
      const sketch = new Sketch(this.tool, view.slice(), at, !event.shiftKey);
      this.drag = { kind: "mark", sketch, view };
      this.asking!.show(this.scene!, sketch);
      this.draw();
    } else {
      this.kept.clear();
      this.scene!.labels.begin();
      this.drag = { kind: "stroke", from: at, erase: (this.tool === "eraser") !== event.shiftKey, view };
      this.stroke(view, at, at);
    }
  }

  private move(view: PlaneView, event: PointerEvent): void {
    const { drag } = this;
    const { clientX: x, clientY: y } = event;
    const at = view.under(event);
    this.hover = { view, at };
    if (drag?.view === view) {
      if (drag.kind === "look") this.look(view, at);
      else if (drag.kind === "pan") {
        view.pan(x - drag.x, y - drag.y);
        [drag.x, drag.y] = [x, y];
      } else if (drag.kind === "window") {
        this.dragWindow(x - drag.x, y - drag.y);
        [drag.x, drag.y] = [x, y];
      } else if (drag.kind === "mark") {
        drag.sketch.to(at);
        this.asking!.show(this.scene!, drag.sketch);
      } else {
        this.stroke(view, drag.from, at);
        drag.from = at;
      }
    }
    this.draw();
  }

  private async release(): Promise<void> {
    const was = this.drag;
    this.drag = null;
    if (was?.kind === "stroke") await this.keep();
    if (was?.kind === "mark") await this.asking!.ask(this.scene!, was.sketch);
  }

  private look(view: PlaneView, [u, v]: [number, number]): void {
    this.scene!.cursor = view.voxel(u, v);
    this.draw();
  }

  private dragWindow(dx: number, dy: number): void {
    const { low, high } = this.scene!.window;
    const step = (high - low) / 300;
    const [level, width] = [(low + high) / 2 + dy * step, Math.max(1e-6, high - low + dx * step * 2)];
    this.scene!.window = { low: level - width / 2, high: level + width / 2 };
    this.preset = null;
    this.changed();
  }

  private stroke(view: PlaneView, from: [number, number], to: [number, number]): void {
    const drag = this.drag as Extract<Drag, { kind: "stroke" }>;
    this.paint(underBrush(view.slice(), from, to, this.radius), drag.erase);
    this.draw();
  }

  /** Paint or erase the class in some voxels, where it may change them; count the others. */
  private paint(voxels: Iterable<number>, erase: boolean, inWindow = this.inWindow): void {
    const { labels, current, image, window: shown } = this.scene!;
    const free = this.session.free();
    for (const voxel of voxels) {
      if (inWindow && !erase) {
        const value = image.voxels[voxel] * image.slope + image.inter;
        if (value < shown.low || value > shown.high) continue;
      }
      const id = labels.becomes(voxel, current, erase, free);
      if (id !== null) labels.set(voxel, id);
      else if (!erase || labels.schema.within(current).has(labels.now[voxel])) this.kept.set(voxel, labels.now[voxel]);
    }
  }

  private async fill(view: PlaneView, [u, v]: [number, number]): Promise<void> {
    const { labels, current } = this.scene!;
    const slice = view.slice();
    const [x, y] = [Math.round(u), Math.round(v)];
    if (x < 0 || y < 0 || x >= slice.width || y >= slice.height) return;
    const inside = labels.schema.within(current);
    const region = enclosed(slice, x, y, (voxel) => inside.has(labels.now[voxel]));
    if (region === null) return this.say(t("notClosed"));
    this.kept.clear();
    labels.begin();
    this.paint(region, false);
    await this.keep();
  }

  /** Put the voxels by which the class differs back to what was sent. */
  async restore(): Promise<void> {
    if (this.scene === null) return;
    const { labels, current } = this.scene;
    const inside = labels.schema.within(current);
    this.kept.clear();
    labels.begin();
    for (const voxel of labels.touched())
      if (inside.has(labels.now[voxel]) !== inside.has(labels.sent[voxel])) labels.set(voxel, labels.sent[voxel]);
    await this.keep(false);
  }

  /** The voxel under the pointer, or else that of the crosshair. */
  private target(): number {
    const { cursor, labels } = this.scene!;
    const [x, y, z] = this.hover === null ? cursor : this.hover.view.voxel(...this.hover.at);
    return x + labels.shape[0] * (y + labels.shape[1] * z);
  }

  /** Change the class in one step of undo. */
  private async change(erased: Iterable<number>, painted: Iterable<number>, inWindow = this.inWindow): Promise<void> {
    const { labels } = this.scene!;
    this.kept.clear();
    labels.begin();
    this.paint(erased, true);
    this.paint(painted, false, inWindow);
    await this.keep();
  }

  /** Draw what the model suggests. */
  async take(): Promise<void> {
    if (this.asking?.isOpen !== true) return;
    const { more, less } = await this.asking.close(this.scene!, true);
    await this.change(less, more, false);
  }

  /** Let go what the model suggests. */
  async leave(): Promise<void> {
    if (this.asking?.isOpen === true) await this.asking.close(this.scene!, false);
  }

  /** The class that is shown, as it is now. */
  private mask(): Mask {
    const { labels, current } = this.scene!;
    const inside = new Uint8Array(65536);
    for (const id of labels.schema.within(current)) inside[id] = 1;
    return { map: labels.now, shape: labels.shape, inside };
  }

  /** Remove the piece of the class under the pointer, or all others. */
  async pieces(which: "remove" | "keep"): Promise<void> {
    if (this.scene === null) return;
    const mask = this.mask();
    const { voxels, isIn } = piece(mask, this.target());
    if (voxels.length === 0) return this.say(t("noPiece", { class: this.scene.current }));
    if (which === "remove") return await this.change(voxels, []);
    const others: number[] = [];
    mask.map.forEach((id, voxel) => mask.inside[id] === 1 && isIn[voxel] === 0 && others.push(voxel));
    await this.change(others, []);
  }

  /** Let most of its neighbours decide of every voxel at the border of the class. */
  async smooth(): Promise<void> {
    if (this.scene === null) return;
    const box = this.boxNow(this.scene.current);
    if (box === null) return;
    const found = smoothed(this.mask(), box);
    await this.change(found.out, found.in);
  }

  /** The box of a class as it is, with a voxel around. */
  private boxNow(className: string): Box | null {
    const { labels } = this.scene!;
    const ids = labels.schema.within(className);
    const { boxes } = overview(labels.now, labels.shape);
    const own = [...boxes].filter(([id]) => ids.has(id)).map(([, box]) => box);
    if (own.length === 0) return null;
    return {
      low: [0, 1, 2].map((a) => Math.max(0, Math.min(...own.map((b) => b.low[a])) - 1)) as Triple,
      high: [0, 1, 2].map((a) => Math.min(labels.shape[a] - 1, Math.max(...own.map((b) => b.high[a])) + 1)) as Triple,
    };
  }

  /** Draw the slices between the two nearest that were corrected, before and behind the one that is shown. */
  async interpolate(): Promise<void> {
    if (this.scene === null) return;
    const { labels, current, cursor } = this.scene;
    const view = this.hover?.view ?? this.views[0];
    const axis = view.plane.n;
    const ids = labels.schema.within(current);
    const stride = [1, labels.shape[0], labels.shape[0] * labels.shape[1]][axis];
    const corrected = new Set<number>();
    for (const voxel of labels.touched())
      if (ids.has(labels.now[voxel]) !== ids.has(labels.sent[voxel]))
        corrected.add(Math.floor(voxel / stride) % labels.shape[axis]);
    const at = cursor[axis];
    const before = Math.max(...[...corrected].filter((n) => n <= at - (corrected.has(at) ? 1 : 0)));
    const behind = corrected.has(at) ? at : Math.min(...[...corrected].filter((n) => n > at));
    if (!Number.isFinite(before) || !Number.isFinite(behind) || behind - before < 2) return this.say(t("noBetween"));
    const slice = view.slice();
    const base = slice.base - at * stride;
    const { width, height, stepU, stepV, mm } = slice;
    const voxels = (n: number) =>
      Uint32Array.from({ length: width * height }, (_, i) =>
        base + n * stride + (i % width) * stepU + Math.floor(i / width) * stepV,
      );
    const mask = (n: number) => Uint8Array.from(voxels(n), (voxel) => (ids.has(labels.now[voxel]) ? 1 : 0));
    const [out, into]: [number[], number[]] = [[], []];
    between(mask(before), mask(behind), width, height, mm, behind - before - 1).forEach((found, i) => {
      voxels(before + 1 + i).forEach((voxel, j) => {
        if (ids.has(labels.now[voxel]) !== (found[j] === 1)) (found[j] === 1 ? into : out).push(voxel);
      });
    });
    await this.change(out, into);
    this.say(t("between", { from: before + 1, to: behind + 1 }));
  }

  /** End a stroke, say what it left alone, and keep it. */
  private async keep(isCorrection = true): Promise<void> {
    const { labels, current } = this.scene!;
    const { schema } = labels;
    const stroke = labels.end();
    const inside = schema.within(current);
    const kept = [...this.kept].filter(([voxel, id]) => labels.now[voxel] === id && id !== 0 && !inside.has(id));
    this.kept.clear();
    if (kept.length > 0) {
      const names = [...new Set(kept.map(([, id]) => schema.byId.get(id)!.name))];
      this.say(t("locked", { n: kept.length, classes: names.join(", ") }));
    }
    this.draw();
    if (stroke === null) return;
    const row = this.session.row(this.open!.caseId, current);
    if (row !== undefined && isCorrection) row.decision = "revise";
    await this.session.keepStroke(this.open!.caseId, labels, stroke);
    this.changed();
  }

}
