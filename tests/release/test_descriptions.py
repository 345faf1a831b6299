"""Descriptions of a release, read by the tools that others read them with, without the network."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import mlcroissant
import numpy as np
import pytest
from commands import run
from huggingface_hub import DatasetCard, ModelCard
from ruamel.yaml import YAML
from small_round import MODELS, repo, template

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.imaging.volume import file_sha256, read
from voxledger.records.card import FORMAT, WEIGHTS, Source, to_json, write_card
from voxledger.records.card import ModelCard as Card
from voxledger.records.cases import write_cases
from voxledger.records.dataset_description import DatasetDescription, read_dataset_description
from voxledger.records.formats import numbered
from voxledger.records.history import HistoryRow, write_history
from voxledger.records.ledger import Origin, read_ledger, write_ledger
from voxledger.records.manifest import Manifest, write_manifest
from voxledger.records.overrides import Override, write_overrides
from voxledger.records.readings import write_readings
from voxledger.records.withdrawn import Withdrawn, write_withdrawn
from voxledger.registry import DESCRIPTIONS
from voxledger.release.describe import described, write_descriptions, write_statement
from voxledger.release.facts import read_facts
from voxledger.release.handover import hand_over

from .validators import STATEMENT, compare_masks, crate_problems

__all__ = ["repo", "template"]

TEXT = """\
title: Abdomen, small
summary: Four volumes that somebody drew.
creators:
  - {name: Ann Example, affiliation: Example Hospital, orcid: 0000-0002-1825-0097}
contact: ann@example.org
url: https://example.org/abdomen
""" + "".join(
    f"{name}: 'an answer: {name}'\n"
    for name in DatasetDescription.model_fields
    if name not in ("title", "summary", "creators", "contact", "url", "mr_contrast")
)
CLOSED = {"at": "2026-03-02T10:00:00+00:00", "environment": {"voxledger": {"version": "0.3.9"}}}
REVIEWERS = "reviewers:\n  alice: {affiliation: Example Hospital, qualification: radiologist}\n"


@pytest.fixture
def released(repo: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The small round, imported: one case that a reader revised, rejected and accepted classes of."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    repo.export(("case_1", "pancreas", "alice"), ("case_1", "lesion", "alice"))
    repo.give_back("alice", case_1={"lesion": "reject"})
    repo.gate()
    repo.take_in()
    write_cases(layout.CASES, [replace(c, source="site-a", licence="CC-BY-4.0") for c in repo.cases])
    cards = [
        Card(
            id=model_id, name=f"model-{number}", backend="monai", architecture="UNet", strategy="full", cohort="",
            parent="", params={}, licence="CC BY-NC 4.0", round=1,
        )
        for number, model_id in enumerate(MODELS)
    ]  # fmt: skip
    for card in cards:
        write_card(layout.NEXT_MODELS / card.name, card)
    write_cards(cards)
    layout.PARAMS.write_text('{"dataset": "small", "round": 1, "licence": "CC-BY-4.0"}')
    layout.SCHEMA.write_text(json.dumps(repo.schema.model_dump(mode="json")))
    layout.DATASET_DESCRIPTION.write_text(TEXT)
    layout.REVIEWERS.write_text(REVIEWERS)
    allowed = [
        Override(MODELS[0], "CC BY-NC 4.0", "CC-BY-4.0", "the curator", "2026-03-01T00:00:00", "written permission")
    ]
    write_overrides(layout.LICENCES, allowed)
    return repo


def write_cards(cards: list[Card]) -> None:
    layout.NEXT_CARDS.write_text(to_json([numbered(card.model_dump(), FORMAT) for card in cards]))


def write_all() -> None:
    """What `round close` writes."""
    names = [p.as_posix() for p in write_descriptions()]
    models = [p.as_posix() for p in layout.NEXT_MODELS.rglob("*") if p.is_file()]
    files = {name: file_sha256(name) for name in [*names, *models, layout.RELEASE_LEDGER.as_posix()]}
    write_manifest(layout.MANIFEST, Manifest("small", 1, "v1.0.0", files, CLOSED))
    write_statement()


MEASURED = HistoryRow(
    round=1, set="test", stage="next", model="unet", dice=0.812, low=0.7, high=0.9, n=4, share_labelled=0.25,
    cases_reviewed=1, minutes=2.5, minutes_total=10.0, cases_trusted_by_review=1, scratch_minutes_total=90.0,
    audited=None, audited_with_errors=None, audited_population="", decisions=None, decisions_timed=None,
    cases_complete=None, cases_partly=None, classes=("liver",), gain=None, gain_pairs=None,
)  # fmt: skip
NOT_MEASURED = replace(MEASURED, dice=None, low=None, high=None, n=0, classes=())
PLACES = pytest.mark.parametrize("place", ["repository", "export"])


def folder(place: str) -> Path:
    """The folder of the descriptions."""
    if place == "repository":
        write_all()
        return layout.RELEASE
    hand_over(Path("out"), "nifti")
    return Path("out")


@PLACES
def test_croissant_yields_records_whose_masks_hash_as_the_ledger_says(released: Any, place: str) -> None:
    here = folder(place)
    compared, wrong = compare_masks(here / "croissant.json", released.schema)
    assert wrong == []
    assert compared == len([entry for entry in read_ledger(layout.RELEASE_LEDGER).values() if entry.mask_sha256])
    records = mlcroissant.Dataset(str(here / "croissant.json")).records("images-records")
    images = {r["images/case_id"].decode(): r["images/nifti"] for r in records}
    assert images == {c.case_id: Path(c.image).read_bytes() for c in released.cases}


@pytest.mark.parametrize("changed", ["images", "labels"])
def test_croissant_finds_a_file_that_is_another(released: Any, changed: str) -> None:
    path = sorted((folder("export") / changed).iterdir())[0]
    path.write_bytes(gzip.compress(b"another"))
    with pytest.raises(Exception, match="error") as refused:
        list(mlcroissant.Dataset("out/croissant.json").records(f"{changed}-records"))
    assert "is not identical with the reference in the Croissant" in str(refused.value.__cause__)


def test_croissant_has_what_responsible_ai_asks_for(released: Any) -> None:
    metadata = mlcroissant.Dataset(str(folder("export") / "croissant.json")).metadata
    assert "4 CT volumes of site-a, licence CC-BY-4.0" in metadata.data_collection
    assert "1 masks were rejected by a reader and are not in the label maps." in metadata.data_annotation_protocol
    assert metadata.annotator_demographics == ["alice (Example Hospital, radiologist): 2 masks."]
    assert "2 masks by 1 readers" in metadata.annotations_per_item
    assert [text.split(",")[0] for text in metadata.machine_annotation_tools] == ["model-0 (UNet)", "model-1 (UNet)"]
    assert metadata.data_biases == ["an answer: biases"]
    assert any("No reader of this dataset looked at" in text for text in metadata.data_limitations)
    assert metadata.conforms_to[1] == "http://mlcommons.org/croissant/RAI/1.0"
    raw = json.loads(Path("out/croissant.json").read_text())
    assert any("allowed by the curator on 2026-03-01: written permission" in text for text in raw["rai:licences"])


@pytest.mark.slow
@PLACES
def test_roc_validator_takes_the_crate(released: Any, place: str) -> None:
    crate = folder(place)
    assert crate_problems(crate) == []
    path = crate / "ro-crate-metadata.json"
    found = json.loads(path.read_text())
    for entity in found["@graph"]:
        entity.pop("instrument", None)
    path.write_text(json.dumps(found))
    assert any("MUST have an instrument" in text for text in crate_problems(crate))


def test_the_crate_says_who_decided_what(released: Any) -> None:
    graph = {e["@id"]: e for e in json.loads((folder("export") / "ro-crate-metadata.json").read_text())["@graph"]}
    assert graph["#review-1-alice"]["agent"] == {"@id": "#reader-alice"}
    assert graph["#review-1-alice"]["description"] == "Decisions on masks: 1 accept, 1 reject."
    assert graph["#reader-alice"]["description"] == "Example Hospital, radiologist"
    assert graph["labels/case_1.nii.gz"]["identifier"] == f"sha256:{file_sha256('out/labels/case_1.nii.gz')}"


def test_the_statement_names_the_manifest(released: Any) -> None:
    assert DESCRIPTIONS.get("statement")(read_facts()) == {}
    write_all()
    statement = json.loads(layout.STATEMENT.read_text())
    jsonschema.validate(statement, STATEMENT)
    assert statement["subject"] == [{"name": "manifest.json", "digest": {"sha256": file_sha256(layout.MANIFEST)}}]
    named = {
        one["name"]: one["digest"]["sha256"]
        for one in statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    }
    assert named["data/cases.csv"] == file_sha256(layout.CASES)
    assert named["model model-0"] == MODELS[0]
    run_details = statement["predicate"]["runDetails"]
    assert run_details["builder"]["version"] == {"voxledger": "0.3.9"}
    assert run_details["metadata"]["finishedOn"] == CLOSED["at"]


@pytest.mark.parametrize("said", [TEXT, ""])
def test_the_citation_fits_its_schema(released: Any, said: str) -> None:
    layout.DATASET_DESCRIPTION.write_text(said)
    path = folder("export") / "CITATION.cff"
    run("check-jsonschema", "--builtin-schema", "vendor.citation-file-format", str(path))
    cited = YAML(typ="safe").load(path.read_text())
    assert cited["authors"][0]["name"] == ("Ann Example" if said else "The curators of small")
    assert cited["license"] == "CC-BY-4.0"


def test_cards_are_read_by_the_hub(released: Any) -> None:
    out = folder("export")
    card = DatasetCard.load(out / "README.md")
    assert (card.data.license, card.data.pretty_name) == ("cc-by-4.0", "Abdomen, small")
    assert card.data.annotations_creators == ["expert-generated", "found", "machine-generated"]
    assert "images: `images/`" in card.text
    model = ModelCard.load(out / "model_cards/model-0.md")
    assert model.data.license == "cc-by-nc-4.0"
    assert MODELS[0] in model.text
    assert "withdrawn since" not in model.text


def next_model(name: str, weights: bytes = b"", **said: Any) -> Card:
    """A model of the next round; one without weights is known by its predictions."""
    home = layout.NEXT_MODELS / name
    home.mkdir(parents=True)
    if weights:
        (home / WEIGHTS).write_bytes(weights)
    told = {"backend": "monai", "architecture": "UNet", "strategy": "full", "cohort": "", "params": {}} | said
    model_id = file_sha256(home / WEIGHTS) if weights else f"{name}-1"
    card = Card(id=model_id, name=name, parent="", licence="MIT", round=1, **told)
    write_card(home, card)
    return card


def test_every_model_that_the_next_round_begins_with_has_a_card(released: Any) -> None:
    """One that was trained, one from elsewhere that went on, and predictions; not one that was removed."""
    shutil.rmtree(layout.NEXT_MODELS)
    theirs = Source(name="Theirs", version="2", training_set="their scans", classes={"Liver": "liver"})
    adopted = next_model("organs", b"organs", strategy="adopted", source=theirs)
    predicted = {"cases": 2, "classes": ["liver"], "predictions": "0" * 64}
    drawn = next_model("drawn", backend="precomputed", architecture="", strategy="", params=predicted)
    tuned = next_model("unet", b"tuned", strategy="finetune", cohort="c" * 64)
    before = tuned.model_copy(update={"id": "f" * 64, "strategy": "adopted", "source": theirs, "cohort": ""})
    removed = before.model_copy(update={"id": "0" * 64, "name": "removed"})
    write_cards([adopted, drawn, tuned, before, removed])
    layout.HISTORY.parent.mkdir()
    write_history(layout.HISTORY, [replace(NOT_MEASURED, model="organs"), MEASURED])
    pages = DESCRIPTIONS.get("model_cards")(read_facts())
    found = {Path(name).stem: ModelCard(text) for name, text in pages.items()}
    assert found.keys() == {"organs", "drawn", "unet"}
    assert all(card.id in found[card.name].text for card in (adopted, drawn, tuned))
    assert [found[name].data.datasets for name in ("organs", "drawn", "unet")] == [None, None, ["small"]]
    assert "| test | 0.812 (0.700 to 0.900) | 4 | liver |" in found["unet"].text
    for name in ("organs", "drawn"):
        assert "It was not measured on test cases." in found[name].text
    assert "| trained elsewhere on | their scans |" in found["organs"].text
    assert "no weights" in found["drawn"].text
    write_all()
    shutil.rmtree(layout.NEXT_MODELS)
    assert DESCRIPTIONS.get("model_cards")(read_facts()) == pages


def test_masks_that_came_with_the_images_are_not_said_to_be_of_a_machine(released: Any) -> None:
    ledger = read_ledger(layout.RELEASE_LEDGER)
    sources = {key: entry for key, entry in ledger.items() if entry.origin is Origin.SOURCE}
    assert 0 < len(sources) < len(ledger)
    write_ledger(layout.RELEASE_LEDGER, sources, released.schema.names)
    write_readings(layout.RELEASE_READINGS, [])
    texts = described(read_facts())
    assert DatasetCard(texts[layout.RELEASE / "README.md"]).data.annotations_creators == ["found"]
    graph = {e["@id"]: e for e in json.loads(texts[layout.RELEASE / "ro-crate-metadata.json"])["@graph"]}
    assert graph["./"]["mentions"] == {"@id": "#round-1"}  # RO-Crate wants one by itself, not in a list
    write_ledger(layout.RELEASE_LEDGER, {}, released.schema.names)
    none = described(read_facts())[layout.RELEASE / "README.md"]
    assert DatasetCard(none).data.annotations_creators == ["no-annotation"]


def test_the_card_of_a_marked_model_says_so(released: Any) -> None:
    write_withdrawn([Withdrawn("w-1", ("w-2",), 1, "ann", "2026-03-01T10:00:00+00:00", "asked", (MODELS[0],))])
    text = (folder("export") / "model_cards/model-0.md").read_text()
    assert "| withdrawn since | learned from 1 patient who was withdrawn (2026-03-01); not settled |" in text


def test_what_only_people_can_say_is_asked_for_by_name(released: Any) -> None:
    assert read_facts().missing() == {}
    layout.DATASET_DESCRIPTION.unlink()
    layout.REVIEWERS.unlink()
    layout.PARAMS.write_text('{"dataset": "small", "round": 1}')
    missing = read_facts().missing()
    asked = {f"dataset.yaml: {name}" for name in DatasetDescription.model_fields if name != "mr_contrast"}
    assert missing.keys() == asked | {"params.yaml: licence", "reviewers.yaml: alice"}
    sheet = described(read_facts())[layout.RELEASE / "datasheet.md"]
    for name in ("purpose", "funding", "consent", "ethics", "maintenance"):
        assert f"*Not said (dataset.yaml, `{name}`): {missing[f'dataset.yaml: {name}']}*" in sheet
    said = described(read_facts())[layout.RELEASE / "README.md"]
    assert "license: unknown" in said
    assert all(question in said for question in missing.values())


def test_every_answer_is_in_a_description(released: Any) -> None:
    texts = "".join(described(read_facts()).values())
    for name in DatasetDescription.model_fields:
        if name not in ("title", "summary", "creators", "contact", "url", "mr_contrast"):
            assert f"an answer: {name}" in texts, name
    assert "ann@example.org" in texts


def test_an_emulated_reader_is_no_expert(repo: Any, released: Any) -> None:
    facts = read_facts()
    bundle = facts.readings[0].bundle
    (layout.RELEASE_REVISIONS / bundle / "emulated.json").write_text("{}")
    texts = described(read_facts())
    assert "machine-generated" in texts[layout.RELEASE / "README.md"]
    assert "no person, but a program" in texts[layout.RELEASE / "datasheet.md"]
    graph = {e["@id"]: e for e in json.loads(texts[layout.RELEASE / "ro-crate-metadata.json"])["@graph"]}
    assert "#reader-alice" not in graph
    assert graph["#review-1-alice"]["agent"] == {"@id": "#curators"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("purpos: a typing error\n", r"dataset\.yaml: line 1, purpos: "),
        ("title: a\ncreators:\n  - {name: Ann, orcid: 12}\n", r"line 3, creators\.0\.orcid"),
        ("title: [\n", r"dataset\.yaml"),
    ],
)
def test_a_wrong_entry_is_named(released: Any, text: str, said: str) -> None:
    layout.DATASET_DESCRIPTION.write_text(text)
    with pytest.raises(Misuse, match=said):
        read_dataset_description()


def test_the_template_asks_every_question() -> None:
    text = (Path(__file__).parents[2] / layout.DATASET_DESCRIPTION).read_text()
    answered = re.sub("^# ", "", text[text.index("# title") :], flags=re.MULTILINE)
    said = YAML(typ="safe").load(answered)
    assert list(said) == list(DatasetDescription.model_fields)
    assert {n: said[n] for n in said if n not in ("title", "creators", "mr_contrast")}.items() <= {
        n: field.description for n, field in DatasetDescription.model_fields.items()
    }.items()
    DatasetDescription.model_validate(said)


def test_a_layout_with_other_files_names_none_of_them(released: Any) -> None:
    """Masks in DICOM are not the label maps that the ledger and the manifest speak of."""
    hand_over(Path("out"), "by_class")
    found = json.loads(Path("out/croissant.json").read_text())
    assert [one["@id"] for one in found["distribution"]] == ["ledger.csv", "cases.csv"]
    assert [one["@id"] for one in found["recordSet"]] == ["masks-records", "cases-records"]


def test_plain_python_reads_what_the_card_says(released: Any) -> None:
    out = folder("export")
    ids = dict(re.findall(r"(\d+) (\w+)", re.search(r"\n\* classes: (.*)", (out / "README.md").read_text())[1]))  # type: ignore[index]
    labels = read(out / "labels/case_1.nii.gz").array
    assert {int(i): name for i, name in ids.items()} == {c.id: c.name for c in released.schema.classes}
    assert set(np.unique(labels)) - {0} <= set(map(int, ids))
