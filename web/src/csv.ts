/** `decisions.csv`: written as `voxledger.records.decisions` does; read also where a spreadsheet has been at it. */

export type Decision = "accept" | "revise" | "reject";
export const DECISIONS: Decision[] = ["accept", "revise", "reject"];
export const ERROR_TYPES = [
  "none",
  "false_positive",
  "false_negative",
  "boundary",
  "wrong_class",
  "merged",
  "split",
  "left_right",
] as const;
export type ErrorType = (typeof ERROR_TYPES)[number];
export const DIFFICULTIES = ["", "easy", "medium", "hard"] as const;
export type Difficulty = (typeof DIFFICULTIES)[number];

const COLUMNS = ["case_id", "class_name", "decision", "minutes", "error_type", "confirmed", "comment", "difficulty"];

/** What is said of one class of one case. */
export interface Row {
  caseId: string;
  className: string;
  decision: Decision | null;
  /** Minutes that the table had when it was opened; null where nobody gave any. */
  minutes: number | null;
  errorType: ErrorType;
  confirmed: boolean;
  comment: string;
  difficulty: Difficulty;
}

export function blankRow(caseId: string, className: string): Row {
  return {
    ...{ caseId, className, decision: null, minutes: null },
    ...{ errorType: "none", confirmed: false, comment: "", difficulty: "" },
  };
}

/** The text of the table: commas, LF. A comment that a spreadsheet would compute is made text by an apostrophe. */
export function toCsv(rows: Row[]): string {
  const lines = rows.map((row) =>
    [
      row.caseId,
      row.className,
      row.decision ?? "",
      row.minutes === null ? "" : row.minutes.toFixed(2),
      row.decision === null ? "" : row.errorType,
      row.confirmed ? "yes" : "",
      asText(row.comment),
      row.difficulty,
    ].map(quoted),
  );
  return [COLUMNS, ...lines].map((line) => line.join(",")).join("\n") + "\n";
}

function asText(comment: string): string {
  const plain = comment.replace(/[\u0000-\u001f\u007f]+/g, " ").trim();
  return /^[=+\-@]/.test(plain) ? `'${plain}` : plain;
}

function quoted(value: string): string {
  return /[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

/** Lines of a table, each as what gives its cell in a column, empty where there is none. */
export function cellsOf(text: string): ((column: string) => string)[] {
  const [header, ...records] = parseRecords(text.replace(/^\ufeff/, "").replace(/^\s*"?sep=[^\r\n]*[\r\n]+/i, ""));
  const names = (header ?? []).map((cell) => cell.trim().toLowerCase());
  return records.map((cells) => (name) => (names.includes(name) ? (cells[names.indexOf(name)] ?? "").trim() : ""));
}

/** Rows of a table by case and class; lines that say nothing that is known are left out. */
export function fromCsv(text: string): Row[] {
  return cellsOf(text).flatMap((value) => {
    const row = blankRow(value("case_id"), value("class_name"));
    if (!row.caseId || !row.className) return [];
    const word = value("decision").toLowerCase();
    row.decision = DECISIONS.find((d) => word === d || word === `${d}ed` || word === `${d}d`) ?? null;
    const minutes = value("minutes").replace(",", ".");
    row.minutes = /^\d{1,4}(\.\d*)?$/.test(minutes) ? Number(minutes) : null;
    const error = value("error_type").toLowerCase().replace(/[ -]/g, "_");
    row.errorType = ERROR_TYPES.find((e) => e === error) ?? "none";
    row.confirmed = value("confirmed").toLowerCase() === "yes";
    row.comment = value("comment");
    row.difficulty = DIFFICULTIES.find((d) => d === value("difficulty").toLowerCase()) ?? "";
    return [row];
  });
}

function parseRecords(text: string): string[][] {
  const first = text.split(/[\r\n]+/).find((line) => line.trim()) ?? "";
  const delimiter = [",", ";", "\t"].reduce((a, b) => (first.split(b).length > first.split(a).length ? b : a));
  const records: string[][] = [];
  let cell = "";
  let cells: string[] = [];
  let inside = false;
  const end = () => {
    cells.push(cell);
    if (cells.some((c) => c.trim())) records.push(cells);
    cell = "";
    cells = [];
  };
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (inside) {
      if (c !== '"') cell += c;
      else if (text[i + 1] === '"') cell += text[++i];
      else inside = false;
    } else if (c === '"' && cell === "") inside = true;
    else if (c === delimiter) {
      cells.push(cell);
      cell = "";
    } else if (c === "\n" || c === "\r") end();
    else cell += c;
  }
  end();
  return records;
}
