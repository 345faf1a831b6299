/** The page: opens a bundle, shows class after class, and gives back what was decided. */

import { zipSync, type Zippable } from "fflate";
import { alone } from "./alone.ts";
import { Asking } from "./asking.ts";
import { Bundle, fromFiles, fromFolder, fromServer, fromZip, labelPath, Refused, TABLE, type Source } from "./bundle.ts";
import type { Model } from "./clicks.ts";
import { DECISIONS, DIFFICULTIES, ERROR_TYPES, type Decision, type Difficulty, type ErrorType, type Row } from "./csv.ts";
import { Desk, KINDS, TOOLS, type Tool } from "./desk.ts";
import type { Finding } from "./findings.ts";
import type { Reading } from "./readings.ts";
import { put } from "./send.ts";
import { Session, signedList, type Result } from "./session.ts";
import { fingerprint, newKey, publicLine, sign } from "./sshsig.ts";
import { Store } from "./store.ts";
import { getLanguage, reason, setLanguage, t, type Key } from "./texts.ts";

const KEEP_MS = 10_000;
const SIGNED = "return.sha256";

const $ = <T extends HTMLElement = HTMLElement>(id: string) => document.getElementById(id) as T;
const input = (id: string) => $<HTMLInputElement>(id);
const select = (id: string) => $<HTMLSelectElement>(id);
const dialog = (id: string) => $<HTMLDialogElement>(id);

function say(text: string): void {
  $("status").textContent = text;
}

/** Say something that has to be seen; what lasts stays when the next case is opened. */
function notice(text: string, lasts = false): void {
  const line = document.createElement("p");
  line.textContent = text;
  line.className = lasts ? "lasting" : "";
  $("notices").append(line);
}

function clearNotices(): void {
  for (const line of $("notices").querySelectorAll("p:not(.lasting)")) line.remove();
}

function explain(error: unknown): string {
  if (error instanceof Refused) {
    const { how } = error.values;
    return t(error.key as Key, error.key === "unreadable" ? { ...error.values, how: reason(how) } : error.values);
  }
  return t("failed", { how: error instanceof Error ? error.message : String(error) });
}

function option(value: string, text: string): HTMLOptionElement {
  const one = document.createElement("option");
  one.value = value;
  one.textContent = text;
  return one;
}

class App {
  private readonly desk: Desk;
  private result: Result | null = null;
  /** Which case was asked for last: one that takes longer to open does not come after it. */
  private opening = 0;

  constructor(
    private readonly session: Session,
    private keys: CryptoKeyPair | null,
  ) {
    this.desk = new Desk(session, say, () => this.render(), () => this.wasDrawn());
    this.listen();
    $("start").hidden = true;
    $("work").hidden = false;
    $("bundle-name").textContent = session.bundle.name;
    this.translate();
  }

  async begin(): Promise<void> {
    const { session } = this;
    const model = await session.bundle.source.model?.();
    if (model) this.offer(model);
    const open = session.rows.find((row) => row.decision === null && session.isAsked(row));
    const at = session.at ?? open ?? session.rows[0];
    if (at !== undefined) await this.showCase(at.caseId, at.className);
    if (session.resumed) say(t("resumed"));
    const others = await session.bundle.otherLabels();
    if (others.length > 0) notice(t("otherLabels", { files: others.join(", ") }), true);
    if (session.isTableTaken) notice(t("takenOver", { files: TABLE }), true);
  }

  /** Let the model be asked, unless what was asked before went to another one: a return names one model. */
  private offer(model: Model): void {
    const before = this.session.clicks;
    if (before !== null && before.model !== model.id) return notice(t("otherModel", { id: before.model }), true);
    this.desk.asking = new Asking(model, this.session, say, () => this.render());
  }

  private async showCase(caseId: string, className?: string): Promise<void> {
    const { session, desk } = this;
    const opening = ++this.opening;
    clearNotices();
    session.clock.pause(performance.now());
    delete $("work").dataset.shown;
    say(t("loading", { what: caseId }));
    session.current = null;
    desk.clear();
    select("case").value = caseId;
    try {
      const open = await session.open(caseId);
      if (opening !== this.opening) return;
      session.current = open;
      say("");
      if (open.isTaken) notice(t("takenOver", { files: labelPath(caseId) }));
      const lines = session.lines(caseId);
      const first = lines.find((row) => row.decision === null) ?? lines[0];
      session.className = lines.some((row) => row.className === className) ? className! : first.className;
      desk.show(open, session.className);
      session.clock.active(performance.now());
    } catch (error) {
      if (opening !== this.opening) return;
      session.className = null;
      say("");
      notice(explain(error));
      this.render();
    }
  }

  private showClass(className: string): void {
    const { session } = this;
    if (session.current === null) return;
    session.clock.pause(performance.now());
    session.className = className;
    session.clock.active(performance.now());
    this.desk.showClass(className);
  }

  /** Something is on the screen now: the class was shown. */
  private wasDrawn(): void {
    const { session } = this;
    if (session.current === null || session.className === null) return;
    const { caseId } = session.current;
    if (!session.wasShown(caseId, session.className)) session.markShown(caseId, session.className);
    $("work").dataset.shown = `${caseId} ${session.className}`;
  }

  private get row(): Row | undefined {
    const { current, className } = this.session;
    return current === null || className === null ? undefined : this.session.row(current.caseId, className);
  }

  /** Decide on the class, unless what was drawn says something else, and go on. */
  private async decide(decision: Decision): Promise<void> {
    const { session, row } = this;
    if (this.desk.asking?.isOpen) return say(t("takeOrLeave"));
    if (row === undefined || !session.wasShown(row.caseId, row.className)) return;
    const before = { ...row };
    await session.decide(row, decision);
    const found = session.currentFindings().filter((f) => f.className === row.className);
    if (found.some((f) => f.kind === "changed_decided" || f.kind === "swallowed")) {
      Object.assign(row, before);
      await session.keep();
      say(t("changedNotAccepted", { class: row.className }));
      return this.render();
    }
    if (found.some((f) => f.kind === "unchanged_revise")) {
      say(t("nowCorrect", { class: row.className }));
      if (this.desk.tool === "look") this.desk.tool = "pen";
      return this.render();
    }
    await this.next();
  }

  /** The next class that is open, in this case or in the next one. */
  private async next(): Promise<void> {
    const { session } = this;
    const { caseId } = session.current!;
    const lines = session.lines(caseId);
    const at = lines.findIndex((row) => row.className === session.className);
    const open = [...lines.slice(at + 1), ...lines.slice(0, at)].find((row) => row.decision === null);
    if (open !== undefined) return this.showClass(open.className);
    const { cases } = session.bundle;
    const number = cases.indexOf(caseId);
    const rest = [...cases.slice(number + 1), ...cases.slice(0, number)];
    const other = rest.find((one) => session.lines(one).some((row) => row.decision === null));
    if (other === undefined) {
      this.render();
      return say(t("allDone"));
    }
    await this.showCase(other);
    if (session.current !== null) say(t("caseDone", { case: caseId }));
  }

  private async acceptAll(): Promise<void> {
    const { session } = this;
    if (session.current === null || !session.current.labels.unchanged) return;
    if (this.desk.asking?.isOpen) return say(t("takeOrLeave"));
    const { caseId } = session.current;
    const open = session.lines(caseId).filter((row) => row.decision === null);
    const unseen = open.filter((row) => !session.wasShown(caseId, row.className)).map((row) => row.className);
    if (unseen.length > 0) return say(t("notShown", { classes: unseen.join(", ") }));
    for (const row of open) await session.decide(row, "accept");
    await this.next();
  }

  private async moveCase(by: number): Promise<void> {
    const { cases } = this.session.bundle;
    const at = cases.indexOf(select("case").value) + by;
    if (at >= 0 && at < cases.length) await this.showCase(cases[at]);
  }

  private translate(): void {
    translate();
    select("error-type").replaceChildren(...ERROR_TYPES.map((e) => option(e, t(`error_${e}`))));
    select("difficulty").replaceChildren(...DIFFICULTIES.map((d) => option(d, t(`difficulty_${d}`))));
    select("case").replaceChildren(...this.session.bundle.cases.map((c) => option(c, c)));
    this.render();
  }

  private render(): void {
    const { session, desk, row } = this;
    const { current } = session;
    $<HTMLProgressElement>("progress").max = Math.max(1, session.asked);
    $<HTMLProgressElement>("progress").value = session.decided;
    $("progress-text").textContent = t("progress", { decided: session.decided, asked: session.asked });
    if (current !== null) select("case").value = current.caseId;
    const lines = current === null ? [] : session.lines(current.caseId);
    $("classes").replaceChildren(...lines.map((line, i) => this.classButton(line, i)));
    const known = new Set(lines.map((line) => line.className));
    const others = current === null ? [] : session.bundle.schema.classes.filter((c) => !known.has(c.name));
    select("add-class").replaceChildren(option("", t("addClass")), ...others.map((c) => option(c.name, c.name)));
    select("add-class").hidden = others.length === 0;
    $<HTMLFieldSetElement>("decide").hidden = row === undefined;
    const rest = lines.filter((line) => line.decision === null).length > 0 && (current?.labels.unchanged ?? false);
    $<HTMLButtonElement>("accept-all").disabled = !rest;
    if (row !== undefined) this.renderRow(row);
    for (const tool of TOOLS) $(tool).setAttribute("aria-checked", String(desk.tool === tool));
    for (const kind of KINDS) $(kind).hidden = !(desk.asking?.model.kinds.includes(kind) ?? false);
    $("suggestion").hidden = desk.asking === null;
    for (const id of ["take", "leave"]) $<HTMLButtonElement>(id).disabled = !(desk.asking?.isOpen ?? false);
    $("planes").classList.toggle("drawing", desk.tool !== "look");
    $("brush-text").textContent = t("brush", { mm: (desk.radius * 2).toFixed(1) });
    input("brush").value = String(desk.radius);
    input("in-window").checked = desk.inWindow;
    $<HTMLButtonElement>("undo").disabled = (current?.labels.done ?? 0) === 0;
    $<HTMLButtonElement>("redo").disabled = current === null || current.labels.done === current.labels.strokes.length;
    $<HTMLButtonElement>("restore").disabled = row === undefined || !session.changed(row.className);
    this.renderScene();
    desk.draw();
  }

  private renderScene(): void {
    const { scene, windows, preset } = this.desk;
    const own = preset === null ? [option("own", t("windowOwn"))] : [];
    select("window").replaceChildren(...windows.map((w, i) => option(String(i), t(w.name as Key))), ...own);
    select("window").value = preset === null ? "own" : String(preset);
    input("labels-shown").checked = scene?.showLabels ?? true;
    input("filled").checked = scene?.filled ?? false;
    input("heat").checked = scene?.showHeat ?? false;
    $("heat-line").hidden = !(this.session.current?.images.hasHeat ?? false);
    input("weak").checked = scene?.showWeak ?? false;
    $("weak-line").hidden = (scene?.weak ?? null) === null;
  }

  private predictedText({ caseId, className }: Row): string[] {
    const found = this.session.bundle.predicted(caseId, className);
    if (found === null) return [];
    const [dice, low, high] = [found.dice, found.low, found.high].map((n) => n?.toFixed(2) ?? "");
    return [low && high ? t("predictedBetween", { dice, low, high }) : t("predicted", { dice })];
  }

  /** What readers said of a class that they do not agree on. */
  private renderReadings(row: Row): void {
    const said = this.session.bundle.readingsOf(row.caseId, row.className);
    $("readings").hidden = said.length === 0;
    $("readings-why").textContent = said[0]?.why ?? "";
    $("readings-list").replaceChildren(...said.map((one) => this.readingLine(one)));
    $("take-reading").hidden = !this.drawings(row).length;
    $<HTMLButtonElement>("take-reading").disabled = (this.desk.scene?.reading ?? null) === null;
  }

  private readingLine(one: Reading): HTMLLIElement {
    const line = document.createElement("li");
    const word = (DECISIONS as string[]).includes(one.decision) ? t(one.decision as Decision) : one.decision;
    const wrong = ERROR_TYPES.find((type) => type === one.errorType && type !== "none");
    const text = [`${one.reader}: ${word}`, ...(wrong ? [t(`error_${wrong}`)] : []), ...(one.comment ? [one.comment] : [])];
    line.textContent = text.join(" · ");
    if (!this.isDrawing(one)) return line;
    const isShown = this.desk.scene?.reading?.reader === one.reader;
    const show = document.createElement("button");
    show.textContent = t("showReading");
    show.setAttribute("aria-label", `${t("showReading")}: ${one.reader}`);
    show.setAttribute("aria-pressed", String(isShown));
    show.addEventListener("click", (event) => this.run(() => this.desk.showReading(isShown ? null : one.reader), event));
    line.append(" ", show);
    return line;
  }

  private isDrawing(one: Reading): boolean {
    return one.decision === "revise" && this.session.bundle.hasDrawing(one);
  }

  /** Readers who drew the class of a line. */
  private drawings(row: Row): string[] {
    const said = this.session.bundle.readingsOf(row.caseId, row.className);
    return said.filter((one) => this.isDrawing(one)).map((one) => one.reader);
  }

  /** Show what the next reader drew, and after the last one nothing. */
  private async nextReading(): Promise<void> {
    if (this.row === undefined) return;
    const readers = this.drawings(this.row);
    const at = readers.indexOf(this.desk.scene?.reading?.reader ?? "");
    await this.desk.showReading(readers[at + 1] ?? null);
  }

  private renderRow(row: Row): void {
    const { session } = this;
    const minutes = session.minutes(row);
    $("class-head").textContent = row.className;
    $("place").textContent = [
      this.desk.placeText(),
      ...this.predictedText(row),
      ...(minutes === null ? [] : [t("minutes", { minutes: minutes.toFixed(1) })]),
    ].join(" · ");
    for (const decision of ["accept", "revise", "reject"] as const)
      $(decision).setAttribute("aria-pressed", String(row.decision === decision));
    select("error-type").value = row.errorType;
    select("difficulty").value = row.difficulty;
    const comment = $<HTMLTextAreaElement>("comment");
    if (document.activeElement !== comment || comment.dataset.of !== `${row.caseId} ${row.className}`)
      comment.value = row.comment;
    comment.dataset.of = `${row.caseId} ${row.className}`;
    this.renderReadings(row);
    const found = session.currentFindings().filter((f) => f.className === row.className && f.kind !== "undecided");
    input("confirmed").checked = row.confirmed;
    $("confirmed-line").hidden = !row.confirmed && row.decision !== "revise" && !found.some((f) => f.confirmable);
    $("case-findings").replaceChildren(
      ...found.map((finding) => {
        const line = document.createElement("li");
        line.textContent = this.inWords({ ...finding, caseId: row.caseId });
        return line;
      }),
    );
  }

  private classButton(row: Row, number: number): HTMLLIElement {
    const { session } = this;
    const line = document.createElement("li");
    const button = document.createElement("button");
    const part = (text: string, className: string) => {
      const span = document.createElement("span");
      span.textContent = text;
      span.className = className;
      return span;
    };
    const swatch = part("", "swatch");
    swatch.style.background = `rgb(${session.bundle.schema.color(row.className).join(" ")})`;
    const word = row.decision === null ? t(session.isAsked(row) ? "undecided" : "added") : t(row.decision);
    const name = part(row.className, "name");
    button.append(part(number < 9 ? String(number + 1) : "", ""), swatch, name, part(word, row.decision ?? ""));
    button.setAttribute("aria-current", String(row.className === session.className));
    button.addEventListener("click", () => this.showClass(row.className));
    line.append(button);
    return line;
  }

  private inWords(finding: Finding & { caseId: string }): string {
    const { caseId, className, kind, voxels } = finding;
    const decision = this.session.row(caseId, className)?.decision;
    return t(`finding_${kind}` as Key, {
      ...{ case: caseId, class: className, n: voxels, none: t("error_false_positive") },
      decision: decision ? t(decision) : "",
    });
  }

  private async finish(): Promise<void> {
    if (this.desk.asking?.isOpen) return say(t("takeOrLeave"));
    this.session.clock.pause(performance.now());
    const result = (this.result = await this.session.result());
    if (result.taken.length > 0) this.render();
    const open = result.findings.filter((f) => f.kind === "undecided").length;
    const found = result.findings.filter((f) => f.kind !== "undecided");
    $("result-text").textContent = [
      ...(open > 0 ? [t("resultOpen", { n: open, asked: this.session.asked })] : []),
      ...(result.taken.length > 0 ? [t("takenOver", { files: result.taken.join(", ") })] : []),
      ...(result.others.length > 0 ? [t("otherLabels", { files: result.others.join(", ") })] : []),
      ...(found.length > 0 ? [t("resultFindings")] : open === 0 ? [t("resultNone")] : []),
    ].join(" ");
    $("result-findings").replaceChildren(
      ...found.map((finding) => {
        const line = document.createElement("li");
        line.textContent = `${this.inWords(finding)} `;
        const there = document.createElement("button");
        there.textContent = t("goThere");
        there.addEventListener("click", () => {
          dialog("result-dialog").close();
          void this.showCase(finding.caseId, finding.className);
        });
        line.append(there);
        return line;
      }),
    );
    $("result-done").textContent = "";
    $("write-folder").hidden = this.session.bundle.source.write === undefined;
    const { link } = this.session.bundle;
    $("send").hidden = link === null;
    $("send").textContent = link === null ? "" : t("send", { host: link.host });
    input("sign").checked = this.keys !== null;
    await this.renderKey();
    dialog("result-dialog").showModal();
  }

  private async renderKey(): Promise<void> {
    const { keys } = this;
    $("signing").hidden = !this.session.store?.lasts || typeof crypto.subtle === "undefined";
    for (const id of ["sign-line", "public-key", "fingerprint"]) $(id).hidden = keys === null;
    $("new-key").hidden = keys !== null;
    $("key-hint").textContent = t(keys === null ? "noKeyHint" : "keyHint");
    if (keys === null) return;
    const line = await publicLine(keys.publicKey, this.session.bundle.manifest.reviewer);
    $<HTMLTextAreaElement>("public-key").value = line;
    $("fingerprint").textContent = await fingerprint(keys.publicKey);
  }

  private async makeKey(): Promise<void> {
    const keys = await newKey();
    if (keys === null) {
      $("signing").hidden = true;
      return;
    }
    await this.session.store!.keepKey(keys);
    this.keys = keys;
    input("sign").checked = true;
    await this.renderKey();
  }

  /** What goes back, with `bundle.json`, and the signature if it is wanted. */
  private async signed(files: Map<string, Uint8Array<ArrayBuffer>>): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
    if (this.keys === null || !input("sign").checked) return new Map();
    const list = new TextEncoder().encode(await signedList(files));
    const signature = new TextEncoder().encode(await sign(this.keys, list));
    return new Map([
      [SIGNED, list],
      [`${SIGNED}.sig`, signature],
    ]);
  }

  private async writeFolder(): Promise<void> {
    const { session } = this;
    const { source, manifest, manifestBytes } = session.bundle;
    const result = this.result!;
    const listed = new Map([["bundle.json", manifestBytes], ...result.asSent, ...result.files]);
    for (const path of Object.keys(manifest.files)) {
      const file = path.startsWith("labels/") && !listed.has(path) ? await source.read(path) : null;
      if (file !== null) listed.set(path, new Uint8Array(await file.arrayBuffer()));
    }
    await session.writeBack(result);
    const signatures = await this.signed(listed);
    for (const [path, bytes] of signatures) await source.write!(path, bytes);
    // One from before would be of something else.
    if (signatures.size === 0) for (const path of [SIGNED, `${SIGNED}.sig`]) await source.remove!(path);
    const names = [...result.files.keys(), ...result.asSent.keys(), ...signatures.keys()].join(", ");
    $("result-done").textContent = t(location.protocol === "file:" ? "wrote" : "wroteServer", { files: names });
  }

  /** What goes back, packed: the same return is always the same bytes, with no time of day in it. */
  private async packed(): Promise<Uint8Array<ArrayBuffer>> {
    const { bundle } = this.session;
    const files = new Map([["bundle.json", bundle.manifestBytes], ...this.result!.files]);
    const content: Zippable = {};
    for (const [path, bytes] of [...files, ...(await this.signed(files))])
      content[`${bundle.name}/${path}`] = [bytes, { level: path.endsWith(".gz") ? 0 : 6 }];
    return zipSync(content, { mtime: new Date(1980, 0, 1) }) as Uint8Array<ArrayBuffer>;
  }

  private async saveZip(): Promise<void> {
    const name = `${this.session.bundle.name}.zip`;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([await this.packed()], { type: "application/zip" }));
    link.download = name;
    dialog("result-dialog").append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    $("result-done").textContent = t("savedZip", { file: name });
  }

  /** Send what goes back to where the bundle says, and nowhere else. */
  private async send(): Promise<void> {
    const link = this.session.bundle.link!;
    const button = $<HTMLButtonElement>("send");
    button.disabled = true;
    $("result-done").textContent = t("sending", { host: link.host });
    try {
      await put(link, await this.packed());
      $("result-done").textContent = t("sent", { host: link.host });
    } finally {
      button.disabled = false;
    }
  }

  private listen(): void {
    const { session, desk } = this;
    const act = (id: string, does: () => unknown) => $(id).addEventListener("click", (event) => this.run(does, event));
    let byPointer = false;
    document.addEventListener("pointerdown", () => (byPointer = true), { capture: true });
    document.addEventListener("keydown", () => (byPointer = false), { capture: true });
    const change = (id: string, does: () => unknown) =>
      $(id).addEventListener("change", () => {
        // The next key is meant for the planes, unless somebody goes from field to field by keys.
        if (byPointer) $(id).blur();
        this.run(does);
      });
    for (const decision of ["accept", "revise", "reject"] as const) act(decision, () => this.decide(decision));
    act("accept-all", () => this.acceptAll());
    act("previous-case", () => this.moveCase(-1));
    act("next-case", () => this.moveCase(1));
    act("help", () => dialog("help-dialog").showModal());
    act("finish", () => this.finish());
    act("new-key", () => this.makeKey());
    act("write-folder", () => this.writeFolder());
    act("save-zip", () => this.saveZip());
    act("send", () => this.send());
    act("take-reading", () => desk.takeReading());
    act("undo", () => this.stepBack());
    act("redo", () => this.stepForth());
    act("restore", () => desk.restore());
    act("interpolate", () => desk.interpolate());
    act("smooth", () => desk.smooth());
    act("remove-piece", () => desk.pieces("remove"));
    act("keep-piece", () => desk.pieces("keep"));
    act("take", () => desk.take());
    act("leave", () => desk.leave());
    act("place-next", () => desk.step(1));
    act("place-before", () => desk.step(-1));
    act("whole", () => desk.whole());
    for (const tool of TOOLS) act(tool, () => this.setTool(tool));
    change("case", () => this.showCase(select("case").value));
    change("window", () => select("window").value !== "own" && desk.setWindow(Number(select("window").value)));
    change("add-class", () => this.addClass(select("add-class").value));
    change("error-type", () => this.note((row) => (row.errorType = select("error-type").value as ErrorType)));
    change("difficulty", () => this.note((row) => (row.difficulty = select("difficulty").value as Difficulty)));
    change("confirmed", () => this.note((row) => (row.confirmed = input("confirmed").checked)));
    $("comment").addEventListener("input", () =>
      this.run(() => this.note((row) => (row.comment = $<HTMLTextAreaElement>("comment").value))),
    );
    $("brush").addEventListener("input", () => this.setRadius(Number(input("brush").value)));
    change("in-window", () => (desk.inWindow = input("in-window").checked));
    change("labels-shown", () => this.scene((scene) => (scene.showLabels = input("labels-shown").checked)));
    change("filled", () => this.scene((scene) => (scene.filled = input("filled").checked)));
    change("heat", () => desk.showHeat(input("heat").checked));
    change("weak", () => this.scene((scene) => (scene.showWeak = input("weak").checked)));
    document.addEventListener("keydown", (event) => this.key(event));
    for (const button of document.querySelectorAll(".language"))
      button.addEventListener("click", () => this.translate());
    for (const kind of ["keydown", "pointerdown", "pointermove", "wheel"])
      document.addEventListener(kind, () => this.isAtWork() && session.clock.active(performance.now()), { passive: true });
    window.addEventListener("blur", () => session.clock.pause(performance.now()));
    document.addEventListener("visibilitychange", () => {
      session.clock.pause(performance.now());
      void session.keepSpent();
    });
    setInterval(() => void session.keepSpent(), KEEP_MS);
  }

  private isAtWork(): boolean {
    return document.hasFocus() && !document.hidden && !dialog("result-dialog").open;
  }

  /** Do something, and say why it failed if it does. */
  private run(does: () => unknown, event?: Event): void {
    // A key that follows a click is meant for the planes, not for the button.
    if (event instanceof MouseEvent && event.detail > 0 && !document.querySelector("dialog[open]"))
      (event.currentTarget as HTMLElement).blur();
    void (async () => {
      try {
        await does();
      } catch (error) {
        notice(explain(error));
        // What lies behind a dialog may not be seen.
        if (dialog("result-dialog").open) $("result-done").textContent = explain(error);
      }
    })();
  }

  private async note(change: (row: Row) => unknown): Promise<void> {
    if (this.row === undefined) return;
    change(this.row);
    await this.session.keep();
    this.render();
  }

  private scene(change: (scene: NonNullable<Desk["scene"]>) => unknown): void {
    if (this.desk.scene !== null) change(this.desk.scene);
    this.render();
  }

  private async addClass(className: string): Promise<void> {
    const { current } = this.session;
    if (current === null || className === "") return;
    await this.session.addLine(current.caseId, className);
    this.showClass(className);
  }

  private setTool(tool: Tool): void {
    this.desk.tool = tool;
    this.render();
  }

  /** The next way of asking the model. */
  private nextKind(): void {
    const kinds = this.desk.asking?.model.kinds ?? [];
    if (kinds.length > 0) this.setTool(kinds[(kinds.indexOf(this.desk.tool as (typeof kinds)[number]) + 1) % kinds.length]);
  }

  private setRadius(mm: number): void {
    this.desk.radius = Math.min(40, Math.max(0.5, mm));
    this.render();
  }

  private async stepBack(): Promise<void> {
    await this.session.undo();
    this.render();
  }

  private async stepForth(): Promise<void> {
    await this.session.redo();
    this.render();
  }

  private pick(): void {
    const found = this.desk.pick();
    if (found === null) return say(t("pickedNone"));
    this.showClass(found);
    say(t("picked", { class: found }));
  }

  private key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    const typing = target.matches("textarea, select, input:not([type=checkbox]):not([type=range])");
    const onButton = target.matches("button, input, select") && (event.key === " " || event.key === "Enter");
    if (typing && event.key === "Escape") target.blur();
    if (typing || onButton || document.querySelector("dialog[open]")) return;
    const does = this.meaning(event);
    if (does === undefined) return;
    // A key that is held down decides once.
    if (event.repeat && /^[arx]$/i.test(event.key)) return event.preventDefault();
    event.preventDefault();
    this.run(does);
  }

  private meaning(event: KeyboardEvent): (() => unknown) | undefined {
    const { desk } = this;
    // On German keyboards these two come with Alt and Ctrl.
    if (event.key === "[" || event.key === "-") return () => this.setRadius(desk.radius / 1.25);
    if (event.key === "]" || event.key === "+") return () => this.setRadius(desk.radius * 1.25);
    const letter = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
      if (letter === "z") return () => (event.shiftKey ? this.stepForth() : this.stepBack());
      return letter === "y" ? () => this.stepForth() : undefined;
    }
    if (event.altKey) return undefined;
    if (event.key === "A") return () => this.acceptAll();
    if (/^[1-9]$/.test(letter)) {
      const line = this.session.current && this.session.lines(this.session.current.caseId)[Number(letter) - 1];
      return line ? () => this.showClass(line.className) : undefined;
    }
    const keys: Record<string, () => unknown> = {
      a: () => this.decide("accept"),
      r: () => this.decide("revise"),
      x: () => this.decide("reject"),
      n: () => desk.step(1),
      p: () => desk.step(-1),
      " ": () => this.scene((scene) => (scene.showLabels = !scene.showLabels)),
      o: () => this.scene((scene) => (scene.filled = !scene.filled)),
      h: () => desk.showHeat(!(desk.scene?.showHeat ?? false)),
      l: () => this.scene((scene) => (scene.showWeak = !scene.showWeak)),
      d: () => this.nextReading(),
      w: () => (desk.setWindow((desk.preset ?? -1) + 1), this.render()),
      g: () => desk.whole(),
      c: () => this.pick(),
      b: () => this.setTool("pen"),
      e: () => this.setTool(desk.tool === "eraser" ? "pen" : "eraser"),
      f: () => this.setTool("fill"),
      v: () => this.setTool("look"),
      escape: () => this.setTool("look"),
      t: () => ((desk.inWindow = !desk.inWindow), this.render()),
      u: () => desk.restore(),
      i: () => desk.interpolate(),
      m: () => desk.smooth(),
      delete: () => desk.pieces("remove"),
      k: () => desk.pieces("keep"),
      q: () => this.nextKind(),
      enter: () => desk.take(),
      backspace: () => desk.leave(),
      s: () => this.finish(),
      arrowup: () => desk.slice(-1),
      arrowdown: () => desk.slice(1),
      pageup: () => this.moveCase(-1),
      pagedown: () => this.moveCase(1),
      "?": () => dialog("help-dialog").showModal(),
    };
    return Object.hasOwn(keys, letter) ? keys[letter] : undefined;
  }
}

function translate(): void {
  document.documentElement.lang = getLanguage();
  document.title = t("title");
  for (const one of document.querySelectorAll<HTMLElement>("[data-text]")) one.textContent = t(one.dataset.text as Key);
  for (const one of document.querySelectorAll<HTMLElement>("[data-label]"))
    one.setAttribute("aria-label", t(one.dataset.label as Key));
}

/** Which bundle was asked for last. */
let openings = 0;

/** Work on a bundle once no other tab does; a browser that keeps nothing is said. */
async function open(find: () => Promise<Source> | Source): Promise<void> {
  const own = ++openings;
  clearNotices();
  try {
    const source = await find();
    const { id } = (await Bundle.open(source)).manifest;
    await alone(id, () => notice(t("otherTab")), () => own === openings);
    clearNotices();
    // Another tab may have written into it.
    const bundle = await Bundle.open(source);
    const store = await Store.open().catch(() => Store.inMemory());
    if (!store.lasts) {
      notice(t("noStore"), true);
      window.addEventListener("beforeunload", (event) => event.preventDefault());
    }
    const keys = (await store.key()) ?? null;
    const app = new App(await Session.start(bundle, store), keys);
    await app.begin();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return;
    notice(explain(error));
  }
}

type Picker = (options: { mode: "readwrite" }) => Promise<FileSystemDirectoryHandle>;

function start(): void {
  window.addEventListener("unhandledrejection", (event) => notice(explain(event.reason)));
  const wanted = navigator.languages.find((one) => /^(de|en)\b/.test(one)) ?? "en";
  setLanguage(wanted.startsWith("de") ? "de" : "en");
  for (const button of document.querySelectorAll(".language"))
    button.addEventListener("click", () => {
      setLanguage(getLanguage() === "de" ? "en" : "de");
      translate();
    });
  translate();
  $("folder-way").hidden = !("showDirectoryPicker" in window);
  $("open-folder").addEventListener("click", () => {
    const pick = (window as unknown as { showDirectoryPicker: Picker }).showDirectoryPicker;
    void open(async () => fromFolder(await pick.call(window, { mode: "readwrite" })));
  });
  $("choose-folder").addEventListener("change", () => {
    const { files } = input("choose-folder");
    if (files !== null && files.length > 0) void open(() => fromFiles(files));
  });
  $("choose-zip").addEventListener("change", () => {
    const file = input("choose-zip").files?.[0];
    if (file !== undefined) void open(() => fromZip(file));
  });
  const token = /^#token=([\w-]+)$/.exec(location.hash)?.[1];
  if (token !== undefined && location.protocol !== "file:") void open(() => fromServer(token));
}

start();
