import assert from "node:assert/strict";
import { test } from "node:test";
import { Bundle, Refused, sha256 } from "../src/bundle.ts";
import { CLICKS, clicked, readRecord, writeRecord } from "../src/clicks.ts";
import { fromCsv } from "../src/csv.ts";
import { asLabels, gunzip, parse, writeLabels } from "../src/nifti.ts";
import { Session, type OpenCase } from "../src/session.ts";
import { Store } from "../src/store.ts";
import { nifti } from "./_helpers.ts";

const RAS = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]];
const HEAD = "case_id,class_name,decision,minutes,error_type,confirmed,comment\n";
const TABLE = "decisions.csv";
type Bytes = Uint8Array<ArrayBuffer>;
const text = (bytes: Bytes) => new TextDecoder().decode(bytes);
const bytes = (value: string) => new TextEncoder().encode(value) as Bytes;
const label = (name: string) => `labels/${name}.nii.gz`;
const volume = parse(nifti([4, 4, 4], 2, 8, RAS, (view, at, i) => view.setUint8(at, i < 8 ? 1 : 0)));
const packed = (change: Record<number, number>) => {
  const labels = asLabels(volume, 2).slice();
  for (const [voxel, id] of Object.entries(change)) labels[Number(voxel)] = id;
  return writeLabels(labels, volume.header) as Bytes;
};

/** A folder with two cases; what is written to `full` fails. */
async function folder() {
  const files = new Map<string, Bytes>();
  const cases = ["a", "b"];
  for (const one of cases) for (const kind of ["images", "labels"]) files.set(`${kind}/${one}.nii.gz`, packed({}));
  const asked = cases.flatMap((case_id) => ["liver", "spleen"].map((class_name) => ({ case_id, class_name })));
  files.set(TABLE, bytes(HEAD + asked.map((a) => `${a.case_id},${a.class_name},,,,,\n`).join("")));
  const manifest = {
    ...{ id: "0", dataset: "d", round: 1, reviewer: "r", asked, voxels: { a: 64, b: 64 } },
    label_schema: { classes: [{ id: 1, name: "liver" }, { id: 2, name: "spleen" }, { id: 3, name: "aorta" }] },
    files: Object.fromEntries(
      await Promise.all([...files].map(async ([path, b]) => [path, { sha256: await sha256(b), bytes: b.length }])),
    ),
  };
  files.set("bundle.json", bytes(JSON.stringify(manifest)));
  const full = new Set<string>();
  const source = {
    read: async (path: string) => (files.has(path) ? new Blob([files.get(path)!]) : null),
    labels: async () => [...files.keys()].filter((path) => path.startsWith("labels/")),
    write: async (path: string, b: Bytes) => {
      if (full.has(path)) throw new Error("disk full");
      files.set(path, b);
    },
  };
  const store = Store.inMemory();
  const start = async () => Session.start(await Bundle.open(source), store);
  return { files, full, start };
}

async function shown(session: Session, caseId: string): Promise<OpenCase> {
  session.current = null;
  const open = await session.open(caseId);
  [session.current, session.className] = [open, "liver"];
  return open;
}

async function drawn(session: Session, voxel: number, id: number): Promise<void> {
  const { labels, caseId } = session.current!;
  labels.begin();
  labels.set(voxel, id);
  await session.keepStroke(caseId, labels, labels.end()!);
}

async function written(session: Session): Promise<void> {
  await session.writeBack(await session.result());
}

const voxels = async (file: Bytes) => [...parse(await gunzip(new Blob([file]))).voxels];
const changed = async (file: Bytes) => {
  const before = asLabels(volume, 3);
  return Object.fromEntries((await voxels(file)).flatMap((id, i) => (id === before[i] ? [] : [[i, id]])));
};
const line = (files: Map<string, Bytes>, caseId: string, name: string) =>
  fromCsv(text(files.get(TABLE)!)).find((row) => row.caseId === caseId && row.className === name)!;

test("what another program saves while the case is open is put together with what is drawn here", async () => {
  const { files, start } = await folder();
  const session = await start();
  await shown(session, "a");
  await drawn(session, 20, 1);
  files.set(label("a"), packed({ 30: 2 }));
  await written(session);
  assert.deepEqual(await changed(files.get(label("a"))!), { 20: 1, 30: 2 });
  files.set(label("a"), packed({ 20: 1, 30: 2, 40: 2 }));
  await written(session);
  assert.deepEqual(await changed(files.get(label("a"))!), { 20: 1, 30: 2, 40: 2 });
  const again = await shown(await start(), "a");
  assert.equal(again.files.unknown, false);
  assert.equal(again.labels.now[40], 2);
});

test("what changes after it was looked through is not written over", async () => {
  for (const path of [label("a"), TABLE]) {
    const { files, start } = await folder();
    const session = await start();
    await shown(session, "a");
    await drawn(session, 20, 1);
    const result = await session.result();
    const theirs = path === TABLE ? bytes(`${HEAD}a,liver,reject,,,,\n`) : packed({ 30: 2 });
    files.set(path, theirs);
    await assert.rejects(session.writeBack(result), (error: Refused) => error.key === "changedMeanwhile");
    assert.deepEqual(files.get(path), theirs);
  }
});

test("a write that fails takes nothing back, and can be done again", async () => {
  const { files, full, start } = await folder();
  let session = await start();
  await shown(session, "a");
  await drawn(session, 20, 1);
  await written(session);
  files.set(label("a"), packed({ 20: 1, 30: 2 }));
  session = await start();
  await shown(session, "a");
  await drawn(session, 21, 1);
  full.add(label("a"));
  await assert.rejects(written(session), /disk full/);
  full.clear();
  session = await start();
  const { labels } = await shown(session, "a");
  assert.deepEqual([labels.now[20], labels.now[21], labels.now[30]], [1, 1, 2]);
  await written(session);
  await written(session);
  assert.deepEqual(await changed(files.get(label("a"))!), { 20: 1, 21: 1, 30: 2 });
});

test("what is filled in by hand between two sittings, or meanwhile, is not written over", async () => {
  const { files, start } = await folder();
  let session = await start();
  await shown(session, "a");
  await session.decide(session.row("a", "liver")!, "accept");
  session.clock.active(0);
  session.clock.active(12_000);
  await written(session);
  assert.equal(line(files, "a", "liver").minutes, 0.2);
  files.set(TABLE, bytes(text(files.get(TABLE)!).replace("a,spleen,,,,,", "a,spleen,reject,3,boundary,,by hand")));
  session = await start();
  assert.equal(session.row("a", "spleen")!.decision, "reject");
  files.set(TABLE, bytes(`${text(files.get(TABLE)!)}b,aorta,revise,,,,\n`.replace("b,liver,", "b,liver,accept")));
  await written(session);
  await written(session);
  assert.deepEqual(
    ["liver", "spleen"].map((name) => [line(files, "a", name).decision, line(files, "a", name).minutes]),
    [["accept", 0.2], ["reject", 3]],
  );
  assert.deepEqual([line(files, "b", "liver").decision, line(files, "b", "aorta").decision], ["accept", "revise"]);
  files.delete(TABLE);
  session = await start();
  assert.deepEqual([session.decided, session.row("a", "spleen")!.comment], [3, "by hand"]);
});

test("a copy of the bundle as it was sent, or as it was returned before, takes back nothing", async () => {
  const { files, start } = await folder();
  const sent = files.get(TABLE)!;
  let session = await start();
  await session.decide(session.row("a", "liver")!, "accept");
  await written(session);
  const returned = files.get(TABLE)!;
  await session.decide(session.row("a", "liver")!, "reject");
  for (const copy of [sent, returned, sent]) {
    files.set(TABLE, copy);
    session = await start();
    assert.deepEqual([session.row("a", "liver")!.decision, session.isTableTaken], ["reject", false]);
  }
  // Whoever writes something into such a copy means that alone.
  files.set(TABLE, bytes(text(sent).replace("b,liver,", "b,liver,accept")));
  session = await start();
  assert.deepEqual([session.decided, session.isTableTaken], [2, true]);
  await written(session);
  assert.equal(line(files, "a", "liver").decision, "reject");
});

test("a line that only says that what was taken is meant goes back", async () => {
  const { files, start } = await folder();
  const session = await start();
  await session.addLine("a", "aorta");
  await session.addLine("b", "aorta");
  session.row("a", "aorta")!.confirmed = true;
  await written(session);
  assert.equal(line(files, "a", "aorta").confirmed, true);
  assert.equal(line(files, "b", "aorta"), undefined);
});

test("labels that only other programs read are told", async () => {
  const { files, start } = await folder();
  files.set("labels/.DS_Store", bytes("x"));
  assert.deepEqual((await (await start()).result()).others, []);
  files.set("labels/a.seg.nrrd", bytes("drawn elsewhere"));
  assert.deepEqual((await (await start()).result()).others, ["labels/a.seg.nrrd"]);
});

test("where the browser keeps nothing, what was drawn in one case is there after another one", async () => {
  const { start } = await folder();
  const session = await start();
  await shown(session, "a");
  await drawn(session, 20, 1);
  await shown(session, "b");
  const result = await session.result();
  assert.deepEqual(await changed(result.files.get(label("a"))!), { 20: 1 });
});

test("what a model was asked goes back, also when the work goes on in another browser", async () => {
  const click = { case_id: "a", class_name: "liver", kind: "point", voxel: [0, 1, 2], others: [], present: true } as const;
  const { files, start } = await folder();
  const session = await start();
  await written(session);
  assert.ok(!files.has("clicks.json"));
  await session.noteClicks("m", null, [{ ...click, voxel: [0, 1, 2], others: [], helped: true }]);
  await written(session);
  assert.equal((await start()).clicks!.clicks.length, 1);
  const source = { read: async (path: string) => (files.has(path) ? new Blob([files.get(path)!]) : null) };
  const elsewhere = await Session.start(await Bundle.open(source), Store.inMemory());
  await elsewhere.noteClicks("m", null, [{ ...click, voxel: [0, 1, 3], others: [], helped: false }]);
  const record = JSON.parse(text((await elsewhere.result()).files.get("clicks.json")!));
  assert.deepEqual(record.clicks.map((c: { helped: boolean }) => c.helped), [true, false]);
});

test("clicks that came into the folder meanwhile are not lost", async () => {
  const { files, start } = await folder();
  const mark = (x: number) => clicked("a", "liver", [{ kind: "point", voxels: [[0, 0, x]], present: true }], true);
  const session = await start();
  await session.noteClicks("m", null, mark(0));
  files.set(CLICKS, bytes(writeRecord({ model: "m", answered_by: null, clicks: [...mark(0), ...mark(1)] })));
  await written(await start());
  assert.deepEqual(readRecord(text(files.get(CLICKS)!))!.clicks.map((click) => click.voxel[2]), [1, 0]);
});
