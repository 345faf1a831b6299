"""`params.yaml` as validated objects, one per stage.

`machine` says how to compute, not what: no stage lists it in `dvc.yaml`. Only `portable` is in memo keys: of what
networks compute.
The environment variables VOXLEDGER_DEVICE, VOXLEDGER_WORKERS, VOXLEDGER_EXECUTOR and VOXLEDGER_SCHEDULER override it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.minutes import LOOKING_MINUTES, REVISE_MINUTES, SCRATCH_MINUTES
from voxledger.registry import ACQUISITION, BACKENDS, CHECKS, CONSENSUS, EXECUTORS, STRATEGIES, WEAK_CHECKS, Family
from voxledger.reviewer_name import fault_of
from voxledger.textfile import read_text


def _member(family: Family) -> Callable[[str], str]:
    """A check that a family has a member of a name."""

    def check(name: str) -> str:
        try:
            family.require(name)
        except Misuse as error:
            raise ValueError(f"{error.problem} ({error.remedy})") from None
        return name

    return check


def _measured(name: str) -> str:
    """A check that an acquisition function goes by what the score table holds: refused before people review."""
    if name != "random" and (ACQUISITION.get(name).features or ACQUISITION.get(name).quality):
        raise ValueError(f"{name} looks at images anew, or at predicted quality (choose importance, entropy or random)")
    return name


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SlurmParams(_Strict):
    """Jobs of Slurm; what is None is that of dask-jobqueue's configuration, `jobqueue.slurm`."""

    queue: str | None = None
    """The partition."""
    account: str | None = None
    walltime: str | None = None
    """Of one job, such as `08:00:00`; longer than a case takes."""
    memory: str = "4GB"
    """Of one job, which computes one case at a time."""
    interface: str = "lo"
    """Network between this machine and the nodes, such as `ib0`; `lo` where this machine is the only node."""


class MachineParams(_Strict):
    """How to compute: device of the networks, and worker processes (0 = one a core)."""

    device: Literal["cpu", "cuda"] = "cpu"
    workers: int = Field(default=0, ge=0)
    gpus: int = Field(default=0, ge=0)
    """GPUs of the machine that networks compute on with the device `cuda`, one worker each; 0 = the first alone."""
    executor: Annotated[str, AfterValidator(_member(EXECUTORS))] = "local"
    """Where cases are computed; `local` is processes of this machine."""
    scheduler: str = ""
    """Address of the scheduler of `dask`."""
    slurm: SlurmParams = SlurmParams()
    wait_minutes: float = Field(default=10.0, gt=0)
    """How long a stage waits for workers of a cluster that has none."""
    recheck: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of remembered cases that a stage computes again to compare."""
    portable: bool = False
    """Compute with instructions that every x86-64 CPU has, so that another kind of CPU gives the same bits; slower."""

    _networks: bool = PrivateAttr(False)

    @property
    def worker_count(self) -> int:
        return self.workers or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else self.workers or 1

    @property
    def for_networks(self) -> MachineParams:
        """The same with one process a GPU where networks run on it: several would each need its memory."""
        if self.device != "cuda":
            return self
        copy = self.model_copy(update={"workers": max(self.gpus, 1)})
        copy._networks = True
        return copy

    @property
    def on_gpus(self) -> bool:
        """Whether this is how networks compute on GPUs: every worker has one."""
        return self._networks


class CasesParams(_Strict):
    """Shares of newly added labelled cases that go to calibration and test when no split is given."""

    calibration: float = Field(default=0.1, ge=0, lt=1)
    test: float = Field(default=0.2, ge=0, lt=1)
    seed: int = 0
    not_identity: list[str] = Field(default=[])
    """Texts that look like the identity of a patient to `voxledger cases scan-phi`, and are none."""


class BoundsParams(_Strict):
    """Bounds of a check that replace its own; null is no bound."""

    low: float | None = None
    high: float | None = None


class InferParams(_Strict):
    """Sliding-window inference: step as a share of the patch."""

    step: float = Field(default=0.5, gt=0, le=1)
    bounds: dict[Annotated[str, AfterValidator(_member(WEAK_CHECKS))], BoundsParams] = Field(default={}, exclude=True)
    """Bounds of the checks of what was predicted from weak labels, by the name of a file in `weak/checks/`; others keep
    those that stand there. No prediction depends on them."""
    skip_trusted: bool = Field(default=False, exclude=True)
    """Leave out the pool cases in which people stand behind every class. Nothing of them is chosen for review; how well
    models agree on them is then not in the report."""


class CalibrateParams(_Strict):
    """Thresholds of lesion classes from the calibration split; nothing is calibrated unless `classes` asks for it."""

    classes: list[str] = []
    """Lesion classes to calibrate."""
    together: bool = False
    """One threshold for all of them, which then have to be all lesion classes: what is to be found is a lesion, of
    whatever class, by regions of whatever class. Else each has its own, and the wanted share of each is found."""
    sensitivity: float = Field(default=0.99, gt=0, le=1)
    """Share of the true lesions that the threshold has to keep; 0.99 in EfficientAnno (Efficient Human-in-the-Loop
    Pancreatic Tumor Annotation)."""
    floor: float = Field(default=0.003, ge=0, lt=1)
    """Lowest threshold, that of EfficientAnno; below it components grow together, and everything counts as found."""
    overlap: float = Field(default=0.1, ge=0, le=1)
    """Share of a lesion that has to be predicted for a hit, by components of which the lesion would be that share, and
    of a component that has to be lesion; 0 = any voxel. The report on detection counts by it, too."""
    from_mm: float = Field(default=0, ge=0)
    """Diameter of a ball of equal volume from which lesions are to be found; smaller ones count neither as found nor as
    missed, nor their patients as healthy."""
    connectivity: Literal[26] = 26
    """That of the filter, whose components are calibrated; older files name it."""
    bootstrap: int = Field(default=1000, ge=100)
    """Resamples of the patients for the confidence intervals."""
    seed: int = 0


class FilterParams(_Strict):
    """Threshold on the mean of the models, then rules in order; `rules` are read by the filter package."""

    threshold: float = Field(default=0.5, gt=0, lt=1)
    thresholds: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}
    """Per-class thresholds that replace `threshold`."""
    rules: list[dict[str, Any]] = []


class ClassCriteria(_Strict):
    """Thresholds of one class that replace those of all classes."""

    inconsistency: float | None = Field(default=None, ge=0)
    uncertainty: float | None = Field(default=None, ge=0)


Entropy = Literal["one_sided", "binary", "categorical"]


class ScoreParams(_Strict):
    """Attention (criteria of AbdomenAtlas-8K) and the choice of cases."""

    inconsistency: float = Field(default=0.1, ge=0)
    """Population standard deviation over the models above which a voxel is inconsistent."""
    uncertainty: float = Field(default=0.05, ge=0)
    """Mean entropy in nats above which a voxel is uncertain."""
    entropy: Entropy = "one_sided"
    opening: int = Field(default=2, ge=0, le=3)
    """Erosions, then dilations, by a 3×3×3 cube; 2 in the published code, which removes what is thinner than 5 voxels:
    too much for structures of a few voxels."""
    classes: dict[str, ClassCriteria] = {}
    """Thresholds by class."""
    attention: Literal["published", "learned"] = "published"
    """What says where people should look: the criteria above, or a model that learned from what they changed. Until
    they have changed enough, the criteria stand in for it."""
    miss: float = Field(default=0.15, gt=0, lt=1)
    """Expected share of the errors of a patient that learned attention may miss."""
    acquisition: Annotated[str, AfterValidator(_member(ACQUISITION))] = "attention"
    """Acquisition function that chooses the cases."""
    budget: int = Field(default=20, ge=0)
    """Cases a round that people review."""
    budget_minutes: float | None = Field(default=None, gt=0)
    """Expected minutes a round that all reviewers spend together; with `budget`, whichever is reached first."""
    budget_share: float | None = Field(default=None, gt=0, le=1)
    """Share of the cases not yet trusted; with `budget`, whichever is reached first."""
    most_alike: int | None = Field(default=None, ge=1)
    """At most this many chosen cases of one likely error (class and kind, from what reviewers changed in earlier
    rounds), so that they do not correct the same error over and over; the rest of the budget goes to the next cases."""
    quality: bool = False
    """Whether the quality of masks is predicted from what people judged in earlier rounds."""
    stop_error_ml: float | None = Field(default=None, gt=0)
    """Stop once the labels that nobody looked at together hold at most this much error, by the bound of the blind
    audit and predicted quality."""
    stop_dice: float | None = Field(default=None, gt=0, lt=1)
    """Stop once their mean Dice is at least this; with `stop_error_ml`, once both hold."""
    rejected_first: bool = False
    """Whether cases in which somebody rejected a class in an earlier round come first, predicted by the models of this
    one."""
    audit: int = Field(default=0, ge=0)
    """Cases outside the worklist, drawn blindly, that are reviewed too."""
    revise_minutes: float = Field(default=REVISE_MINUTES, gt=0)
    """Expected minutes to correct one predicted case, for planning the worklist: assumed, as AbdomenAtlas-8K does."""
    scratch_minutes: float = Field(default=SCRATCH_MINUTES, gt=0)
    """Minutes to label one case from nothing, in worklist and report and of emulated readers: 43 a lesion case in
    EfficientAnno, 15 a series of kidneys in SAIM; an assumption about any other data."""
    seed: int = 0

    @model_validator(mode="after")
    def _predicted(self) -> ScoreParams:
        if self.quality:
            return self
        needs = [name for name in ("stop_error_ml", "stop_dice") if getattr(self, name) is not None]
        if "acquisition" in self.model_fields_set and ACQUISITION.get(self.acquisition).quality:
            needs.append(f"acquisition: {self.acquisition}")
        if needs:
            raise ValueError(f"{', '.join(needs)} goes by predicted quality: say `quality: true`")
        return self


class ReadersParams(_Strict):
    """How many people read a case, each without knowing of the others."""

    count: int = Field(default=1, ge=1)
    share: float = Field(default=1.0, ge=0, le=1)
    """Share of the cases of the worklist, drawn blindly, that so many read; one reads each of the others."""

    @model_validator(mode="before")
    @classmethod
    def _of_all_cases(cls, values: Any) -> Any:
        return {"count": values} if isinstance(values, int) and not isinstance(values, bool) else values


class ExportParams(_Strict):
    """Who reviews; the worklist is dealt out over them."""

    reviewers: list[str] = Field(default=["reader-1"], min_length=1)
    readers: ReadersParams = ReadersParams()
    """A number, or `{count: 2, share: 0.2}`."""
    formats: list[Literal["seg_nrrd", "dicom_seg", "rtstruct"]] = Field(default=[])
    """Formats in which proposals go out besides NIfTI."""

    @model_validator(mode="after")
    def _enough_reviewers(self) -> ExportParams:
        if self.readers.count > len(set(self.reviewers)):
            raise ValueError(f"readers: {self.readers.count} people cannot read a case, {len(set(self.reviewers))} can")
        return self

    @model_validator(mode="after")
    def _one_file_a_name(self) -> ExportParams:
        if {"dicom_seg", "rtstruct"} <= set(self.formats):
            raise ValueError("dicom_seg and rtstruct would both be labels/<case>.dcm: choose one")
        return self


Outside = Literal["unchanged", "empty"]
"""What voxels outside of the extent of a returned label map are: as they were sent, or of no class."""


class ReviewParams(_Strict):
    """How returned labels are read, and what follows from what is found in them."""

    outside: Outside = "unchanged"
    require_signature: bool = False
    """Whether a return that its reviewer did not sign is held back; a signature that does not count always is."""
    findings: dict[Annotated[str, AfterValidator(_member(CHECKS))], Literal["blocking", "warning", "note"]] = {}
    """By kind, the name of a file in `bundles/checks/`; others keep the severity that stands there."""
    consensus: Annotated[str, AfterValidator(_member(CONSENSUS))] = "majority"
    """How several readings of a case become one: the name of a file in `bundles/consensus/`."""
    agreement: float = Field(default=0.9, ge=0, le=1)
    """Dice below which the masks of readers are a disagreement, as each method counts it."""
    adjudicator: str = ""
    """Who settles what readers do not agree on, where the consensus is `adjudicate`."""


EPOCH = 250
"""Iterations of an epoch of nnU-Net."""
OPTIONS = ("lesion_share", "augmentation", "loss")
"""Parameters of a training that not every backend has."""


class RegionParams(_Strict):
    """What of an image a model looks at: the box around an organ."""

    inside: str
    """Class of the organ. It is found by the models without a region."""
    margin_mm: float = Field(default=20.0, ge=0)
    """How far the box reaches beyond the organ, on every side."""


class ModelParams(_Strict):
    """One model to train: its backend, what it looks at, network, and budget of optimisation."""

    backend: Annotated[str, AfterValidator(_member(BACKENDS))]
    recipe: str = ""
    """Of nnU-Net: `nnunet`, the default, plans and trains as nnU-Net does; `small` is for hundreds of iterations on
    CPUs. Where one of the parameters that are its own is given (`patch`, `features`, `batch`, `iterations`,
    `learning_rate`), as before version 0.4, it is `small`."""
    network: str = "plans"
    """`plans` is nnU-Net's default, the same as `nnUNetPlans`; its other presets, which clicks do not have, are called
    as nnU-Net calls their plans, such as `nnUNetResEncUNetMPlans`. `unet`, `segresnet` and `swinunetr` are MONAI's."""
    epochs: int = Field(default=1000, ge=1)
    """Of the recipe `nnunet`, each of `EPOCH` iterations; of a cascade, for each of its two networks."""
    patch: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None
    """Patch size in voxels (z, y, x); None lets nnU-Net's planner decide, or takes what fits the cohort."""
    features: tuple[PositiveInt, ...] = Field(default=(16, 32, 64, 128), min_length=1)
    batch: int = Field(default=2, ge=1)
    start: str = ""
    """Base model that the first training starts from, one that was adopted or trained here; empty for nothing. Where
    the strategy would begin with nothing later on, it starts from there again."""
    iterations: int = Field(default=240, ge=1)
    learning_rate: float = Field(default=2e-3, gt=0)
    spacing: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = None
    """Working spacing in mm (z, y, x); None = the median of the cohort."""
    region: RegionParams | None = None
    """The organ that the model looks at; None = the whole image."""
    classes: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Classes that it learns; None = those of the region, or all. What lies in one of them counts as that."""
    lesion_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the patches that are centred on a lesion, drawn the more often the smaller it is; the others are centred
    on any class or the background, each as often as the next."""
    augmentation: Literal["light", "strong"] = "light"
    """`strong` turns, scales, blurs, and changes noise, contrast and resolution."""
    loss: Literal["dice_ce", "dice_focal", "tversky_ce"] = "dice_ce"
    """Dice with cross-entropy; with a focal term, which looks at hard voxels; or Tversky's index, which holds a missed
    voxel for worse than one too many, with cross-entropy."""

    @model_validator(mode="before")
    @classmethod
    def _with_recipe(cls, values: Any) -> Any:
        """The first recipe of the backend where neither it nor what only `small` has is given."""
        if not isinstance(values, dict) or values.get("recipe") or values.get("backend") not in BACKENDS.names():
            return values
        recipes = BACKENDS.get(values["backend"]).recipes
        if not recipes:
            return values
        return {**values, "recipe": "small" if any(name in values for name in _SMALL) else recipes[0]}

    @model_validator(mode="after")
    def _trainable(self) -> ModelParams:
        backend = BACKENDS.get(self.backend)
        if backend.made_elsewhere:
            raise ValueError(f"models of the backend {self.backend} are not trained, but added with `models add`")
        if backend.prompted and (given := self._given("region", "spacing")):
            raise ValueError(f"the backend {self.backend} sees voxels around what is marked: remove {', '.join(given)}")
        if backend.prompted and self.start:
            raise ValueError(
                f"the backend {self.backend} has no `start`: a model of it goes on with `strategy: finetune`"
            )
        if backend.networks and self.network not in backend.networks:
            raise ValueError(
                f"{self.network} is no network of {self.backend}: use one of {', '.join(backend.networks)}"
            )
        if self.recipe not in (backend.recipes or ("",)):
            raise ValueError(
                f"{self.recipe} is no recipe of {self.backend}: "
                + (f"use one of {', '.join(backend.recipes)}" if backend.recipes else "it has none")
            )
        if given := self._given(*(name for name in OPTIONS if name not in backend.options)):
            raise ValueError(f"the backend {self.backend} has no {', '.join(given)}: remove it")
        if self.recipe == "nnunet" and (given := self._given(*_SMALL, *OPTIONS)):
            raise ValueError(
                f"with `recipe: nnunet`, nnU-Net decides {', '.join(given)} itself: give `epochs` alone, or say "
                "`recipe: small`"
            )
        if self.recipe != "nnunet" and self._given("epochs"):
            raise ValueError("epochs are those of nnU-Net with `recipe: nnunet`: give `iterations`")
        if self.recipe == "small" and self.network != "plans":
            raise ValueError(f"{self.network} is of `recipe: nnunet`")
        return self

    def _given(self, *names: str) -> list[str]:
        """Those of some parameters that are not their default."""
        return [name for name in names if getattr(self, name) != type(self).model_fields[name].default]

    def record(self) -> dict[str, Any]:
        """What it says, for the card of a model: without what another recipe or backend would read.

        Examples
        --------
        >>> list(ModelParams(backend="nnunet").record())
        ['backend', 'recipe', 'network', 'epochs', 'spacing', 'region', 'classes']
        """
        left_out = set((*_SMALL, *OPTIONS) if self.recipe == "nnunet" else ("epochs",)) | {
            name for name in ("recipe", "start") if not getattr(self, name)
        }
        return self.model_dump(mode="json", exclude=left_out)

    def budget(self, share: float = 1.0) -> int:
        """Iterations of a share of the training, in whole epochs where they are what is given.

        Examples
        --------
        >>> ModelParams(backend="nnunet", epochs=10).budget(0.5)
        1250
        """
        if self.recipe == "nnunet":
            return max(1, round(self.epochs * share)) * EPOCH
        return max(1, round(self.iterations * share))


_SMALL = ("patch", "features", "batch", "iterations", "learning_rate")
"""Parameters of a model that nnU-Net decides itself."""


UNSPECIFIED = "unspecified"
"""Where no licence is given."""


Embedding = Annotated[tuple[Annotated[float, Field(allow_inf_nan=False)], ...], Field(min_length=1)]
"""A vector of a class."""


class RetrainParams(_Strict):
    """Which models are trained, from what, and how."""

    strategy: Annotated[str, AfterValidator(_member(STRATEGIES))] = "full"
    """`full` trains from scratch, `finetune` goes on from the base model of the same name, `continual` leaves it as it
    is but for the heads of revised classes."""
    finetune_iterations: float = Field(default=0.5, gt=0)
    """Share of a model's iterations that fine-tuning spends."""
    continual_iterations: float = Field(default=0.25, gt=0)
    """Share of a model's iterations that `continual` spends on the head of each revised class."""
    continual: Literal["heads", "decoder", "adapters", "auto"] = "heads"
    """What `continual` trains of revised classes: heads; an added decoder, or low-rank adapters, where heads are not
    enough; or what is needed, one after the other."""
    head_embeddings: Literal["none", "random"] | dict[str, Embedding] = "none"
    """Vectors of classes that the weights of new heads are conditioned on: drawn from the names, or given by class."""
    continual_margin: float = Field(default=0.02, ge=0, le=1)
    """With `auto`, how far a class may stay below the Dice that full training reached last, on cases held out, without
    the next step."""
    grown_iterations: float = Field(default=0.25, gt=0)
    """Share of a model's iterations that an added decoder, or adapters, are trained for."""
    replay: float = Field(default=0.2, ge=0, le=1)
    """Share of the older cases of a revised class that are learned from again; and of the cases that taught the model
    that `start` of another names."""
    replay_by: Annotated[str, AfterValidator(_member(ACQUISITION)), AfterValidator(_measured)] = "random"
    """Acquisition function that says which of these come first, by what the round measured before people reviewed."""
    hybrid: bool = False
    """Whether classes that nobody looked at in a case that teaches others are learned as the models drew them."""
    features_gb: float = Field(default=20.0, gt=0)
    """Disk that features of a model may take while its heads are trained, in GB; what does not fit is left out."""
    models: dict[str, ModelParams] = {}
    licence: str = UNSPECIFIED
    """Licence of the trained models, written into model.json; where none is given, fine-tuned models have that of the
    weights that they go on from."""
    seed: int = 0


class EvaluateParams(_Strict):
    """Metrics: tolerance of surface Dice in mm, and bootstrap samples. What counts as drawn, as an error, as a look."""

    tolerance_mm: float = Field(default=2.0, ge=0)
    path_tolerance_mm: float = Field(default=0.0, ge=0)
    """Of the added path length: a contour that near to the old one, in its slice, was not drawn. 0 = every voxel."""
    error_tolerance_mm: float = Field(default=2.0, ge=0)
    """How far a change has to reach from what was there before to be a visible error, as published figures of attention
    count them. 0 = any voxel."""
    looking_minutes: float = Field(default=LOOKING_MINUTES, ge=0)
    """Minutes of a look at one class of one case, to judge it: assumed."""
    bootstrap: int = Field(default=1000, ge=100)
    seed: int = 0


class Params(_Strict):
    """All of `params.yaml`."""

    dataset: str = Field(default="voxledger-dataset", pattern=r"^[a-z0-9][a-z0-9-]*$")
    round: int = Field(default=0, ge=0)
    licence: str = UNSPECIFIED
    """Licence that the dataset is released under, as an SPDX id. `voxledger round close` refuses one that the models do
    not allow."""
    cases: CasesParams = CasesParams()
    infer: InferParams = InferParams()
    calibrate: CalibrateParams = CalibrateParams()
    filter: FilterParams = FilterParams()
    score: ScoreParams = ScoreParams()
    export: ExportParams = ExportParams()
    review: ReviewParams = ReviewParams()
    exchange: str = ""
    """Where `voxledger review send` puts bundles unless it is told: a DVC remote, or `CARRIER:PLACE`."""
    retrain: RetrainParams = RetrainParams()
    evaluate: EvaluateParams = EvaluateParams()
    machine: MachineParams = MachineParams()

    @property
    def adjudicated(self) -> bool:
        """Whether what several readers do not agree on goes to an adjudicator."""
        return self.export.readers.count > 1 and bool(CONSENSUS.get(self.review.consensus).adjudicated)

    @model_validator(mode="after")
    def _one_adjudicator(self) -> Params:
        who, readers = self.review.adjudicator, self.export.reviewers
        for place, names in (("export.reviewers", readers), ("review.adjudicator", [who] if who else [])):
            if fault := fault_of(names):
                raise ValueError(f"{place}: {fault}")
        if not self.adjudicated:
            return self
        if not who:
            raise ValueError(f"review.consensus is {self.review.consensus}: name who settles in review.adjudicator")
        if who.lower() in map(str.lower, readers):
            raise ValueError(f"review.adjudicator: {who} reads cases in this round; name somebody else")
        return self


def read_params(path: Path | str = layout.PARAMS) -> Params:
    """Read and check `params.yaml`; errors name the parameter."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    path = Path(path)
    if not path.exists():
        raise Misuse(f"{path}: no such file", "run this in a repository made by `voxledger init`")
    try:
        values = YAML(typ="safe", pure=True).load(read_text(path))
    except (YAMLError, ValueError) as error:
        raise Misuse(f"{path} is not valid YAML: {error}", "correct the file") from None
    if not isinstance(values, dict):
        raise Misuse(f"{path} does not hold parameters", "restore it from git")
    values = _one_scratch_minutes(path, values)
    machine = values.get("machine") or {}
    if not isinstance(machine, dict):
        raise Misuse(f"{path}: machine has no parameters below it", "write them one a line, indented")
    machine = dict(machine)
    for name in ("device", "workers", "executor", "scheduler"):
        if given := os.environ.get(f"VOXLEDGER_{name.upper()}"):
            machine[name] = given
    try:
        return Params.model_validate({**values, "machine": machine})
    except ValidationError as error:
        listed = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors())
        raise Misuse(f"{path}: {listed}", "correct the parameter") from None


def _one_scratch_minutes(path: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Parameters with `evaluate.scratch_minutes` of older files where it belongs, in `score`."""
    evaluate, score = values.get("evaluate"), values.get("score") or {}
    if not isinstance(evaluate, dict) or not isinstance(score, dict) or "scratch_minutes" not in evaluate:
        return values
    older = evaluate["scratch_minutes"]
    if score.get("scratch_minutes", older) != older:
        raise Misuse(
            f"{path}: score.scratch_minutes is {score['scratch_minutes']} and evaluate.scratch_minutes is {older}, "
            "but both are the minutes to label one case from nothing",
            "keep the right number in score.scratch_minutes and remove evaluate.scratch_minutes",
        )
    rest = {name: value for name, value in evaluate.items() if name != "scratch_minutes"}
    return {**values, "evaluate": rest, "score": {**score, "scratch_minutes": older}}
