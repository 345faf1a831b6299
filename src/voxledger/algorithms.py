"""The version of what every stage computes. Raise one where the same input gives another result.

Memo keys have the versions of what a job computes with in them; `algorithms.yaml` in a curation repository has those
of the voxledger that its round is computed with, so that DVC runs a stage again whose version rose.
"""

from __future__ import annotations

VERSIONS = {
    "intake": 2,
    "cases": 1,
    "infer": 4,
    "precomputed": 2,
    "calibrate": 2,
    "filter": 4,
    "features": 1,
    "score": 1,
    "export": 1,
    "gate": 1,
    "import": 4,
    "retrain": 3,
    "hindsight": 2,
    "evaluate": 1,
    "tune": 2,
}
