"use strict";
const EVERY_MS = 20000;
const $ = (id) => document.getElementById(id);
const headers = { "X-Voxledger-Token": location.hash.replace(/^#token=/, "") };
const shown = { round: "", report: "" };

async function fetched(path) {
  const answer = await fetch(path, { headers, cache: "no-store" });
  if (!answer.ok) throw new Error(answer.status === 401 ? "this address lacks the token that was printed" : `status ${answer.status}`);
  return answer.status === 204 ? "" : await answer.text();
}

async function look() {
  try {
    const round = await fetched("round");
    if (round !== shown.round) $("round").innerHTML = shown.round = round;
    const report = await fetched("report");
    $("report").hidden = report === "";
    if (report !== shown.report) document.querySelector("#report iframe").srcdoc = shown.report = report;
    document.querySelector("#report summary").textContent =
      new DOMParser().parseFromString(report, "text/html").title || "Report";
    document.title = document.querySelector("h1")?.textContent ?? document.title;
    $("when").className = "";
    $("when").textContent = `as of ${new Date().toLocaleTimeString()}; looks again every ${EVERY_MS / 1000} s`;
  } catch (error) {
    $("when").className = "lost";
    $("when").textContent = `No answer (${error.message}): start \`voxledger round watch\` again, and open what it prints.`;
  }
  setTimeout(look, EVERY_MS);
}

look();
