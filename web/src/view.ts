/** One plane of a volume on a canvas: image, heat, labels, crosshair. */

import type { Plane, Triple } from "./grid.ts";
import type { Labels, Slice } from "./labels.ts";
import type { LabelArray, Volume } from "./nifti.ts";
import type { Box } from "./places.ts";
import { linesIn, type WeakLabel } from "./weak.ts";

export interface Window {
  low: number;
  high: number;
}

/** What all three planes show. */
export interface Scene {
  image: Volume;
  heat: Uint8Array | null;
  weak: WeakLabel | null;
  /** What a reader drew. */
  reading: { reader: string; map: LabelArray } | null;
  labels: Labels;
  cursor: Triple;
  window: Window;
  current: string;
  showLabels: boolean;
  filled: boolean;
  showHeat: boolean;
  showWeak: boolean;
  /** Voxels that were marked for the model, and those that it would add and take away. */
  marks: Map<number, "mark" | "more" | "less">;
  /** Colours by id. */
  colors: Map<number, [number, number, number]>;
}

const MARKS = { mark: [255, 255, 255, 230], more: [80, 220, 255, 150], less: [255, 90, 200, 150] };

export class PlaneView {
  private readonly gray = document.createElement("canvas");
  private readonly over = document.createElement("canvas");
  /** Column and row in the middle of the canvas. */
  private middle: [number, number] = [0, 0];
  /** Pixels of the screen a millimetre. */
  private scale = 1;
  private width = 0;
  private height = 0;
  /** What the grey picture was made of. */
  private grayOf = "";

  constructor(
    readonly canvas: HTMLCanvasElement,
    readonly plane: Plane,
    readonly scene: Scene,
  ) {}

  private get shape(): Triple {
    return this.scene.image.grid.shape;
  }

  /** The slice through the cursor. */
  slice(): Slice {
    const { plane, shape } = this;
    const strides = [1, shape[0], shape[0] * shape[1]];
    const { spacing } = this.scene.image.grid;
    const start = (axis: number, flip: boolean) => (flip ? (shape[axis] - 1) * strides[axis] : 0);
    return {
      width: shape[plane.u],
      height: shape[plane.v],
      base: start(plane.u, plane.uFlip) + start(plane.v, plane.vFlip) + this.scene.cursor[plane.n] * strides[plane.n],
      stepU: plane.uFlip ? -strides[plane.u] : strides[plane.u],
      stepV: plane.vFlip ? -strides[plane.v] : strides[plane.v],
      mm: [spacing[plane.u], spacing[plane.v]],
    };
  }

  /** Column and row of a voxel. */
  columnRow(voxel: Triple): [number, number] {
    const { plane, shape } = this;
    const at = (axis: number, flip: boolean) => (flip ? shape[axis] - 1 - voxel[axis] : voxel[axis]);
    return [at(plane.u, plane.uFlip), at(plane.v, plane.vFlip)];
  }

  /** Column and row, with fractions, under a point of the window. */
  under(event: { clientX: number; clientY: number }): [number, number] {
    const place = this.canvas.getBoundingClientRect();
    const { mm } = this.slice();
    return [
      this.middle[0] + (event.clientX - place.left - place.width / 2) / (this.scale * mm[0]),
      this.middle[1] + (event.clientY - place.top - place.height / 2) / (this.scale * mm[1]),
    ];
  }

  /** The voxel of a column and a row, inside the volume. */
  voxel(column: number, row: number): Triple {
    const { plane, shape } = this;
    const found: Triple = [...this.scene.cursor];
    const clamp = (value: number, n: number) => Math.min(n - 1, Math.max(0, Math.round(value)));
    const [u, v] = [clamp(column, shape[plane.u]), clamp(row, shape[plane.v])];
    found[plane.u] = plane.uFlip ? shape[plane.u] - 1 - u : u;
    found[plane.v] = plane.vFlip ? shape[plane.v] - 1 - v : v;
    return found;
  }

  /** Show a box with some room around it; null shows all. */
  fit(box: Box | null): void {
    const place = this.canvas.getBoundingClientRect();
    const { mm, width, height } = this.slice();
    const [a, b] = box === null ? [[0, 0], [width - 1, height - 1]] : [this.columnRow(box.low), this.columnRow(box.high)];
    const room = box === null ? 0 : 30;
    const size = [0, 1].map((i) => Math.max(box === null ? 0 : 60, (Math.abs(a[i] - b[i]) + 1) * mm[i] + room));
    this.middle = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    this.scale = Math.max(0.01, Math.min(place.width / size[0], place.height / size[1]));
  }

  /** Zoom around a point of the window. */
  zoom(factor: number, event: { clientX: number; clientY: number }): void {
    const before = this.under(event);
    this.scale = Math.min(200, Math.max(0.05, this.scale * factor));
    const after = this.under(event);
    this.middle = [this.middle[0] + before[0] - after[0], this.middle[1] + before[1] - after[1]];
  }

  /** Move by pixels of the screen. */
  pan(dx: number, dy: number): void {
    const { mm } = this.slice();
    this.middle = [this.middle[0] - dx / (this.scale * mm[0]), this.middle[1] - dy / (this.scale * mm[1])];
  }

  /** A column and a row as pixels of the canvas. */
  private pixel(column: number, row: number, slice: Slice): [number, number] {
    return [
      this.width / 2 + (column - this.middle[0]) * slice.mm[0] * this.scale,
      this.height / 2 + (row - this.middle[1]) * slice.mm[1] * this.scale,
    ];
  }

  draw(brush: { at: [number, number]; radius: number } | null): void {
    const ratio = window.devicePixelRatio || 1;
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    const [w, h] = [Math.round(this.width * ratio), Math.round(this.height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) [this.canvas.width, this.canvas.height] = [w, h];
    const context = this.canvas.getContext("2d")!;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, this.width, this.height);
    const slice = this.slice();
    const [x, y] = this.pixel(-0.5, -0.5, slice);
    const size = [slice.width * slice.mm[0] * this.scale, slice.height * slice.mm[1] * this.scale] as const;
    this.paintGray(slice);
    context.imageSmoothingEnabled = true;
    context.drawImage(this.gray, x, y, ...size);
    if (this.paintOver(slice)) {
      context.imageSmoothingEnabled = false;
      context.drawImage(this.over, x, y, ...size);
    }
    if (this.scene.showLabels) this.drawContours(context, slice);
    if (this.scene.showWeak && this.scene.weak !== null) this.drawWeak(context, slice, this.scene.weak);
    if (this.scene.reading !== null) this.drawReading(context, slice, this.scene.reading.map);
    this.drawMarks(context, slice, brush);
  }

  private paintGray(slice: Slice): void {
    const { image, window: shown, cursor } = this.scene;
    const { voxels } = image;
    const wanted = `${cursor[this.plane.n]} ${shown.low} ${shown.high}`;
    if (this.grayOf === wanted) return;
    this.grayOf = wanted;
    const picture = sized(this.gray, slice);
    const words = new Uint32Array(picture.data.buffer);
    const gain = (255 * image.slope) / Math.max(1e-9, shown.high - shown.low);
    const bias = ((image.inter - shown.low) * 255) / Math.max(1e-9, shown.high - shown.low);
    for (let v = 0, i = 0; v < slice.height; v++)
      for (let u = 0, at = slice.base + v * slice.stepV; u < slice.width; u++, i++, at += slice.stepU) {
        const value = voxels[at] * gain + bias;
        const level = value > 0 ? (value < 255 ? value | 0 : 255) : 0;
        words[i] = 0xff000000 | (level * 0x010101);
      }
    this.gray.getContext("2d")!.putImageData(picture, 0, 0);
  }

  /** Heat, filled labels and what the model was asked and suggests; whether there is anything. */
  private paintOver(slice: Slice): boolean {
    const { heat, labels, colors, current, marks } = this.scene;
    const showHeat = this.scene.showHeat && heat !== null;
    const fill = this.scene.showLabels && this.scene.filled;
    if (!showHeat && !fill && marks.size === 0) return false;
    const picture = sized(this.over, slice);
    const { data } = picture;
    data.fill(0);
    const inside = labels.schema.within(current);
    for (let v = 0, i = 0; v < slice.height; v++)
      for (let u = 0, at = slice.base + v * slice.stepV; u < slice.width; u++, i += 4, at += slice.stepU) {
        const id = fill ? labels.now[at] : 0;
        if (id !== 0) {
          const color = colors.get(id);
          if (color) [data[i], data[i + 1], data[i + 2]] = color;
          data[i + 3] = inside.has(id) ? 110 : 45;
        }
        const hot = showHeat ? heat[at] : 0;
        if (hot > 8) {
          [data[i], data[i + 1], data[i + 2]] = [255, Math.min(255, hot), hot > 200 ? (hot - 200) * 4 : 0];
          data[i + 3] = 40 + hot / 2;
        }
        const mark = marks.size > 0 ? marks.get(at) : undefined;
        if (mark !== undefined) data.set(MARKS[mark], i);
      }
    this.over.getContext("2d")!.putImageData(picture, 0, 0);
    return true;
  }

  private drawContours(context: CanvasRenderingContext2D, slice: Slice): void {
    const { labels, current } = this.scene;
    const inside = labels.schema.within(current);
    const paths = new Map<number, Path2D>();
    const own = new Path2D();
    this.eachEdge(labels.now, slice, (a, b, from, to) => {
      const mine = inside.has(a) !== inside.has(b);
      const path = mine ? own : pathOf(paths, a !== 0 ? a : b);
      path.moveTo(...from);
      path.lineTo(...to);
    });
    context.lineWidth = 1;
    context.globalAlpha = 0.55;
    for (const [id, path] of paths) {
      context.strokeStyle = this.color(id);
      context.stroke(path);
    }
    context.globalAlpha = 1;
    context.lineWidth = 2;
    context.strokeStyle = this.color(labels.schema.get(current).id);
    context.stroke(own);
  }

  private color(id: number | undefined): string {
    return `rgb(${((id === undefined ? undefined : this.scene.colors.get(id)) ?? [255, 255, 255]).join(" ")})`;
  }

  /** What was marked before, in dashes. */
  private drawWeak(context: CanvasRenderingContext2D, slice: Slice, weak: WeakLabel): void {
    const { byName } = this.scene.labels.schema;
    const paths = new Map<number, Path2D>();
    const edge = (a: number, b: number, from: [number, number], to: [number, number]) => {
      const path = pathOf(paths, a !== 0 ? a : b);
      path.moveTo(...from);
      path.lineTo(...to);
    };
    // Every second pixel: dashes, however small pixels are.
    if (weak.drawn !== null) this.eachEdge(weak.drawn, slice, edge, 2);
    const { n } = this.plane;
    for (const mark of weak.marks)
      for (const [from, to] of linesIn(mark, n, this.scene.cursor[n])) {
        const path = pathOf(paths, byName.get(mark.className)?.id ?? 0);
        const [a, b] = [from, to].map((point) => this.pixel(...this.columnRow(point), slice));
        path.moveTo(...a);
        path.lineTo(...b);
        for (const [x, y] of mark.type === "box" ? [] : [a, b]) path.rect(x - 2.5, y - 2.5, 5, 5);
      }
    // On a dark line they are seen on every grey.
    for (const [id, path] of paths)
      for (const [style, dash, width] of [["#000a", [], 4], [this.color(id), [7, 4], 2]] as const) {
        context.setLineDash([...dash]);
        [context.strokeStyle, context.lineWidth] = [style, width];
        context.stroke(path);
      }
    context.setLineDash([]);
  }

  /** The outline of the class as a reader drew it, in dots. */
  private drawReading(context: CanvasRenderingContext2D, slice: Slice, map: LabelArray): void {
    const { labels, current } = this.scene;
    const inside = labels.schema.within(current);
    const path = new Path2D();
    this.eachEdge(map, slice, (a, b, from, to) => {
      if (inside.has(a) === inside.has(b)) return;
      path.moveTo(...from);
      path.lineTo(...to);
    });
    for (const [style, dash, width] of [["#000c", [], 4], ["#fff", [3, 3], 2]] as const) {
      context.setLineDash([...dash]);
      [context.strokeStyle, context.lineWidth] = [style, width];
      context.stroke(path);
    }
    context.setLineDash([]);
  }

  /** Edges between pixels that are seen of a slice and differ in a map; `every` 2 takes every second pixel. */
  private eachEdge(
    map: LabelArray,
    slice: Slice,
    edge: (a: number, b: number, from: [number, number], to: [number, number]) => void,
    every = 1,
  ): void {
    const [u0, v0] = this.columnRowAt(0, 0, slice, Math.floor);
    const [u1, v1] = this.columnRowAt(this.width, this.height, slice, Math.ceil);
    for (let v = Math.max(0, v0); v < Math.min(slice.height, v1 + 1); v++)
      for (let u = Math.max(0, u0); u < Math.min(slice.width, u1 + 1); u++) {
        if ((u + v) % every !== 0) continue;
        const at = slice.base + u * slice.stepU + v * slice.stepV;
        const id = map[at];
        if (u + 1 < slice.width && map[at + slice.stepU] !== id)
          edge(id, map[at + slice.stepU], this.pixel(u + 0.5, v - 0.5, slice), this.pixel(u + 0.5, v + 0.5, slice));
        if (v + 1 < slice.height && map[at + slice.stepV] !== id)
          edge(id, map[at + slice.stepV], this.pixel(u - 0.5, v + 0.5, slice), this.pixel(u + 0.5, v + 0.5, slice));
      }
  }

  private columnRowAt(x: number, y: number, slice: Slice, round: (n: number) => number): [number, number] {
    return [
      round(this.middle[0] + (x - this.width / 2) / (this.scale * slice.mm[0])),
      round(this.middle[1] + (y - this.height / 2) / (this.scale * slice.mm[1])),
    ];
  }

  private drawMarks(
    context: CanvasRenderingContext2D,
    slice: Slice,
    brush: { at: [number, number]; radius: number } | null,
  ): void {
    const [x, y] = this.pixel(...this.columnRow(this.scene.cursor), slice);
    context.strokeStyle = "rgb(120 200 255 / 0.5)";
    context.lineWidth = 1;
    context.beginPath();
    // The crossing itself stays free: it is what one looks at.
    for (const [a, b, c, d] of [
      [0, y, x - 12, y],
      [x + 12, y, this.width, y],
      [x, 0, x, y - 12],
      [x, y + 12, x, this.height],
    ]) {
      context.moveTo(a, b);
      context.lineTo(c, d);
    }
    context.stroke();
    if (brush !== null) {
      context.strokeStyle = "#fff";
      context.beginPath();
      context.arc(...this.pixel(...brush.at, slice), Math.max(1, brush.radius * this.scale), 0, 2 * Math.PI);
      context.stroke();
    }
    context.fillStyle = "#ffd75e";
    context.font = "13px sans-serif";
    context.textBaseline = "middle";
    const [left, right, top, bottom] = this.plane.letters;
    context.textAlign = "left";
    context.fillText(left, 6, this.height / 2);
    context.textAlign = "right";
    context.fillText(right, this.width - 6, this.height / 2);
    context.textAlign = "center";
    context.fillText(top, this.width / 2, 10);
    context.fillText(bottom, this.width / 2, this.height - 10);
    context.textAlign = "left";
    const n = this.plane.n;
    context.fillText(`${this.scene.cursor[n] + 1} / ${this.shape[n]}`, 6, 12);
  }
}

function pathOf(paths: Map<number, Path2D>, id: number): Path2D {
  const path = paths.get(id) ?? new Path2D();
  paths.set(id, path);
  return path;
}

function sized(canvas: HTMLCanvasElement, slice: Slice): ImageData {
  if (canvas.width !== slice.width || canvas.height !== slice.height) {
    canvas.width = slice.width;
    canvas.height = slice.height;
  }
  return new ImageData(slice.width, slice.height);
}
