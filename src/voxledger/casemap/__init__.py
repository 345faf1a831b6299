"""Run one function over many cases: in parallel, with progress, and with a per-case memo.

DVC re-runs a whole stage when one case changes. Stages stay pure; their outputs are refilled from
`.memo/<stage>/<key>`, where the key is a hash of everything the result depends on. A memo is accepted only
when its files still have their SHA-256, appears whole or not at all, and may be deleted at any time. So an
unchanged case is not computed again, a killed run resumes, one bad case does not hide the others, and the
result does not depend on order, number of workers or history.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxledger import layout
from voxledger.disk import disk_failure, naming
from voxledger.errors import CasesFailed, DiskFailed, VoxledgerError
from voxledger.imaging.volume import file_sha256
from voxledger.process import end_with, lock
from voxledger.progress import progress
from voxledger.textfile import replace_text

_RECORD = "memo.json"


@dataclass(frozen=True)
class Task:
    """One case to compute: `payload` is what the function gets, `key` the hash of all that it depends on."""

    case_id: str
    key: str
    payload: Any


Compute = Callable[[Any, Path], dict[str, Any]]
"""Gets the payload and an empty folder, writes its files there, returns what the caller wants to know (JSON)."""


def key_of(stage: str, algorithm: int, **parts: Any) -> str:
    """Memo key: hash of the stage, the version of its algorithm, and all that the result depends on."""
    text = json.dumps({"stage": stage, "algorithm": algorithm, **parts}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def casemap(
    stage: str,
    compute: Compute,
    tasks: Sequence[Task],
    out: Path,
    *,
    workers: int = 1,
    recheck: float = 0.0,
    manifest: Path | None = None,
) -> list[dict[str, Any]]:
    """Compute every task and put its files under `out`; returns what each call returned, in the order of tasks.

    Parameters
    ----------
    compute
        A module-level function (it is sent to worker processes). File names must not collide between tasks.
    workers
        Processes. The result does not depend on it.
    recheck
        Share of remembered tasks to compute again and compare.
    manifest
        Where to write one JSON line a case: case, key, outputs with their SHA-256.

    Raises
    ------
    CasesFailed
        Names every case that failed and why; the others are kept in the memo.
    DiskFailed
        The same, where the machine is to blame and not the cases.
    VoxledgerError
        A rechecked case came out differently.
    """
    with _alone(stage):
        records: dict[int, dict[str, Any]] = {}
        if not os.environ.get("VOXLEDGER_NO_MEMO"):
            for index, task in enumerate(tasks):
                record = _remembered(stage, task.key)
                if record is not None:
                    records[index] = record
        again = [i for i in sorted(records) if random.Random(tasks[i].key).random() < recheck]
        missing = [i for i in range(len(tasks)) if i not in records]
        failures: dict[int, BaseException] = {}
        bar = progress(stage, len(tasks), done=len(records))
        for index, outcome in _run(stage, compute, tasks, missing + again, workers):
            if isinstance(outcome, BaseException):
                failures[index] = outcome
            elif index in records and outcome["outputs"] != records[index]["outputs"]:
                failures[index] = VoxledgerError(
                    f"{stage}: case {tasks[index].case_id} came out differently when computed again",
                    f"delete {layout.MEMO / stage} and run again; report it if it persists",
                )
            records.setdefault(index, outcome if isinstance(outcome, dict) else {})
            if index in missing:
                bar.step(tasks[index].case_id)
        bar.close()
        if failures:
            raise _failed(stage, tasks, failures, len(tasks) - len(failures))
        out.mkdir(parents=True, exist_ok=True)
        lines = []
        for index, task in enumerate(tasks):
            outputs = records[index]["outputs"]
            for name in outputs:
                _place(layout.MEMO / stage / task.key / name, out / name)
            lines.append(json.dumps({"case": task.case_id, "key": task.key, "outputs": outputs}, sort_keys=True))
        if manifest is not None:
            replace_text(manifest, "".join(line + "\n" for line in lines))
        return [records[i]["info"] for i in range(len(tasks))]


def _run(
    stage: str, compute: Compute, tasks: Sequence[Task], indices: list[int], workers: int
) -> Iterator[tuple[int, dict[str, Any] | BaseException]]:
    if workers <= 1 or len(indices) <= 1:
        for index in indices:
            try:
                yield index, _compute(stage, compute, tasks[index])
            except Exception as error:  # one bad case must not hide the others
                yield index, error
        return
    broken = []
    with _pool(min(workers, len(indices))) as pool:
        futures = {pool.submit(_compute, stage, compute, tasks[i]): i for i in indices}
        for future in as_completed(futures):
            failure = future.exception()
            if isinstance(failure, BrokenProcessPool):
                broken.append(futures[future])
            else:
                yield futures[future], failure if failure is not None else future.result()
    for index in sorted(broken):  # a process died and took the others with it: find out whose case it was
        with _pool(1) as pool:
            failure = (alone := pool.submit(_compute, stage, compute, tasks[index])).exception()
            if isinstance(failure, BrokenProcessPool):
                failure = VoxledgerError("its process was killed, as when memory runs out", "give it more memory")
            yield index, failure if failure is not None else alone.result()


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), end_with, (os.getpid(),))


def _compute(stage: str, compute: Compute, task: Task) -> dict[str, Any]:
    final = layout.MEMO / stage / task.key
    final.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".partial-", dir=final.parent))
    try:
        info = compute(task.payload, folder)
        files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        text = json.dumps(
            {"outputs": {name: file_sha256(folder / name) for name in files}, "info": info}, sort_keys=True
        )
        replace_text(folder / _RECORD, text)
        if final.exists():
            shutil.rmtree(final)
        os.replace(folder, final)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    record: dict[str, Any] = json.loads(text)  # a fresh result looks like a remembered one, down to the order of keys
    return record


def _remembered(stage: str, key: str) -> dict[str, Any] | None:
    folder = layout.MEMO / stage / key
    try:
        record: dict[str, Any] = json.loads((folder / _RECORD).read_text("utf-8"))
        if all(file_sha256(folder / name) == digest for name, digest in record["outputs"].items()):
            return record
    except (OSError, ValueError, KeyError):
        pass
    return None


def _place(memo: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    with naming(target):
        try:
            shutil.copyfile(memo, target)
        except OSError:
            target.unlink(missing_ok=True)
            raise


def _failed(stage: str, tasks: Sequence[Task], failures: dict[int, BaseException], finished: int) -> VoxledgerError:
    lines, of_the_machine = [], None
    for index, error in sorted(failures.items()):
        if (failure := disk_failure(error)) is not None:
            error = of_the_machine = failure
        problem = error.problem if isinstance(error, VoxledgerError) else f"{type(error).__name__}: {error}"
        lines.append(f"  {tasks[index].case_id}: {problem}")
    said = f"{stage}: {len(failures)} of {len(tasks)} cases failed\n" + "\n".join(lines)
    if of_the_machine is not None:
        return DiskFailed(said, f"{of_the_machine.remedy}; the {finished} finished cases are kept")
    return CasesFailed(
        said,
        f"mend or remove these cases and run `dvc repro` again; the {finished} finished ones are kept",
    )


@contextmanager
def _alone(stage: str) -> Iterator[None]:
    """Wait for a stage process that a killed run left behind."""
    (layout.MEMO / stage).mkdir(parents=True, exist_ok=True)
    with open(layout.MEMO / stage / ".lock", "w") as held:
        lock(held.fileno(), stage)
        for leftover in (layout.MEMO / stage).glob(".partial-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield
