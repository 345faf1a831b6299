"""Every path of a curation repository, once, relative to its root; commands and stages run there.

`dvc.yaml` names the same paths: which stage reads and writes what stands there. Only what lies inside the folder of a
bundle or of a model is named by the module of its record (`records/bundle.py`, `records/card.py`).
"""

from __future__ import annotations

from pathlib import Path

# What people edit, in git.

PIPELINE = Path("dvc.yaml")
"""The stages of one round, with what each reads and writes; from the template, by `voxledger init` and `upgrade`."""
LOCK = Path("dvc.lock")
"""What the stages last read and wrote, by hash; DVC writes it."""
PARAMS = Path("params.yaml")
"""Numbers and names that a round runs with; people edit it, and `round open` raises `round` in it."""
SCHEMA = Path("labels.yaml")
"""The classes; people edit it, and `voxledger schema` renames and retires in it."""
REVIEWERS = Path("reviewers.yaml")
"""Who reviews, and with which keys they sign; people edit it."""
DATASET_DESCRIPTION = Path("dataset.yaml")
"""What only people can say of the dataset, such as purpose and consent; people edit it, if they want to."""
ALGORITHMS = Path("algorithms.yaml")
"""The version of what every stage computes; from the template, by `voxledger init` and `upgrade`."""
STAGES = Path("stages")
"""One script a stage; from the template."""
IGNORED = Path(".gitignore")
"""From the template: what git leaves to DVC, or to nobody."""
IGNORED_BY_DVC = Path(".dvcignore")
"""From the template."""
ATTRIBUTES = Path(".gitattributes")
"""From the template: git leaves line ends as they are."""

# The dataset.

DATA = Path("data")
CASES = DATA / "cases.csv"
"""The case table, in git; `voxledger cases` writes it."""
ACQUISITION = DATA / "acquisition.csv"
"""How DICOM series were acquired, in git; `voxledger cases add` writes it."""
IMAGES = DATA / "images"
"""One image a case, under DVC; `voxledger cases add` writes them."""
WEAK = DATA / "weak"
"""Weak labels as they were given, under DVC; `voxledger cases add` writes them."""
INBOX = DATA / "inbox"
"""Returned bundles as they came, each under DVC; `voxledger review receive` puts them here, or people do by hand."""
INBOX_README = INBOX / "README.md"
"""What belongs into the inbox; from the template, so that the folder is there."""
FORMATS = DATA / "format.json"
"""Up to which format the tables are written, by name, in git; `voxledger init` and `voxledger upgrade` write it."""
SENT = DATA / "sent.json"
"""Which bundles went out last, in git: until their round is closed it is frozen; `round run` writes it."""
CONFIRMED = DATA / "confirmed.csv"
"""Findings of returned labels that a curator confirmed as right, in git; `voxledger review confirm` writes it."""
LICENCES = DATA / "licences.csv"
"""Models and sources whose licence a release need not keep, in git; `voxledger round licence` writes it."""
WITHDRAWN = DATA / "withdrawn.csv"
"""Patients who were withdrawn, by keyed hashes, in git; `voxledger cases withdraw` writes it."""
KEY_CHECK = DATA / "key_check.json"
"""By what the key of pseudonyms is recognised, in git; `voxledger cases add` and `cases withdraw` write it."""
KEPT_MODELS = DATA / "kept_models.csv"
"""Models that learned from a patient who was withdrawn, and go on all the same, in git; `withdraw keep` writes it."""
PURGED = DATA / "purged.json"
"""What was removed of older versions, in git; `voxledger withdraw purge` writes and signs it."""
PURGED_SIGNATURE = DATA / "purged.json.sig"
"""Its signature."""
LATE = DATA / "late"
"""Returns of closed rounds, in neither git nor DVC; `voxledger review receive` puts them here."""
EXCHANGE = DATA / "exchange"
"""What was sent where, and which uploads came in: small files in git; `review send` and `review fetch` write them."""
FETCHED = DATA / "fetched"
"""Uploads of reviewers on their way into the inbox, and those that were refused, in neither git nor DVC; `review fetch`
puts them here."""
TIMES = DATA / "times"
"""When bundles went out and came in, and what ran the round: small files in git on which no result depends."""

# What a round starts from: what the round before released.

BASE = DATA / "base"
BASE_LABELS = BASE / "labels"
"""One label map a labelled case, under DVC; `cases add`, `round open` and `schema retire` write them."""
BASE_REVISIONS = BASE / "revisions"
"""Labels of all rounds before as people returned them, under DVC; `round open` writes them."""
BASE_LEDGER = BASE / "ledger.csv"
"""Where each mask of `BASE_LABELS` came from, in git; written with them."""
BASE_HISTORY = BASE / "history.csv"
"""Test results of the rounds before, in git; `round open` writes it."""
BASE_ERRORS = BASE / "errors.csv"
"""Errors that people found in the rounds before, in git; `round open` writes it."""
BASE_DRAWN = BASE / "drawn.csv"
"""What readers drew in the rounds before, and their minutes, in git; `round open` writes it."""
BASE_JUDGED = BASE / "judged.csv"
"""What masks were found to be worth in the rounds before, in git; `round open` writes it."""
BASE_READINGS = BASE / "readings.csv"
"""What every reader said in the rounds before, in git; `round open` writes it."""

# What the stages of a round write.

ROUND = DATA / "round"
PREDICTIONS = ROUND / "predictions"
"""Soft predictions, a folder a model, in neither git nor DVC: whoever reads one that is not here makes it again."""
PREDICTED = ROUND / "infer.jsonl"
"""Who predicted what: stands for the predictions in git; infer writes it."""
WEAK_LOG = ROUND / "weak.csv"
"""What checks of predicted objects against their weak labels found; infer writes it."""
CALIBRATION = ROUND / "calibration.json"
"""Thresholds by class; calibrate writes it."""
PSEUDO = ROUND / "pseudo"
"""Proposed label maps, under DVC; filter writes them."""
FILTER_LOG = ROUND / "filter.csv"
"""Every decision of a rule; filter writes it."""
DETECTION_STEPS = ROUND / "detection.csv"
"""Lesions found and missed after every step, on labelled cases; filter writes it."""
FILTER_CASES = ROUND / "filter.jsonl"
"""Which case was computed from what; filter writes it."""
ATTENTION = ROUND / "attention"
"""Voxels that are likely wrong, with their heat map, a case, under DVC; score writes them."""
SCORES = ROUND / "score.csv"
"""Millilitres of attention by case and class; score writes it."""
WORKLIST = ROUND / "worklist.csv"
"""Which classes of which cases go to whom, in order of priority; score writes it."""
SCORE_CASES = ROUND / "score.jsonl"
"""Which case was computed from what; score writes it."""
HEAT_COLORS = ATTENTION / "heat.ctbl"
"""Colour table of the heat maps, for 3D Slicer; score writes it."""
CELL_RANKS = ROUND / "ranks.safetensors"
"""What values of cells come to among those of the round; without classes where attention is not learned."""
ATTENTION_FROM = ATTENTION / "learned.json"
"""Which model of errors pointed, where attention is learned; score writes it."""
AGREEMENT = ROUND / "agreement.csv"
"""Overlap of every two models, by case and class; score writes it."""
QUALITY = ROUND / "quality.csv"
"""Predicted quality of every proposed mask, and what it is predicted from; score writes it."""
QUALITY_MODEL = ROUND / "quality.json"
"""What predicts it: coefficients, and from how many judged masks; score writes it."""
OUTLOOK = ROUND / "outlook.json"
"""Whether another round is worth it, before anybody looked; score writes it."""
BUNDLES = ROUND / "bundles"
"""One bundle a reviewer, under DVC; export writes them."""
ADJUDICATION = ROUND / "adjudication"
"""The bundle of the adjudicator, with what readers did not agree on, under DVC; adjudicate writes it."""
RECEIVED = ROUND / "received.json"
"""Which returns are complete and in order; gate writes it."""
DECISIONS = ROUND / "decisions.csv"
"""What people decided, a row a class of a case; import writes it."""
IMPORT_CASES = ROUND / "import.jsonl"
"""Which case was computed from what; import writes it."""
MERGED = ROUND / "merge.csv"
"""Where each class of each case was taken from; import writes it."""
COHORT = ROUND / "cohort.csv"
"""The cases and classes that the next models learned from; retrain writes it."""

# What a round releases.

RELEASE = DATA / "release"
RELEASE_LABELS = RELEASE / "labels"
"""One label map a case, under DVC; import writes them."""
RELEASE_REVISIONS = RELEASE / "revisions"
"""Labels of all rounds as people returned them, under DVC; import writes them."""
RELEASE_LEDGER = RELEASE / "ledger.csv"
"""Where each mask of `RELEASE_LABELS` came from, in git; import writes it."""
RELEASE_READINGS = RELEASE / "readings.csv"
"""What every reader said, in this round and those before, in git; import writes it."""
MANIFEST = RELEASE / "manifest.json"
"""SHA-256 of every file of the version; `round close` writes it."""
SIGNATURE = RELEASE / "manifest.json.sig"
"""Signature of the manifest, where git signs with an ssh key; `round close` writes it."""
STATEMENT = RELEASE / "manifest.intoto.json"
"""What the manifest is and from what it was made, for in-toto; `round close` writes it."""

# Models.

MODELS = Path("models")
BASE_MODELS = MODELS / "base"
"""Models of this round, a folder each, under DVC; `models adopt` and `round open` write them."""
BASE_CARDS = MODELS / "base.json"
"""Their cards, in git."""
NEXT_MODELS = MODELS / "next"
"""Models of the next round, under DVC; retrain writes them."""
NEXT_CARDS = MODELS / "next.json"
"""Their cards, in git; retrain writes it."""
BASE_ATTENTION = MODELS / "attention"
"""What attention is learned from, and the model of errors if there is one, under DVC; `round open` writes it."""
BASE_JUDGED_CELLS = BASE_ATTENTION / "judged"
"""Cells of cases of the pool that people judged in the rounds before, a file a case and round."""
BASE_ERROR_MODEL = BASE_ATTENTION / "errors"
"""The model of errors that was learned from them."""
NEXT_ATTENTION = MODELS / "attention_next"
"""The same with what was judged in this round, under DVC; learn writes it."""
NEXT_JUDGED_CELLS = NEXT_ATTENTION / "judged"
NEXT_ERROR_MODEL = NEXT_ATTENTION / "errors"

# Reports, in git.

REPORTS = Path("reports")
CASE_COUNTS = REPORTS / "cases.json"
"""Dataset, round and counts of cases; the cases stage writes it."""
ROUND_REPORT = REPORTS / "round.html"
"""The report that people read; evaluate writes it, as all that follows unless another stage is named."""
WORTH = REPORTS / "worth.json"
"""What cohorts were last found to be worth, in git; `cohort worth` writes it."""
WORTH_PAGE = REPORTS / "worth.html"
"""The same to read."""
WORTH_PIPELINE = Path("pipelines") / "worth" / "dvc.yaml"
"""Its trainings as stages of DVC, with a table of Dice from each beside it, in git; `cohort worth` writes it."""
METRICS = REPORTS / "metrics.json"
TEST_CASES = REPORTS / "cases.csv"
"""Metrics by test case and class."""
HISTORY = REPORTS / "history.csv"
"""Test results of this round and those before; becomes `BASE_HISTORY`."""
ERRORS = REPORTS / "errors.csv"
"""Errors that people found in this round and those before; becomes `BASE_ERRORS`."""
DRAWN = REPORTS / "drawn.csv"
"""What readers drew in this round and those before, and their minutes; becomes `BASE_DRAWN`."""
JUDGED = REPORTS / "judged.csv"
"""What masks were found to be worth in this round and those before; becomes `BASE_JUDGED`."""
QUALITY_FOUND = REPORTS / "quality.json"
"""How far predicted quality was off."""
HINDSIGHT = REPORTS / "attention.json"
"""Whether attention pointed where people then changed something, and what the blind audit found."""
READER_PAIRS = REPORTS / "readers.csv"
"""How far every two readers of a case agree on a mask, and each of them with every model."""
READERS = REPORTS / "readers.json"
"""Agreement of readers in this round, and their minutes against the length of what they drew."""
DETECTION = REPORTS / "detection.json"
"""Sensitivity and false positives after filtering; filter writes it."""
SECTIONS = REPORTS / "sections"
"""Parts of the report, written by the stage that they speak of."""
FILTER_SECTION = SECTIONS / "filter.html"
SCORE_SECTION = SECTIONS / "score.html"
HINDSIGHT_SECTION = SECTIONS / "hindsight.html"
READERS_SECTION = SECTIONS / "readers.html"
PLOTS = REPORTS / "plots"
"""Tables that `dvc plots show` draws."""
FROC_PLOT = PLOTS / "froc.csv"
"""Calibrate writes it."""
ATTENTION_PLOT = PLOTS / "attention.csv"
"""Score writes it."""
LEARNING_CURVE_PLOT = PLOTS / "learning_curve.csv"
CLASS_DICE_PLOT = PLOTS / "class_dice.csv"

# What may be deleted at any time.

MEMO = Path(".memo")
"""What `casemap` remembers of each case, in neither git nor DVC."""
HASHES = MEMO / "hashes.json"
"""SHA-256 of files of the dataset as they were when somebody read them last."""
USED = MEMO / "used"
"""Which of what is remembered each stage used when it ran last."""
INTAKE = MEMO / "cases"
"""What `cases add` works on until it is done."""
INTAKE_STAGING = INTAKE / "staging"
"""Images and labels written anew, before any of them goes to its place."""
INTAKE_WRITTEN = INTAKE / "written.jsonl"
"""Which of them was written from what."""
INTAKE_JOURNAL = INTAKE / "adding.json"
"""Cases that are being written; gone once they are registered and under version control."""

# Groups.

NOT_IN_MANIFEST = (MANIFEST, SIGNATURE, STATEMENT)
"""The manifest, and what is made of it."""
INPUTS = (IMAGES, WEAK, BASE_LABELS, BASE_REVISIONS, BASE_MODELS, BASE_ATTENTION)
"""Folders that a round starts from, under DVC; a new repository has them empty."""
CARRIED = (BASE_HISTORY, BASE_ERRORS, BASE_DRAWN, BASE_JUDGED, BASE_READINGS, CONFIRMED)
"""Tables that go on from round to round; empty in a new repository."""
WRITTEN_BY_STAGES = (ROUND, RELEASE, REPORTS, NEXT_MODELS, NEXT_CARDS, NEXT_ATTENTION)
"""Where the stages of a round write."""
TEMPLATE = (
    *(PIPELINE, PARAMS, SCHEMA, REVIEWERS, DATASET_DESCRIPTION, ALGORITHMS, STAGES),
    *(IGNORED, IGNORED_BY_DVC, ATTRIBUTES, INBOX_README),
)
"""What `voxledger init` copies from the project."""


def is_written_by_stages(path: Path | str) -> bool:
    """Whether a path lies where the stages of a round write: the next run makes it again."""
    return any(Path(path).is_relative_to(made) for made in WRITTEN_BY_STAGES)


def label_map(folder: Path, case_id: str) -> Path:
    """The label map, image or mask of a case in one of the folders that hold one a case."""
    return folder / f"{case_id}.nii.gz"


def weak_marks(case_id: str) -> Path:
    """Weak labels of a case that are no label map."""
    return WEAK / f"{case_id}.json"


def attention(case_id: str) -> Path:
    """Voxels of a case that are likely wrong, by class and criterion, see `voxledger.imaging.attention_file`."""
    return ATTENTION / f"{case_id}.b2nd"


def heat(case_id: str) -> Path:
    """Heat map of a case's attention."""
    return ATTENTION / f"{case_id}_heat.nii.gz"


def dvc_file(path: Path) -> Path:
    """The small file in git by which DVC knows a folder or file that no stage writes."""
    return path.with_name(f"{path.name}.dvc")


def dvc_files() -> list[Path]:
    """Those of all inputs, sorted by folder; those of the inbox are left out."""
    return [path for folder in (DATA, BASE, MODELS) for path in sorted(folder.glob("*.dvc"))]


def exported(number: int) -> list[Path]:
    """Bundles that export made for a round, sorted."""
    return sorted(BUNDLES.glob(f"bundle-r{number:02d}-*"))


def export_note(number: int) -> Path:
    """When the bundles of a round went out first."""
    return TIMES / f"export-r{number:02d}.json"


def export_notes() -> list[Path]:
    """Those of all rounds that are here, sorted."""
    return sorted(TIMES.glob("export-*.json"))


def return_note(bundle: str) -> Path:
    """When returns of a bundle came in, by its name."""
    return TIMES / f"{bundle}.json"


def return_notes(number: int) -> list[Path]:
    """Those of the bundles of a round, sorted."""
    return sorted(TIMES.glob(f"bundle-r{number:02d}-*.json"))


def sent_note(bundle: str, sending: str) -> Path:
    """That a bundle was sent somewhere, by a short name of this sending."""
    return EXCHANGE / f"sent-{bundle}-{sending}.json"


def sent_notes() -> list[Path]:
    """Those of all sendings, sorted."""
    return sorted(EXCHANGE.glob("sent-*.json"))


def fetched_note(upload: str) -> Path:
    """That an upload was fetched, by its short name."""
    return EXCHANGE / f"fetched-{upload}.json"


def run_note(number: int) -> Path:
    """When and by what a round was run."""
    return TIMES / f"run-r{number:02d}.json"


def returned() -> list[Path]:
    """What lies in the inbox under the name of a bundle, sorted: folders, `.dvc` files, and what people put there."""
    return sorted(INBOX.glob("bundle-*"))
