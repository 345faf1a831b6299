/** What readers said of a class, in the bundle of the person who settles what they do not agree on. */

import { cellsOf } from "./csv.ts";

/** What one reader said of one class of one case; the words are those of the table. */
export interface Reading {
  caseId: string;
  className: string;
  /** Why readers are taken not to agree. */
  why: string;
  reader: string;
  decision: string;
  errorType: string;
  comment: string;
}

/** The lines of `readings.csv`. */
export function readingsOf(text: string): Reading[] {
  return cellsOf(text).map((value) => ({
    caseId: value("case_id"),
    className: value("class_name"),
    why: value("why"),
    reader: value("reader"),
    decision: value("decision").toLowerCase(),
    errorType: value("error_type"),
    comment: value("comment"),
  }));
}

/** Where the label lies that a reader drew, if the reader drew one. */
export const readingPath = (reader: string, caseId: string) => `readings/${reader}/${caseId}.nii.gz`;
