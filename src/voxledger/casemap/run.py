"""Compute many jobs: those that are remembered are not computed again, and one bad case does not hide the others.

DVC re-runs a whole stage when one case changes. Stages stay pure; their outputs are refilled from the memo, as links.
So an unchanged case is neither computed nor read again, a killed run resumes, and the result does not depend on order,
number of workers or history.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from voxledger.casemap import hashes
from voxledger.casemap.executor import Execute
from voxledger.casemap.job import Facts, Job
from voxledger.casemap.memo import DAMAGED, Record, alone, compute, folder_of, remembered
from voxledger.casemap.place import place_outputs, remove_others
from voxledger.casemap.records import Records
from voxledger.casemap.used import keep_used, note_used, save_used
from voxledger.disk import disk_failure
from voxledger.errors import CasesFailed, DiskFailed, VoxledgerError
from voxledger.extras import missing_extra
from voxledger.layout import MEMO
from voxledger.params import MachineParams
from voxledger.progress import progress
from voxledger.registry import EXECUTORS
from voxledger.textfile import replace_text

ONE_PROCESS = MachineParams(workers=1)


def casemap(
    jobs: Sequence[Job[Facts]],
    out: Path,
    machine: MachineParams = ONE_PROCESS,
    *,
    manifest: Path | None = None,
    nothing_else: bool = False,
) -> list[Facts]:
    """Compute jobs of one stage and put their files under `out`; returns the facts of each, in the order of jobs.

    Parameters
    ----------
    jobs
        All of the same `stage`. Names of files must not collide between them.
    machine
        Executor and processes, which the result does not depend on, and the share of remembered jobs to compute again
        and compare. What is remembered stays as it is.
    manifest
        Where to write one JSON line a job: case, key, outputs with their SHA-256.
    nothing_else
        Whether other files under `out` are removed, once all jobs are done.

    Raises
    ------
    CasesFailed
        Names every case that failed and why, also those that were rechecked and came out differently; the others are
        remembered.
    DiskFailed
        The same, where the machine is to blame and not the cases.
    """
    MEMO.mkdir(exist_ok=True)
    records, checked = _records(jobs, machine) if jobs else ([], set())
    out.mkdir(parents=True, exist_ok=True)
    if nothing_else:
        remove_others(out, {f"{out}/{name}" for record in records for name in record.outputs})
    place = str(out)
    for i, (job, record) in enumerate(zip(jobs, records, strict=True)):
        place_outputs(job, record, place, anew=i in checked)
    hashes.save()
    if manifest is not None:
        lines = [
            json.dumps({"case": job.title, "key": job.key, "outputs": record.outputs}, sort_keys=True) + "\n"
            for job, record in zip(jobs, records, strict=True)
        ]
        replace_text(manifest, "".join(lines))
    return [job.from_json(record.facts) for job, record in zip(jobs, records, strict=True)]


def compute_ahead(jobs: Sequence[Job[Any]], machine: MachineParams) -> None:
    """Compute jobs of one stage, so that `once` finds what they leave; errors of a job are raised by `once` alone."""
    missing = [job for job in jobs if remembered(job) is None]
    if len(missing) > 1:
        MEMO.mkdir(exist_ok=True)
        with suppress(CasesFailed):
            _records(missing, machine)


def _records(jobs: Sequence[Job[Any]], machine: MachineParams) -> tuple[list[Record], set[int]]:
    """What the jobs leave, and the indices of those of which nothing was believed that was not read or computed."""
    (stage,) = {job.stage for job in jobs}
    with alone(stage):
        chance, use = random.Random(), not hashes.no_memo()
        checked = {i for i in range(len(jobs)) if not use or chance.random() < machine.recheck}
        records = Records(stage)
        known = ((i, remembered(job, i in checked, records.read)) for i, job in enumerate(jobs) if use)
        found = {i: record for i, record in known if record is not None}
        again = sorted(checked & found.keys())
        note_used(stage, (job.key for job in jobs))
        save_used()
        hashes.save()
        order = [*(i for i in range(len(jobs)) if i not in found), *again]
        failures: dict[int, BaseException] = {}
        bar = progress(stage, len(jobs), done=len(found))
        for position, outcome in _computed([(jobs[i], i not in found) for i in order], machine):
            index = order[position]
            if isinstance(outcome, BaseException):
                failures[index] = outcome
            elif index not in found:
                found[index] = outcome
            elif outcome != found[index]:
                failures[index] = _differs(jobs[index], found[index], outcome)
            if index not in again:
                bar.step(jobs[index].title)
        bar.close()
        for index in order:
            if index in found:
                with suppress(*DAMAGED):  # of a memo that somebody removes meanwhile
                    records.read(folder_of(jobs[index]), anew=True)
        records.save()
    if failures:
        keep_used()
        raise _failed(stage, jobs, failures)
    return [found[i] for i in range(len(jobs))], checked


def _computed(orders: Sequence[tuple[Job[Any], bool]], machine: MachineParams) -> Iterator[tuple[int, Any]]:
    if orders:  # looking for executors takes longer than to find hundreds of cases unchanged
        execute: Execute = EXECUTORS.get(machine.executor)
        yield from execute(_work, orders, machine)


def _work(order: tuple[Job[Any], bool]) -> Record:
    job, keep = order
    return compute(job, keep)


def _differs(job: Job[Any], before: Record, now: Record) -> VoxledgerError:
    names = sorted({*before.outputs, *now.outputs})
    what = [name for name in names if before.outputs.get(name) != now.outputs.get(name)]
    if before.facts != now.facts:
        what.append("the facts that it returned")
    return VoxledgerError(
        f"{job.title} came out differently when computed again: {', '.join(what)} (what is remembered under "
        f"{MEMO / job.stage / job.key} was kept)",
        "delete that folder to take the new result; report it if it happens again",
    )


def _failed(stage: str, jobs: Sequence[Job[Any]], failures: dict[int, BaseException]) -> VoxledgerError:
    lines, of_the_machine = [], None
    for index, error in sorted(failures.items()):
        if (missing := missing_extra(error)) is not None:
            return missing
        if (failure := disk_failure(error)) is not None:
            error = of_the_machine = failure
        problem = error.problem if isinstance(error, VoxledgerError) else f"{type(error).__name__}: {error}"
        lines.append(f"  {jobs[index].title}: {problem}")
    said = f"{stage}: {len(failures)} of {len(jobs)} cases failed\n" + "\n".join(lines)
    finished = len(jobs) - len(failures)
    if of_the_machine is not None:
        return DiskFailed(said, f"{of_the_machine.remedy}; the {finished} finished cases are kept")
    remedies = {error.remedy if isinstance(error, VoxledgerError) else "" for error in failures.values()}
    remedy = next(iter(remedies)) if len(remedies) == 1 else ""
    return CasesFailed(
        said,
        f"{remedy or 'mend or remove these cases'}, then run `dvc repro` again; the {finished} finished ones are kept",
    )
