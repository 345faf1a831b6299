/** A zip read in place, entry by entry: it may be larger than memory. Zip64, stored and deflated entries. */

interface Entry {
  method: number;
  packed: number;
  size: number;
  at: number;
}

export class BadZip extends Error {}

/** Files of a zip by path. */
export class Zip {
  private constructor(
    private readonly file: Blob,
    readonly entries: Map<string, Entry>,
  ) {}

  static async open(file: Blob): Promise<Zip> {
    const tail = await view(file, Math.max(0, file.size - 65_557), file.size);
    let at = tail.byteLength - 22;
    while (at >= 0 && tail.getUint32(at, true) !== 0x06054b50) at--;
    if (at < 0) throw new BadZip("is not a zip, or not whole");
    let [count, size, start] = [tail.getUint16(at + 10, true), tail.getUint32(at + 12, true), tail.getUint32(at + 16, true)];
    const locator = at - 20;
    if (locator >= 0 && tail.getUint32(locator, true) === 0x07064b50) {
      const place = number64(tail, locator + 8);
      const end = await view(file, place, place + 56);
      if (end.getUint32(0, true) !== 0x06064b50) throw new BadZip("is damaged");
      [count, size, start] = [number64(end, 32), number64(end, 40), number64(end, 48)];
    }
    const directory = await view(file, start, start + size);
    const entries = new Map<string, Entry>();
    for (let i = 0, p = 0; i < count; i++) {
      if (p + 46 > size || directory.getUint32(p, true) !== 0x02014b50) throw new BadZip("is damaged");
      const [name, extra, comment] = [28, 30, 32].map((o) => directory.getUint16(p + o, true));
      const entry: Entry = {
        method: directory.getUint16(p + 10, true),
        packed: directory.getUint32(p + 20, true),
        size: directory.getUint32(p + 24, true),
        at: directory.getUint32(p + 42, true),
      };
      widen(entry, directory, p + 46 + name, extra);
      const bytes = new Uint8Array(directory.buffer, directory.byteOffset + p + 46, name);
      const path = new TextDecoder().decode(bytes);
      if (entries.has(path)) throw new BadZip("holds two files of one name");
      entries.set(path, entry);
      p += 46 + name + extra + comment;
    }
    return new Zip(file, entries);
  }

  /** The content of an entry; null where there is none. */
  async read(path: string): Promise<Blob | null> {
    const entry = this.entries.get(path);
    if (entry === undefined) return null;
    const local = await view(this.file, entry.at, entry.at + 30);
    if (local.getUint32(0, true) !== 0x04034b50) throw new BadZip("is damaged");
    const start = entry.at + 30 + local.getUint16(26, true) + local.getUint16(28, true);
    const packed = this.file.slice(start, start + entry.packed);
    if (packed.size !== entry.packed) throw new BadZip("is cut off");
    if (entry.method === 0) return packed;
    if (entry.method !== 8) throw new BadZip("is packed in a way that is not read");
    return await new Response(packed.stream().pipeThrough(new DecompressionStream("deflate-raw"))).blob();
  }
}

function widen(entry: Entry, directory: DataView, start: number, length: number): void {
  for (let p = start; p + 4 <= start + length; p += 4 + directory.getUint16(p + 2, true)) {
    if (directory.getUint16(p, true) !== 1) continue;
    let q = p + 4;
    for (const field of ["size", "packed", "at"] as const)
      if (entry[field] === 0xffffffff) {
        entry[field] = number64(directory, q);
        q += 8;
      }
  }
}

function number64(from: DataView, at: number): number {
  return Number(from.getBigUint64(at, true));
}

async function view(file: Blob, start: number, end: number): Promise<DataView> {
  if (start < 0 || end > file.size || start > end) throw new BadZip("is damaged");
  return new DataView(await file.slice(start, end).arrayBuffer());
}
