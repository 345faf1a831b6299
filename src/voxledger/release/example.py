"""A release that descriptions are shown with in their examples."""

from __future__ import annotations

from voxledger import layout
from voxledger.params import Params
from voxledger.records.card import ModelCard
from voxledger.records.cases import Case, Split
from voxledger.records.dataset_description import DatasetDescription
from voxledger.records.ledger import Entry, Origin
from voxledger.records.manifest import Manifest
from voxledger.records.reviewers import Reviewer
from voxledger.release.facts import Facts
from voxledger.schema import LabelClass, LabelSchema


def example_facts() -> Facts:
    """Of one case, `case-7`, in which ann accepted the liver that the model unet had drawn; reads no file."""
    image, labels = (layout.label_map(f, "case-7") for f in (layout.IMAGES, layout.RELEASE_LABELS))
    case = Case("case-7", image.as_posix(), "1" * 64, "", "site-a", "CC-BY-4.0", Split.POOL, "CT", "")
    card = ModelCard(
        id="2" * 64, name="unet", backend="nnunet", architecture="U-Net", strategy="full", cohort="", parent="",
        params={}, licence="CC-BY-4.0", round=1,
    )  # fmt: skip
    entry = Entry("case-7", "liver", 1, Origin.ACCEPTED, (card.id,), "ann", "3" * 64, "4" * 64, "", 1500.0)
    files = dict.fromkeys((labels, layout.RELEASE_LEDGER, layout.CASES, layout.SCHEMA), "5" * 64)
    return Facts(
        Params(dataset="abdomen", round=1, licence="CC-BY-4.0"),
        DatasetDescription(title="Abdomen of one hospital", purpose="To show what a description is."),
        LabelSchema(name="abdomen", classes=(LabelClass(id=1, name="liver"),)),
        [case],
        {(entry.case_id, entry.class_name): entry},
        [],
        {"ann": Reviewer(qualification="radiologist")},
        {card.id: card},
        [card],
        [],
        [],
        {},
        Manifest("abdomen", 1, "v1.0.0", {path.as_posix(): digest for path, digest in files.items()}),
    )
