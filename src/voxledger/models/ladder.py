"""The ladder of Continual Tuning: heads on a network that stays as it is; where that is not enough, a branch of it.

Weights of the network, its plans, heads of other classes and the branches that these stand on are those of the parent,
byte for byte. Every step is remembered until the whole is done: who was killed goes on from there. Voxels that are
counted are those of a machine that remembers nothing: a card does not depend on what one does.
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
from voxledger.models.dataset import BRANCHES, HEADS, Branch, branches, channels, describe_branch, heads, untaught
from voxledger.models.learn_branch import ADAPTERS, DECODER, LearnBranch, branch_for
from voxledger.models.learn_heads import HEADS as ALONE
from voxledger.models.learn_heads import OWN, Learned, LearnHead, judged
from voxledger.models.start import HeadStart
from voxledger.models.training import Training
from voxledger.models.trunk import Look, RunTrunk, keep_for_next_round
from voxledger.models.windows import Ran, Window, windows_of
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

_ORDER = (ALONE, DECODER, ADAPTERS)
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
    climb.look()
    climb.go_on()
    for kind in start.rungs:
        climb.heads() if kind == ALONE else climb.grow(kind)
    climb.write(folder)
    climb.forget()
    assert start.parent is not None
    name = start.parent.card.architecture
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return f"{name}{_SUFFIXES[bool(climb.branches)]}", climb.ladder


@dataclass(frozen=True)
class _Made:
    """What a step made of a class."""

    rung: str
    file: Path
    """Weights that it left."""
    dice: float | None
    branch: Branch | None
    """That speaks for it."""


class _Climb:
    """A training at work."""

    def __init__(self, training: Training, start: HeadStart, portable: bool) -> None:
        assert start.parent is not None
        assert start.dataset is not None
        self._training, self._start, self._portable = training, start, portable
        self._parent, self._dataset = start.parent, start.dataset
        self._lessons = {one.class_name: one for one in start.lessons}
        self._held = {one.class_name: one.held_out for one in start.lessons}
        self._corrected = heads(self._dataset)
        for name in self._lessons:
            self._corrected.setdefault(name, self._channels_of(name))
        self.branches = {one.number: one for one in branches(self._dataset)}
        """Those that speak for any class, by number."""
        self._on = {name: one for one in self.branches.values() for name in one.channels}
        self._weights = _with_todays_names(load_tensors(self._parent.folder), self._parent.schema.renamed)
        self._jobs: list[Job[Any]] = []
        self._ran: dict[tuple[str, bool], list[Ran]] = {}
        self._features: list[str] = []
        """Keys of what the network ran over, or found nothing to run over."""
        self._made: dict[str, _Made] = {}
        self._rungs: list[Rung] = []
        self._looked_at = 0
        self._wanted: dict[str, float] = {}

    def _channels_of(self, name: str) -> tuple[int, ...]:
        """Channels of the network that say something of a class; none where it was never taught it."""
        of = channels(self._dataset)
        if name not in {self._parent.schema.renamed(n) for n in of.keys() - untaught(self._dataset)}:
            return ()
        return tuple(inside(of, self._parent.schema, name))

    def look(self) -> None:
        """Run the network once over what heads learn from and what is held out, and see what it reached itself."""
        self._looked_at = self._run_trunk()
        self._wanted = {name: found for name in self._held if (found := self._reached(name)) is not None}

    def heads(self) -> None:
        """Train the head of every class that no branch speaks for."""
        began, voxels, dice, trained = time.process_time(), self._looked_at, dict[str, float](), list[str]()
        for name, lesson in self._lessons.items():
            windows = self._windows(name, (*lesson.people, *lesson.model), False) if name not in self._on else []
            if not windows:
                continue
            job = LearnHead(
                name=name,
                training=self._training,
                lesson=lesson,
                corrects=self._corrected[name],
                portable=self._portable,
                known=head_of(self._weights, name),
                windows=windows,
                judges=self._windows(name, self._held[name], True),
            )
            learned, file = self._do(job)
            voxels, dice = voxels + learned.voxels, dice | learned.dice
            self._made[name] = _Made(ALONE, file, learned.dice.get(name), None)
            trained.append(name)
        if trained:
            self._note(ALONE, voxels, trained, dice, began)

    def go_on(self) -> None:
        """Go on with branches that speak for classes to train: others that these speak for stay with them."""
        asked = self._start.rungs if self._start.margin is None else ()
        for origin in list(self.branches.values()):
            if any(kind in _ORDER[_ORDER.index(origin.kind) :] for kind in asked):
                continue  # what is asked for goes on from there itself
            if names := [name for name in self._lessons if self._on.get(name) == origin and self._is_taught(name)]:
                self._branch(origin.kind, names, origin)

    def grow(self, kind: str) -> None:
        """Grow a branch of a kind for the classes that need it."""
        margin, later = self._start.margin, _ORDER[_ORDER.index(kind) :]
        names = [n for n in self._lessons if (made := self._made.get(n)) is None or made.rung not in later]
        if margin is None:
            names = [name for name in names if self._is_taught(name)]
        else:
            names = [name for name in names if self._is_below(name, margin)]
        for origin in [None, *self.branches.values()]:
            if group := [name for name in names if self._on.get(name) == origin]:
                self._branch(kind, group, origin)

    def _is_taught(self, name: str) -> bool:
        """Whether any case of a class shows what the model looks at."""
        lesson, training = self._lessons[name], self._training
        cases = (case for case in training.cases if case.case_id in {*lesson.people, *lesson.model})
        return training.region is None or any(training.painted(case) is not None for case in cases)

    def _is_below(self, name: str, margin: float) -> bool:
        dice = self._made[name].dice if name in self._made else None
        return dice is not None and dice < self._wanted.get(name, 0) - margin

    def _branch(self, kind: str, names: Sequence[str], origin: Branch | None) -> None:
        """Train a branch for some classes, which go on from where they stand; it is kept where it is better."""
        began = time.process_time()
        used = [*self.branches, *(made.branch.number for made in self._made.values() if made.branch)]
        made = branch_for(max([0, *used]) + 1, kind, self._training, names)
        job = LearnBranch(
            name=kind,
            training=self._training,
            branch=made,
            grown_from=origin.number if origin else 0,
            lessons=tuple(self._lessons[name] for name in names),
            portable=self._portable,
            origin=origin,
            judges={name: self._windows(name, self._held[name], True) for name in names},
        )
        learned, file = self._do(job)
        for name in names:
            before, dice = self._made.get(name), learned.dice.get(name)
            if before is None or self._start.margin is None or (dice or 0) > (before.dice or 0):
                self._made[name] = _Made(kind, file, dice, made)
        self._note(kind, learned.voxels, names, learned.dice, began)

    @property
    def ladder(self) -> Ladder:
        """What was tried."""
        kept = {name: made.rung for name, made in self._made.items()}
        return Ladder(rungs=tuple(self._rungs), kept=kept, wanted=self._wanted, margin=self._start.margin)

    def write(self, folder: Path) -> None:
        """Write the model, without heads of classes that a branch speaks for, and branches that speak for none."""
        from safetensors.torch import load_file

        weights = dict(self._weights)
        number_of = {n: made.branch.number for n, made in self._made.items() if made.branch}
        known = {*heads(self._dataset), *self._made}
        self._corrected = {name: found for name, found in self._corrected.items() if name in known}
        for name, made in self._made.items():
            left = load_file(made.file / OWN)
            weights = {k: t for k, t in weights.items() if not k.startswith(f"{HEAD_WEIGHTS}{name}/")}
            if made.branch is None:
                weights |= {f"{HEAD_WEIGHTS}{name}/{layer}": tensor for layer, tensor in left.items()}
            else:
                self._corrected[name] = ()
                self.branches.setdefault(made.branch.number, made.branch)
                weights |= {f"{BRANCH_WEIGHTS}{made.branch.number}/{layer}": t for layer, t in left.items()}
        for number, branch in list(self.branches.items()):
            kept = {n: c for n, c in branch.channels.items() if number_of.get(n, number) == number}
            self.branches[number] = replace(branch, channels=kept)
            if not kept:
                del self.branches[number]
                weights = {k: t for k, t in weights.items() if not k.startswith(f"{BRANCH_WEIGHTS}{number}/")}
        described = {**read_json(self._parent.folder / DATASET)}
        described.pop(BRANCHES, None)
        described[HEADS] = {name: list(found) for name, found in self._corrected.items()}
        described |= {BRANCHES: [describe_branch(one) for one in self.branches.values()]} if self.branches else {}
        shutil.copyfile(self._parent.folder / PLANS, folder / PLANS)
        replace_text(folder / DATASET, to_json(described))
        save_tensors(folder, weights)

    def forget(self) -> None:
        """Remove what was remembered meanwhile, but for features that the next round may use."""
        for job in self._jobs:
            forget(Path(folder_of(job)))
        keep_for_next_round(self._training.name, self._features)

    def _run_trunk(self) -> int:
        """Run the network over what heads learn from, and what is held out; returns the voxels."""
        wanted: dict[tuple[str, bool], list[str]] = {}
        for name, lesson in self._lessons.items():
            has_head = ALONE in self._start.rungs and name not in self._on
            learned = (*lesson.people, *lesson.model) if has_head else ()
            for case_id in (*learned, *self._held[name]):
                wanted.setdefault((case_id, case_id in self._held[name]), []).append(name)
        looks = {}
        for case in self._training.cases:
            for key in sorted(key for key in wanted if key[0] == case.case_id):
                names = tuple(wanted[key])
                looks[key] = Look(
                    training=self._training, case=case, wanted=names, whole=key[1], device=self._training.device
                )
        room = self._start.room // max(1, len(looks))
        known = {key for key, look in looks.items() if not no_memo() and remembered(self._job_of(look, 0)) is not None}
        bar = progress(f"trunk of {self._training.name}", len(looks), done=len(known))
        for key in list(looks):
            self._ran[key] = self._run_over(looks.pop(key), room)
            if key not in known:
                bar.step(key[0])
        bar.close()
        return sum(one.kept.voxels for ran in self._ran.values() for one in ran)

    def _run_over(self, look: Look, room: int) -> list[Ran]:
        """Run the network over windows of a case, as many as there is room for; one is, whatever it takes."""
        found: list[Ran] = []
        while True:
            job = self._job_of(look, len(found))
            kept = once(job)
            self._features.append(job.key)
            if not kept.windows:
                return found
            found.append(Ran(look.case.case_id, kept, files_of(job), tuple(sorted(job.corrected))))
            if len(found) == kept.windows or (len(found) + 1) * kept.bytes > room:
                return found

    def _job_of(self, look: Look, number: int) -> RunTrunk:
        names = {*look.wanted, *(self._taught if look.whole else ())}
        said = {n: self._corrected.get(n) or self._channels_of(n) for n in sorted(names)}
        return RunTrunk(
            name=look.case.case_id,
            look=look,
            number=number,
            corrected={name: found for name, found in said.items() if found},
            portable=self._portable,
        )

    @property
    def _taught(self) -> list[str]:
        """Classes of today that the network was taught."""
        schema = self._training.schema
        return [name for name in schema.names if self._channels_of(name)]

    def _windows(self, name: str, cases: Iterable[str], is_held: bool) -> list[Window]:
        """What is kept of cases for a class."""
        ran = [one for case_id in sorted(cases) for one in self._ran[case_id, is_held]]
        return windows_of(self._training, name, ran)

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
            one = judged(known, shown, lambda window: np.zeros((1, *window.mask.shape), np.float32), True)
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


def _with_todays_names(weights: Mapping[str, Any], renamed: Callable[[str], str | None]) -> dict[str, Any]:
    """All weights of a model; heads by the names of today."""
    found = {}
    for key, tensor in weights.items():
        if key.startswith(HEAD_WEIGHTS):
            _, name, layer = key.split("/", 2)
            key = f"{HEAD_WEIGHTS}{renamed(name) or name}/{layer}"
        found[key] = tensor
    return found
