"""The ladder of Continual Tuning: heads on a network that stays as it is; where that is not enough, a branch of it.

Weights of the network, its plans, heads of other classes and the branches that these stand on are those of the parent,
byte for byte. Every step is remembered until the whole is done: who was killed goes on from there.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxledger.casemap.hashes import no_memo
from voxledger.casemap.job import Job
from voxledger.casemap.memo import compute, folder_of, forget, remembered
from voxledger.casemap.once import files_of, once
from voxledger.casemap.used import note_used
from voxledger.models.channels import inside
from voxledger.models.dataset import BRANCHES, HEADS, branches, channels, heads, untaught
from voxledger.models.learn_branch import LearnBranch
from voxledger.models.learn_heads import OWN, Learned, LearnHead, judged
from voxledger.models.start import HeadStart, Lesson
from voxledger.models.training import Training
from voxledger.models.trunk import Kept, RunTrunk
from voxledger.models.windows import Window, windows_of
from voxledger.progress import progress
from voxledger.records.card import (
    BRANCH_WEIGHTS,
    DATASET,
    HEAD_WEIGHTS,
    PLANS,
    head_of,
    load_tensors,
    save_tensors,
    to_json,
)
from voxledger.records.ladder import Ladder, Rung
from voxledger.textfile import read_json, replace_text

HEADS_ALONE = "heads"
"""The first step."""
_HELD_OUT = 5
"""One of so many cases that people decided on is held out where steps are chosen by what came of them."""
_SUFFIXES = " with heads", " with branches"


def learn(training: Training, folder: Path, portable: bool) -> tuple[str, Ladder]:
    """Train what the start asks for, write the model into the folder; returns the architecture and what was tried.

    Parameters
    ----------
    folder
        The next home of the model.
    portable
        See `RunTrunk`.
    """
    start = training.start
    assert isinstance(start, HeadStart)
    climb = _Climb(training, start, portable)
    climb.heads()
    for kind in start.rungs:
        if names := climb.left():
            climb.branches(kind, names)
    climb.write(folder)
    climb.forget()
    assert start.parent is not None
    name = start.parent.card.architecture
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return f"{name}{_SUFFIXES[bool(climb.on)]}", climb.ladder


@dataclass(frozen=True)
class _Made:
    """What a step made of a class."""

    rung: str
    file: Path
    """Weights that it left."""
    dice: float | None
    branch: int
    """Number of the branch whose features its head reads; 0 is the network."""


class _Climb:
    """A training at work."""

    def __init__(self, training: Training, start: HeadStart, portable: bool) -> None:
        assert start.parent is not None
        assert start.dataset is not None
        self._training, self._start, self._portable = training, start, portable
        self._parent, self._dataset = start.parent, start.dataset
        held = {one.class_name: _held_out(training, start, one) for one in start.lessons}
        self._held = held
        self._lessons = {n: _without(one, held[n]) for one in start.lessons for n in [one.class_name]}
        self._corrected = heads(self._dataset)
        for name in self._lessons:
            self._corrected.setdefault(name, self._channels_of(name))
        self.on = branches(self._dataset)
        """Branch of each head that stands on one."""
        self._weights = _with_todays_names(load_tensors(self._parent.folder), self._parent.schema.renamed)
        self._jobs: list[Job[Any]] = []
        self._ran: dict[tuple[str, int, bool], tuple[RunTrunk, Kept, Path]] = {}
        self._made: dict[str, _Made] = {}
        self._first: dict[str, Path] = {}
        """What the first step left of each class."""
        self._rungs: list[Rung] = []
        self._wanted: dict[str, float] = {}

    def _channels_of(self, name: str) -> tuple[int, ...]:
        """Channels of the network that say something of a class; none where it was never taught it."""
        of = channels(self._dataset)
        if name not in {self._parent.schema.renamed(n) for n in of.keys() - untaught(self._dataset)}:
            return ()
        return tuple(inside(of, self._parent.schema, name))

    def heads(self) -> None:
        """Train the head of every class, on features that the network is run for once."""
        began = time.process_time()
        voxels, dice = self._run_trunk(), dict[str, float]()
        for name, lesson in self._lessons.items():
            windows = self._windows(name, (*lesson.people, *lesson.model), False)
            if not windows:
                continue
            job = LearnHead(
                name=name,
                training=self._training,
                lesson=lesson,
                held_out=self._held[name],
                corrects=self._corrected[name],
                branch=self.on.get(name, 0),
                portable=self._portable,
                known=head_of(self._weights, name),
                windows=windows,
                judges=self._windows(name, self._held[name], True),
            )
            learned, file = self._do(job)
            voxels, dice = voxels + learned.voxels, dice | learned.dice
            self._first[name] = file
            self._made[name] = _Made(HEADS_ALONE, file, learned.dice.get(name), job.branch)
        self._wanted = {name: found for name in self._held if (found := self._reached(name)) is not None}
        self._note(HEADS_ALONE, voxels, list(self._made), dice, began)

    def left(self) -> list[str]:
        """Classes that need another step."""
        margin = self._start.margin
        if margin is None:
            return list(self._made)
        return [
            name
            for name, made in self._made.items()
            if made.dice is not None and made.dice < self._wanted.get(name, 0) - margin
        ]

    def branches(self, kind: str, names: Sequence[str]) -> None:
        """Grow a branch for some classes, each from where its head stands; it is kept where it is better."""
        began, voxels, dice = time.process_time(), 0, dict[str, float]()
        for origin in sorted({self.on.get(name, 0) for name in names}):
            group = [name for name in names if self.on.get(name, 0) == origin]
            lessons = [self._lessons[name] for name in group]
            job = LearnBranch(
                name=kind,
                training=self._training,
                kind=kind,
                lessons=tuple(lessons),
                held_out={name: self._held[name] for name in group},
                heads={name: self._first[name] / OWN for name in group},
                grown_from=origin,
                portable=self._portable,
                corrects={name: self._corrected[name] for name in group},
                judges={name: self._windows(name, self._held[name], True) for name in group},
            )
            learned, file = self._do(job)
            voxels, dice = voxels + learned.voxels, dice | learned.dice
            number = max([0, *branches(self._dataset).values(), *(made.branch for made in self._made.values())]) + 1
            for name in group:
                better = self._start.margin is None or learned.dice.get(name, 0) > (self._made[name].dice or 0)
                if better:
                    self._made[name] = _Made(kind, file, learned.dice.get(name), number)
        self._note(kind, voxels, names, dice, began)

    @property
    def ladder(self) -> Ladder:
        """What was tried."""
        kept = {name: made.rung for name, made in self._made.items()}
        return Ladder(rungs=tuple(self._rungs), kept=kept, wanted=self._wanted, margin=self._start.margin)

    def write(self, folder: Path) -> None:
        """Write the model; branches that no head stands on any more are left out."""
        from safetensors.torch import load_file

        parent, weights = self._parent, dict(self._weights)
        for name, made in self._made.items():
            left = load_file(made.file / OWN)
            head = left if made.rung == HEADS_ALONE else head_of(left, name)
            weights |= {f"{HEAD_WEIGHTS}{name}/{layer}": tensor for layer, tensor in head.items()}
            if made.rung != HEADS_ALONE:
                own = {k: t for k, t in left.items() if not k.startswith(HEAD_WEIGHTS)}
                weights |= {f"{BRANCH_WEIGHTS}{made.branch}/{layer}": tensor for layer, tensor in own.items()}
            if made.branch:
                self.on[name] = made.branch
        stood_on = tuple(f"{BRANCH_WEIGHTS}{number}/" for number in self.on.values())
        weights = {k: t for k, t in weights.items() if not k.startswith(BRANCH_WEIGHTS) or k.startswith(stood_on)}
        known = heads(self._dataset).keys() | self._made.keys()
        described = {**read_json(parent.folder / DATASET)}
        described[HEADS] = {name: list(found) for name, found in self._corrected.items() if name in known}
        described |= {BRANCHES: self.on} if self.on else {}
        shutil.copyfile(parent.folder / PLANS, folder / PLANS)
        replace_text(folder / DATASET, to_json(described))
        save_tensors(folder, weights)

    def forget(self) -> None:
        """Remove what was remembered meanwhile."""
        for job in self._jobs:
            forget(Path(folder_of(job)))

    def _run_trunk(self) -> int:
        """Run the network, or the branch that a head stands on, over what is learned from; returns the voxels."""
        wanted: dict[tuple[str, int, bool], list[str]] = {}
        for name, lesson in self._lessons.items():
            for case_id in (*lesson.people, *lesson.model, *self._held[name]):
                key = case_id, self.on.get(name, 0), case_id in self._held[name]
                wanted.setdefault(key, []).append(name)
        jobs = {}
        for case in self._training.cases:
            for key in sorted(key for key in wanted if key[0] == case.case_id):
                _, branch, is_held = key
                names = {*wanted[key], *(self._taught if is_held else ())}
                said = {n: self._corrected.get(n) or self._channels_of(n) for n in sorted(names)}
                jobs[key] = RunTrunk(
                    name=case.case_id,
                    training=self._training,
                    case=case,
                    wanted=tuple(wanted[key]),
                    corrected={name: found for name, found in said.items() if found},
                    branch=branch,
                    whole=is_held,
                    room=self._start.room // len(wanted),
                    portable=self._portable,
                    device=self._training.device,
                )
        bar, voxels = progress(f"trunk of {self._training.name}", len(jobs)), 0
        for key, job in jobs.items():
            kept = once(job)
            self._ran[key] = job, kept, files_of(job)
            self._jobs.append(job)
            voxels += kept.windows * int(np.prod(kept.shapes[0][1:])) if kept.windows else 0
            bar.step(job.name)
        bar.close()
        return voxels

    @property
    def _taught(self) -> list[str]:
        """Classes of today that the network was taught."""
        schema = self._training.schema
        return [name for name in schema.names if self._channels_of(name)]

    def _windows(self, name: str, cases: Iterable[str], is_held: bool) -> list[Window]:
        """What is kept of cases for a class."""
        keys = ((case_id, self.on.get(name, 0), is_held) for case_id in sorted(cases))
        return windows_of(self._training, name, [self._ran[key] for key in keys])

    def _reached(self, name: str) -> float | None:
        """Dice of the network itself, as it was last trained as a whole, on the cases held out for a class.

        Of the class, if it was taught it; else the mean over what it was taught. None where that cannot be said.
        """
        held = {case.case_id: case.masks for case in self._training.cases if case.case_id in self._held[name]}
        own = name in self._taught
        found = []
        for known in [name] if own else self._taught:
            windows = self._windows(name, (case_id for case_id, masks in held.items() if known in masks), True)
            shown = [replace(window, mask=window.mask_of(self._training, known)) for window in windows]
            one = judged(known, shown, lambda window: np.zeros((1, *window.mask.shape), np.float32))
            found += [] if one is None else [one]
        return round(float(np.mean(found)), 4) if found else None

    def _do(self, job: LearnHead | LearnBranch) -> tuple[Learned, Path]:
        """What a step gives, and the folder of what it leaves; done once."""
        self._jobs.append(job)
        note_used(job.stage, (job.key,))
        record = None if no_memo() else remembered(job)
        learned: Learned = job.from_json((record or compute(job, keep=True)).facts)
        return learned, Path(folder_of(job))

    def _note(self, rung: str, voxels: int, names: Sequence[str], dice: Mapping[str, float], began: float) -> None:
        """Keep what a step took, and say it."""
        self._rungs.append(Rung(name=rung, voxels=voxels, classes=tuple(names), dice=dict(dice)))
        said = ", ".join(
            f"{name} {dice[name]:.3f} of {self._wanted.get(name, 0):.3f}" for name in names if name in dice
        )
        seconds = time.process_time() - began
        took = f"{voxels / 1e6:.1f} million voxels, {seconds:.0f} CPU seconds"
        print(f"retrain: {self._training.name}, {rung}: {took}{f'; Dice {said}' if said else ''}", file=sys.stderr)


def _held_out(training: Training, start: HeadStart, lesson: Lesson) -> tuple[str, ...]:
    """Cases that a class is judged by: people decided on it there, and nothing of it is learned from them."""
    count = len(lesson.people) // _HELD_OUT if start.margin is not None else 0
    rng = np.random.default_rng([training.seed, *lesson.class_name.encode()])
    return tuple(sorted(rng.choice(lesson.people, count, replace=False).tolist())) if count else ()


def _without(lesson: Lesson, cases: Sequence[str]) -> Lesson:
    return replace(lesson, people=tuple(case_id for case_id in lesson.people if case_id not in cases))


def _with_todays_names(weights: Mapping[str, Any], renamed: Callable[[str], str | None]) -> dict[str, Any]:
    """All weights of a model; heads by the names of today."""
    found = {}
    for key, tensor in weights.items():
        if key.startswith(HEAD_WEIGHTS):
            _, name, layer = key.split("/", 2)
            key = f"{HEAD_WEIGHTS}{renamed(name) or name}/{layer}"
        found[key] = tensor
    return found
