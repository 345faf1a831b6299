import assert from "node:assert/strict";
import { test } from "node:test";
import { blankRow, fromCsv, toCsv, type Decision } from "../src/csv.ts";
import { findings, type Said } from "../src/findings.ts";
import { Labels } from "../src/labels.ts";
import { Clock, IDLE_MS } from "../src/minutes.ts";
import { overview } from "../src/places.ts";
import { SCHEMA } from "./_helpers.ts";

test("what is written is read again, and no comment becomes a formula or a second line", () => {
  const row = { ...blankRow("case-1", "liver"), decision: "revise" as Decision, minutes: 1.234, difficulty: "hard" as const };
  const text = toCsv([{ ...row, comment: '=HYPERLINK("x"), <b>\nnext' }, blankRow("case-1", "spleen")]);
  assert.equal(
    text,
    "case_id,class_name,decision,minutes,error_type,confirmed,comment,difficulty\n" +
      'case-1,liver,revise,1.23,none,,"\'=HYPERLINK(""x""), <b> next",hard\ncase-1,spleen,,,,,,\n',
  );
  const [first, second] = fromCsv(text);
  assert.deepEqual([first.decision, first.minutes, first.difficulty], ["revise", 1.23, "hard"]);
  assert.equal(second.decision, null);
});

test("a table that was in a spreadsheet is read", () => {
  const text = '\ufeffsep=;\r\nCase_ID;class_name;Decision;minutes;error_type\r\ncase-1;liver;Accepted;1,5;"none"\r\n\r\n;;;\r\n';
  const [row, ...rest] = fromCsv(text);
  assert.deepEqual([row.caseId, row.decision, row.minutes, rest.length], ["case-1", "accept", 1.5, 0]);
});

test("a hand-filled table loses nothing that `receive` would read", () => {
  const [row] = fromCsv("\r\n case_id;class_name;decision;error_type\r\ncase-1;liver;revise;False positive\r\n");
  assert.deepEqual([row?.decision, row?.errorType], ["revise", "false_positive"]);
});

const asked = ["liver", "pancreas", "lesion", "spleen"];
const before = [0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4];
function found(change: Record<number, number>, said: Record<string, Partial<Said>>, ask = asked): string[] {
  const sent = Uint8Array.from(before);
  const labels = new Labels(sent.slice(), sent, [sent.length, 1, 1], SCHEMA);
  labels.begin();
  for (const [voxel, id] of Object.entries(change)) labels.set(Number(voxel), id);
  labels.end();
  const lines = new Map(
    Object.entries(said).map(([n, s]) => [n, { decision: null, errorType: "none", confirmed: false, ...s } as Said]),
  );
  const { counts } = overview(sent, [sent.length, 1, 1]);
  return findings(SCHEMA, labels.changes(), counts, lines, ask)
    .filter((f) => f.kind !== "undecided" || ask === asked)
    .map((f) => `${f.kind} ${f.className}${f.voxels ? ` ${f.voxels}` : ""}`);
}
const all = (decision: Decision, but: Record<string, Partial<Said>> = {}) => ({
  ...Object.fromEntries(asked.map((n) => [n, { decision }])),
  ...but,
});
const revise = { decision: "revise" as const };
const accept = { decision: "accept" as const };

for (const [what, got, expected] of [
  ["all accepted, nothing changed", found({}, all("accept")), []],
  ["open", found({}, all("accept", { spleen: {} })), ["undecided spleen"]],
  ["revise without a change", found({}, all("accept", { liver: revise })), ["unchanged_revise liver"]],
  ["accept with a change", found({ 0: 4 }, all("accept")), ["changed_decided spleen 1"]],
  ["a change without a decision", found({ 0: 1 }, { spleen: accept }, ["spleen"]), ["changed_unasked liver 1"]],
  ["grown", found({ 0: 1 }, all("accept", { liver: revise })), []],
  ["a lesion that grows into its organ", found({ 7: 3 }, all("accept", { lesion: revise })), []],
  ["a lesion that grows beyond its organ", found({ 0: 3 }, all("accept", { lesion: revise })), []],
  ["a lesion erased to its organ", found({ 8: 2 }, all("accept", { lesion: revise })), []],
  ["a lesion erased to nothing", found({ 8: 0 }, all("accept", { lesion: revise })), []],
  ["emptied", found({ 8: 2, 9: 2 }, all("accept", { lesion: revise })), ["emptied lesion 2"]],
  [
    "emptied, and said so",
    found({ 8: 2, 9: 2 }, all("accept", { lesion: { ...revise, errorType: "false_positive" } })),
    [],
  ],
  ["taken from an accepted one", found({ 10: 1 }, all("accept", { liver: revise })), ["taken spleen 1"]],
  [
    "taken, and confirmed",
    found({ 10: 1 }, all("accept", { liver: revise, spleen: { ...accept, confirmed: true } })),
    [],
  ],
  ["swallowed", found({ 10: 1, 11: 1 }, all("accept", { liver: revise })), ["swallowed spleen 2"]],
  ["both revised", found({ 10: 1, 11: 1 }, all("accept", { liver: revise, spleen: revise })), []],
  ["rejected and erased", found({ 8: 0, 9: 0 }, all("accept", { lesion: { decision: "reject" } })), []],
  ["rejected and changed", found({ 8: 2 }, all("accept", { lesion: { decision: "reject" } })), ["changed_decided lesion 1"]],
] as const)
  test(`findings: ${what}`, () => assert.deepEqual(got, expected));

test("time counts while something is done, and pauses do not", () => {
  let spent = 0;
  const clock = new Clock((ms) => (spent += ms));
  clock.active(1000);
  clock.active(3000);
  assert.equal(spent, 2000);
  clock.active(3_600_000);
  assert.equal(spent, 2000 + IDLE_MS);
  clock.pause(3_601_000);
  clock.active(9_000_000);
  assert.equal(spent, 3000 + IDLE_MS);
});
