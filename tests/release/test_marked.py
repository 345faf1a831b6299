"""Models that learned from a patient who was withdrawn since."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import run

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.models.cohort import cohort_sha256
from voxledger.records.card import FORMAT, ModelCard, to_json, write_card
from voxledger.records.formats import numbered
from voxledger.records.withdrawn import Withdrawn, names_of_return, read_withdrawn, write_withdrawn
from voxledger.release.all_versions import learned_from
from voxledger.release.marked import keep, marked, note_of, require_settled
from voxledger.release.trace import _model as traced_model
from voxledger.textfile import replace_text

COHORT = "case_id,image_sha256,class_name,origin,mask_sha256\n"


def card(name: str, model_id: str, cohort: str = "", parent: str = "") -> ModelCard:
    return ModelCard(
        id=model_id, name=name, backend="monai", architecture="", strategy="full", cohort=cohort, parent=parent,
        params={}, licence="", round=0,
    )  # fmt: skip


@pytest.fixture
def repository(folder: Path) -> Path:
    """Round 0 taught `unet` and `lung`; round 1 tuned `unet` and trained `lung` anew."""
    run("git", "init", "--quiet")
    for path in (layout.PIPELINE, layout.PARAMS, Path(".dvc/config")):
        replace_text(path, "")
    for case, models in (("p10", ("lung-0",)), ("p1", ("unet-0", "lung-1"))):
        replace_text(layout.COHORT, f"{COHORT}{case},0,organ,source,0\n")
        digest = cohort_sha256(layout.COHORT.read_text())
        cards = [card(m.partition("-")[0], m, digest) for m in models]
        if case == "p1":
            cards.append(card("unet", "unet-1", "another", "unet-0"))
        replace_text(layout.NEXT_CARDS, to_json([numbered(c.model_dump(), FORMAT) for c in cards]))
        run("git", "add", "--all")
        run("git", "commit", "--quiet", "--message", f"A round on {case}")
    write_card(layout.NEXT_MODELS / "unet", cards[-1])
    write_card(layout.NEXT_MODELS / "lung", card("lung", "lung-2", "third"))
    return folder


def test_who_learned_from_a_case_is_told_from_history(repository: Path) -> None:
    assert learned_from({"p1"}) == ("lung-1", "unet-0", "unet-1")
    assert learned_from({"p10"}) == ("lung-0",)
    assert learned_from({"p"}) == ()


def test_a_marked_model_is_kept_on_record_or_not_released(repository: Path) -> None:
    require_settled()
    write_withdrawn(
        [Withdrawn("w-1", ("w-2",), 1, "ann", "2026-03-01", "asked", ("unet-0",), (("a", "b"), ("b", "c")))]
    )
    (row,) = read_withdrawn()
    assert (row.models, row.returns) == (("unet-0",), (("a", "b"), ("b", "c")))
    assert names_of_return("c", [row]) == {"a", "b", "c"}
    assert marked().keys() == {"unet-0", "unet-1"}
    assert note_of("unet-1") == "learned from 1 patient who was withdrawn (2026-03-01); not settled"
    assert note_of("lung-2") == ""
    assert traced_model("unet-1", {}, None)["withdrawn"] == note_of("unet-1")
    assert "withdrawn" not in traced_model("lung-2", {}, None)
    with pytest.raises(VoxledgerError, match=r"unet \(unet-1\): learned from a patient"):
        require_settled()
    for name, reason in (("lung", "why not"), ("unet", " ")):
        with pytest.raises(Misuse):
            keep(name, reason)
    assert keep("unet", "the board agreed").model_id == "unet-1"
    require_settled()
    assert "kept by test on 20" in note_of("unet-1")
    with pytest.raises(Misuse, match="there is nothing to keep"):
        keep("unet", "again")
