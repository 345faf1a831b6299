"""The model folder: ids, cards, and what happens when a byte is altered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.volume import file_sha256
from voxledger.records.card import (
    DATASET,
    PLANS,
    WEIGHTS,
    ModelCard,
    Source,
    check_model,
    list_models,
    load_weights,
    parse_cards,
    read_card,
    read_cards,
    save_weights,
    write_card,
)

torch = pytest.importorskip("torch")


def network(width: int = 3) -> object:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv3d(1, width, 1), torch.nn.BatchNorm3d(width))


def save(folder: Path) -> Path:
    """A model folder with a small network of any kind."""
    folder.mkdir(parents=True)
    (folder / PLANS).write_text("{}\n")
    (folder / DATASET).write_text('{"labels": {}}\n')
    card = ModelCard(
        id=save_weights(folder, network()),
        name=folder.name,
        backend="monai",
        architecture="",
        strategy="full",
        cohort="",
        parent="",
        params={},
        licence="CC0-1.0",
        round=2,
    )
    write_card(folder, card)
    return folder


def test_a_card_of_a_newer_format_is_told_from_a_damaged_one(tmp_path: Path):
    folder = save(tmp_path / "a")
    card = json.loads((folder / "model.json").read_text())
    assert card["format"] == 4
    (folder / "model.json").write_text(json.dumps(card | {"format": 5, "vendor": "x"}))
    with pytest.raises(Misuse, match=r"a/model\.json has format 5"):
        read_card(folder)
    with pytest.raises(Misuse, match=r"models/base\.json at round-07 has format 5"):
        parse_cards(json.dumps([card | {"format": 5}]), "models/base.json at round-07")
    (folder / "model.json").write_text(json.dumps(card | {"vendor": "x"}))
    with pytest.raises(VoxledgerError, match=r"a/model\.json is not a model card: vendor"):
        read_card(folder)


def test_a_card_of_format_1_has_no_source(tmp_path: Path):
    folder = save(tmp_path / "a")
    card = json.loads((folder / "model.json").read_text())
    older = {name: value for name, value in card.items() if name not in ("format", "source", "taught_by", "ladder")}
    (folder / "model.json").write_text(json.dumps(older))
    assert read_card(folder).source is None
    todays = older | {"source": None, "taught_by": {}, "ladder": None}
    assert parse_cards(json.dumps([older, older | {"format": 1}]), "models/base.json") == [todays] * 2


def test_cards_of_a_table_are_those_of_the_folders(tmp_path: Path):
    card = read_card(save(tmp_path / "a"))
    theirs = Source(name="Theirs", version="2", training_set="their scans", classes={"Liver": "liver"})
    card = card.model_copy(update={"source": theirs, "taught_by": {"liver": {"people": 2}}})
    write_card(tmp_path / "a", card)
    table = json.dumps([json.loads((tmp_path / "a/model.json").read_text())])
    assert read_cards(table, "models/next.json") == [card] == list_models(tmp_path)


def test_the_id_is_the_hash_of_the_weights_and_repeats(tmp_path: Path):
    a, b = save(tmp_path / "a"), save(tmp_path / "b")
    assert check_model(a).id == file_sha256(a / WEIGHTS) == check_model(b).id


def test_weights_come_back_as_they_were(tmp_path: Path):
    folder = save(tmp_path / "a")
    other = torch.nn.Sequential(torch.nn.Conv3d(1, 3, 1), torch.nn.BatchNorm3d(3))
    load_weights(folder, other)
    for name, tensor in network().state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])


def test_weights_of_another_network_are_refused(tmp_path: Path):
    with pytest.raises(VoxledgerError, match=r"a/weights.safetensors does not fit the network"):
        load_weights(save(tmp_path / "a"), network(width=4))


@pytest.mark.parametrize("name", [WEIGHTS, PLANS, DATASET])
def test_one_altered_byte_is_found_and_its_file_named(tmp_path: Path, name: str):
    folder = save(tmp_path / "a")
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(VoxledgerError, match=f"a/{name} does not fit"):
        check_model(folder)


@pytest.mark.parametrize("name", [WEIGHTS, PLANS])
def test_a_missing_file_is_named(tmp_path: Path, name: str):
    folder = save(tmp_path / "a")
    (folder / name).unlink()
    with pytest.raises(VoxledgerError, match=f"a/{name}"):
        check_model(folder)


def test_a_pickle_in_place_of_weights_is_never_loaded(tmp_path: Path):
    folder = save(tmp_path / "a")
    torch.save({"x": torch.zeros(1)}, folder / WEIGHTS)
    write_card(folder, read_card(folder).model_copy(update={"id": file_sha256(folder / WEIGHTS)}))
    with pytest.raises(VoxledgerError, match="was not written by voxledger"):
        check_model(folder)


def test_models_are_listed_by_name_and_strangers_refused(tmp_path: Path):
    assert list_models(tmp_path / "none") == []
    for name in ("b", "a"):
        save(tmp_path / "models" / name)
    (tmp_path / "models" / ".gitkeep").touch()
    assert [c.name for c in list_models(tmp_path / "models")] == ["a", "b"]
    (tmp_path / "models" / "a").rename(tmp_path / "models" / "c")
    with pytest.raises(VoxledgerError, match="the card of a, not of c"):
        list_models(tmp_path / "models")


@pytest.mark.parametrize("name", ["../x", "A", "", ".a", "a/b"])
def test_names_that_could_leave_the_folder_are_no_names(tmp_path: Path, name: str):
    card = read_card(save(tmp_path / "a"))
    with pytest.raises(ValueError, match="name"):
        ModelCard.model_validate({**card.model_dump(), "name": name})


def test_plans_cannot_call_foreign_code():
    pytest.importorskip("nnunetv2")
    from voxledger.models.nnunet.network import build_network
    from voxledger.models.nnunet.stages import FULLRES

    architecture = {"network_class_name": "os.system", "arch_kwargs": {}, "_kw_requires_import": []}
    plans = {"configurations": {FULLRES: {"architecture": architecture}}}
    dataset = {"channel_names": {"0": "CT"}, "labels": {"background": 0}}
    with pytest.raises(VoxledgerError, match="not nnU-Net's"):
        build_network(plans, dataset, FULLRES, deep_supervision=False)
    architecture.update(
        network_class_name="dynamic_network_architectures.architectures.unet.PlainConvUNet",
        arch_kwargs={"conv_op": "os.system"},
        _kw_requires_import=["conv_op"],
    )
    with pytest.raises(VoxledgerError, match="not nnU-Net's"):
        build_network(plans, dataset, FULLRES, deep_supervision=False)
