/** What `voxledger review receive` would say of a case, as far as it can be told here: the same rules in the same words. */

import type { Decision, ErrorType } from "./csv.ts";
import type { Pair } from "./labels.ts";
import type { Schema } from "./schema.ts";

export type Kind =
  | "undecided"
  | "unchanged_revise"
  | "changed_decided"
  | "changed_unasked"
  | "changed_blank"
  | "emptied"
  | "swallowed"
  | "taken";

export interface Finding {
  kind: Kind;
  className: string;
  /** Voxels that it is about. */
  voxels: number;
  /** Whether `confirmed` says that it is meant. */
  confirmable: boolean;
}

/** What a finding needs to know of a line. */
export interface Said {
  decision: Decision | null;
  errorType: ErrorType;
  confirmed: boolean;
}

const SHARE = 0.5;

/**
 * @param counts voxels by id in the label that was sent
 * @param said lines of the case by class
 * @param asked classes that were asked about
 */
export function findings(
  schema: Schema,
  pairs: Pair[],
  counts: ReadonlyMap<number, number>,
  said: ReadonlyMap<string, Said>,
  asked: readonly string[],
): Finding[] {
  const found: Finding[] = [];
  const add = (kind: Kind, className: string, voxels = 0, confirmable = false) =>
    found.push({ kind, className, voxels, confirmable });
  const decision = (name: string) => said.get(name)?.decision ?? null;
  const names = schema.classes.map((c) => c.name);
  const change = new Map(names.map((name) => [name, changeOf(schema, name, pairs)]));
  const before = (name: string) => [...schema.within(name)].reduce((sum, id) => sum + (counts.get(id) ?? 0), 0);
  const after = (name: string) => before(name) + total(change.get(name)!.gained) - total(change.get(name)!.lost);
  const touched = names.filter((n) => change.get(n)!.gained.length + change.get(n)!.lost.length > 0);
  const revised = touched.filter((n) => decision(n) === "revise");
  const emptied = touched.filter((n) => decision(n) === "reject" && after(n) === 0);

  for (const name of asked) if (decision(name) === null) add("undecided", name);
  for (const name of names) {
    if (decision(name) === "revise") {
      if (!touched.includes(name)) add("unchanged_revise", name);
      continue;
    }
    if (!touched.includes(name) || emptied.includes(name)) continue;
    const count = unexplained(schema, name, change, revised, emptied);
    if (count === 0) continue;
    if (decision(name) !== null) add("changed_decided", name, count);
    else add(asked.includes(name) ? "changed_blank" : "changed_unasked", name, count);
  }
  for (const name of revised) {
    const error = said.get(name)!.errorType;
    if (before(name) === 0 || after(name) > 0 || error === "false_positive") continue;
    const lost = change.get(name)!.lost;
    const toBackground = total(lost.filter((p) => p.after === 0));
    const renamed = error === "wrong_class" || error === "left_right";
    if (renamed && 2 * toBackground < before(name)) continue;
    if (!said.get(name)!.confirmed) add("emptied", name, before(name), true);
  }
  for (const name of names.filter((n) => decision(n) === "accept")) {
    const decided = names.filter((n) => n !== name && schema.chain(n).includes(name) && decision(n) !== null);
    const fellBack = (p: Pair) =>
      p.after === 0 && decided.some((n) => decision(n) !== "accept" && schema.within(n).has(p.before));
    const taken = total(change.get(name)!.lost.filter((p) => !fellBack(p)));
    if (taken === 0) continue;
    if (taken >= SHARE * before(name)) add("swallowed", name, taken);
    else if (!said.get(name)!.confirmed) add("taken", name, taken, true);
  }
  return found;
}

interface Change {
  gained: Pair[];
  lost: Pair[];
}

function changeOf(schema: Schema, name: string, pairs: Pair[]): Change {
  const ids = schema.within(name);
  return {
    gained: pairs.filter((p) => ids.has(p.after) && !ids.has(p.before)),
    lost: pairs.filter((p) => ids.has(p.before) && !ids.has(p.after)),
  };
}

function total(pairs: Pair[]): number {
  return pairs.reduce((sum, p) => sum + p.count, 0);
}

/** Voxels of a class that changed though no revised class took them or gave them up. */
function unexplained(
  schema: Schema,
  name: string,
  change: ReadonlyMap<string, Change>,
  revised: string[],
  emptied: string[],
): number {
  let { gained, lost } = change.get(name)!;
  for (const other of revised) {
    const by = change.get(other)!;
    const outer = schema.chain(other).includes(name);
    gained = gained.filter((p) => !by.lost.includes(p) && !(outer && by.gained.includes(p)));
    const related = outer || schema.chain(name).includes(other);
    lost = lost.filter((p) => !by.gained.includes(p) && !(related && by.lost.includes(p)));
  }
  for (const other of emptied)
    if (schema.chain(other).includes(name)) lost = lost.filter((p) => !change.get(other)!.lost.includes(p));
  return total([...new Set([...gained, ...lost])]);
}

/** Whether a mask of a class has changed. */
export function isChanged(schema: Schema, name: string, pairs: Pair[]): boolean {
  const { gained, lost } = changeOf(schema, name, pairs);
  return gained.length + lost.length > 0;
}
