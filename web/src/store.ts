/** What is kept in this browser between two sittings: decisions, strokes, labels as they were sent, and the key. */

import type { ClickRecord } from "./clicks.ts";
import type { Row } from "./csv.ts";
import type { Stroke } from "./labels.ts";

/** Where a reviewer stands in one bundle. */
export interface Progress {
  rows: Row[];
  /** Milliseconds by case and class, beyond what the table had. */
  spent: Record<string, number>;
  /** Cases and classes that were shown. */
  shown: string[];
  /** How many strokes of a case count. */
  done: Record<string, number>;
  /** SHA-256 of the label in the bundle that this page wrote, or took over, by case. */
  known: Record<string, string>;
  at: { caseId: string; className: string } | null;
  /** Lines of the table in the bundle as they were last read or written here. */
  lay?: Row[];
  /** SHA-256 of tables that were read or written here. */
  tables?: string[];
  /** What the model beside the page was asked. */
  clicks?: ClickRecord | null;
}

const STORES = ["progress", "strokes", "sent", "keys"] as const;
type StoreName = (typeof STORES)[number];

export class Store {
  /** What is kept where there is no database, by store and key. */
  private readonly memory = new Map<string, unknown>();

  private constructor(private readonly db: IDBDatabase | null) {}

  /** Whether anything is there when the page is opened again. */
  get lasts(): boolean {
    return this.db !== null;
  }

  /** For a browser that keeps nothing: until the page is closed. */
  static inMemory(): Store {
    return new Store(null);
  }

  static async open(): Promise<Store> {
    const request = indexedDB.open("voxledger-review", 1);
    request.onupgradeneeded = () => {
      for (const name of STORES) request.result.createObjectStore(name);
    };
    return new Store(await result(request));
  }

  progress(bundle: string): Promise<Progress | undefined> {
    return this.get("progress", [bundle]);
  }

  keepProgress(bundle: string, progress: Progress): Promise<void> {
    return this.put("progress", [bundle], progress);
  }

  async strokes(bundle: string, caseId: string): Promise<Stroke[]> {
    if (this.db === null) return (this.memory.get(name("strokes", [bundle, caseId])) as Stroke[] | undefined)?.slice() ?? [];
    const store = this.db.transaction("strokes").objectStore("strokes");
    return (await result(store.getAll(range(bundle, caseId)))) as Stroke[];
  }

  /** Keep a stroke; those of this number and above, which were taken back, are forgotten. */
  async keepStroke(bundle: string, caseId: string, number: number, stroke: Stroke): Promise<void> {
    if (this.db === null) {
      const strokes = (await this.strokes(bundle, caseId)).slice(0, number);
      this.memory.set(name("strokes", [bundle, caseId]), [...strokes, stroke]);
      return;
    }
    const change = this.db.transaction("strokes", "readwrite");
    const store = change.objectStore("strokes");
    store.delete(IDBKeyRange.bound([bundle, caseId, number], [bundle, caseId, []]));
    store.put(stroke, [bundle, caseId, number]);
    await finished(change);
  }

  /** Keep the label that was sent before one that was corrected is written over it. */
  keepSent(bundle: string, caseId: string, bytes: ArrayBuffer): Promise<void> {
    return this.put("sent", [bundle, caseId], bytes);
  }

  sent(bundle: string, caseId: string): Promise<ArrayBuffer | undefined> {
    return this.get("sent", [bundle, caseId]);
  }

  key(): Promise<CryptoKeyPair | undefined> {
    return this.get("keys", ["review"]);
  }

  keepKey(key: CryptoKeyPair): Promise<void> {
    return this.put("keys", ["review"], key);
  }

  private async get<T>(store: StoreName, key: IDBValidKey): Promise<T | undefined> {
    if (this.db === null) return structuredClone(this.memory.get(name(store, key))) as T | undefined;
    return (await result(this.db.transaction(store).objectStore(store).get(key))) as T | undefined;
  }

  private async put(store: StoreName, key: IDBValidKey, value: unknown): Promise<void> {
    if (this.db === null) return void this.memory.set(name(store, key), structuredClone(value));
    const change = this.db.transaction(store, "readwrite");
    change.objectStore(store).put(value, key);
    await finished(change);
  }
}

const name = (store: StoreName, key: IDBValidKey) => JSON.stringify([store, key]);

const range = (bundle: string, caseId: string) => IDBKeyRange.bound([bundle, caseId], [bundle, caseId, []]);

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function finished(change: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    change.oncomplete = () => resolve();
    change.onerror = change.onabort = () => reject(change.error);
  });
}
