/** The classes of a bundle, and which lies inside which: a lesion counts as its organ, too. */

export interface LabelClass {
  id: number;
  name: string;
  inside?: string | null;
  lesion?: boolean;
  color?: Triple | null;
}

type Triple = [number, number, number];

export class Schema {
  readonly byName = new Map<string, LabelClass>();
  readonly byId = new Map<number, LabelClass>();
  readonly mostId: number;

  constructor(readonly classes: LabelClass[]) {
    for (const one of classes) {
      this.byName.set(one.name, one);
      this.byId.set(one.id, one);
    }
    this.mostId = Math.max(0, ...classes.map((c) => c.id));
  }

  get(name: string): LabelClass {
    const found = this.byName.get(name);
    if (found === undefined) throw new Error(`${name} is not a class`);
    return found;
  }

  /** The class, the one it lies in, and so on outwards. */
  chain(name: string): string[] {
    const chain: string[] = [];
    for (let at: string | null | undefined = name; at && !chain.includes(at); at = this.get(at).inside) chain.push(at);
    return chain;
  }

  /** Ids that count as a class: its own, and those of all classes inside it. */
  within(name: string): Set<number> {
    return new Set(this.classes.filter((c) => this.chain(c.name).includes(name)).map((c) => c.id));
  }

  /** The id that a voxel falls back to where a class is erased: that of the class around it, or background. */
  outer(name: string): number {
    const around = this.get(name).inside;
    return around ? this.get(around).id : 0;
  }

  /** A colour a class, as `voxledger.schema` gives it. */
  color(name: string): Triple {
    const own = this.get(name).color;
    if (own) return own;
    const hue = (this.classes.findIndex((c) => c.name === name) * 0.618034) % 1;
    const sector = Math.floor(hue * 6);
    const f = hue * 6 - sector;
    const [v, s] = [0.95, 0.65];
    const [p, q, t] = [v * (1 - s), v * (1 - s * f), v * (1 - s * (1 - f))];
    const rgb = [[v, t, p], [q, v, p], [p, v, t], [p, q, v], [t, p, v], [v, p, q]][sector % 6];
    return rgb.map((x) => Math.round(x * 255)) as Triple;
  }
}
