"""A model beside the page: it answers as it does without, and what does not fit is refused by name."""

from __future__ import annotations

import http.client
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interactive import opened, train_tiny, write_bundle, write_folder
from small_cases import GRID, SCHEMA, Small

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.boxes import bounding_box
from voxledger.imaging.volume import read, read_label, write
from voxledger.loopback import TOKEN
from voxledger.models.adopt import Said, adopt_model
from voxledger.models.backend import backend_of
from voxledger.models.interaction import Click
from voxledger.models.model import open_models
from voxledger.models.nninteractive.predict import open_session
from voxledger.models.numbering import Numbering
from voxledger.params import MachineParams, ModelParams, RetrainParams
from voxledger.records.bundle import Manifest
from voxledger.retrain.run import retrain_round
from voxledger.review.answers import Answers, from_runs, to_runs
from voxledger.review.serve import Server
from voxledger.weak.prompt import Prompt

BUNDLE = Path("bundle-r01-alice")
CLICKS = ModelParams(
    backend="clicks", network="unet", patch=(8, 16, 16), features=(4, 8), iterations=20, learning_rate=0.02
)


@pytest.fixture
def manifest(small: Small) -> Manifest:
    return write_bundle(small, BUNDLE)


@pytest.fixture
def theirs(manifest: Manifest) -> Answers:
    """nnInteractive's own folder, beside the bundle."""
    return Answers(write_folder(Path("theirs")), BUNDLE, manifest)


def runs(labels: np.ndarray) -> list[int]:
    """How many voxels, then their id, the slow way."""
    found: list[int] = []
    for value in labels.ravel().tolist():
        if found and found[-1] == value:
            found[-2] += 1
        else:
            found += [1, value]
    return found


def sent(case_id: str = "c0") -> np.ndarray:
    return read_label(BUNDLE / f"labels/{case_id}.nii.gz")


def point(z: int, y: int, x: int, present: bool = True) -> dict[str, Any]:
    return {"kind": "point", "voxels": [[z, y, x]], "present": present}


BOX = {"kind": "box", "voxels": [[5, 4, 4], [5, 12, 11]], "present": True}
LINE = {"kind": "scribble", "voxels": [[6, 8, x] for x in range(16, 20)], "present": True}


def question(marks: list[dict[str, Any]], name: str = "spleen", case_id: str = "c0") -> bytes:
    asked = {"case_id": case_id, "class_name": name, "labels": runs(sent("c0")), "marks": marks}
    return json.dumps(asked).encode()


def asked(answers: Answers, *arguments: Any) -> np.ndarray:
    return from_runs(answers.answer(question(*arguments)), GRID.shape, {0, 1}).astype(bool)


@pytest.mark.parametrize("values", [[0] * 6, [1] * 6, [0, 1, 1, 0, 0, 1]])
def test_runs_are_a_mask_and_a_mask_is_runs(values: list[int]) -> None:
    mask = np.array(values, bool).reshape(1, 2, 3)
    assert to_runs(mask) == runs(mask.astype(int))
    assert np.array_equal(from_runs(to_runs(mask), mask.shape, {0, 1}), mask)


def test_nninteractive_answers_what_its_own_session_does(theirs: Answers) -> None:
    assert theirs.offer["kinds"] == ("point", "box", "scribble")
    adopt_model("ours", Path("theirs"), Said(), None, (), SCHEMA, layout.BASE_MODELS, 1)
    session = open_session(layout.BASE_MODELS / "ours", theirs.offer["id"], "cpu")
    before = SCHEMA.mask(sent(), "spleen")
    told = [
        Prompt("guess", tuple(s.start for s in bounding_box(before)), before[bounding_box(before)]),
        Prompt("box", (5, 4, 4), np.ones((1, 9, 8), bool)),
        Prompt("scribble", (6, 8, 16), np.ones((1, 1, 4), bool), positive=False),
        Prompt("point", (5, 12, 17), np.ones((1, 1, 1), bool), positive=False),
    ]
    marks = [BOX, LINE | {"present": False}, point(5, 12, 17, present=False)]
    for count in (1, 2, 3):
        session.show(read(BUNDLE / "images/c0.nii.gz").array)
        box, probability = session.segment(told[: count + 1])
        expected = before.copy()
        expected[box] = probability > 0.5
        found = asked(theirs, marks[:count])
        assert np.array_equal(found, expected)
        assert (found != before).any()


def test_an_answer_does_not_depend_on_those_before_it(theirs: Answers) -> None:
    first = asked(theirs, [LINE])
    other = asked(theirs, [point(3, 3, 3), BOX], "organ", "c1")
    assert not np.array_equal(first, other)
    assert np.array_equal(asked(theirs, [LINE]), first)


@pytest.mark.slow
def test_the_shared_model_answers_points_as_in_an_emulated_round(small: Small, manifest: Manifest) -> None:
    shutil.copytree(small.labels, layout.BASE_LABELS)
    retrain_round(
        small.cases, SCHEMA, small.ledger, 0, RetrainParams(models={"saim": CLICKS}), MachineParams(workers=1)
    )
    answers = Answers(layout.NEXT_MODELS / "saim", BUNDLE, manifest)
    (model,) = open_models(layout.NEXT_MODELS, SCHEMA)
    card = model.card
    by = {"name": "saim", "backend": card.backend, "architecture": card.architecture, "licence": card.licence}
    offer = {"id": card.id, "name": "saim", "kinds": ("point",), "classes": SCHEMA.names, "answered_by": by}
    assert answers.offer == offer
    numbering, labels = Numbering(model), sent()
    session = backend_of(model.card).session(model, read(BUNDLE / "images/c0.nii.gz"), "cpu")
    start = numbering.numbers(labels)
    changed = 0
    for name, ids in (("organ", (1, 2)), ("lesion", (2,)), ("spleen", (7,))):
        answer = session.click(session.start(start), Click(numbering.of[name], (5, 9, 7), True))
        answer = session.click(answer, Click(numbering.of[name], (5, 12, 17), False))
        expected = np.isin(numbering.ids(answer.labels), ids)
        found = asked(answers, [point(5, 9, 7), point(5, 12, 17, present=False)], name)
        assert np.array_equal(found, expected), name
        changed += int((found != np.isin(labels, ids)).sum())
    assert changed > 0
    with pytest.raises(VoxledgerError, match="answers no scribble"):
        answers.answer(question([LINE]))


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (b"{", "Invalid JSON"),
        ({"marks": []}, "marks"),
        ({"more": 1}, "more: Extra"),
        ({"case_id": "../c0"}, "no case ../c0"),
        ({"case_id": "c3"}, "no case c3"),
        ({"class_name": "liver"}, "does not know liver"),
        ({"marks": [point(12, 0, 0)]}, "outside of the image"),
        ({"marks": [point(-1, 0, 0)]}, "marks.0.voxels.0.0"),
        ({"marks": [point(0, 0, 1 << 40)]}, "outside of the image"),
        ({"marks": [point(0, 0, 0) | {"voxels": [[0, 0, 0], [0, 0, 1]]}]}, "a point is one voxel"),
        ({"marks": [BOX | {"voxels": [[1, 2, 3], [2, 5, 6]]}]}, "two opposite corners in one plane"),
        ({"marks": [BOX | {"voxels": [[1, 2, 3], [1, 2, 6]]}]}, "two opposite corners in one plane"),
        ({"marks": [LINE | {"voxels": [[1, 2, 3], [2, 5, 6]]}]}, "lies in one plane"),
        ({"marks": [LINE | {"voxels": []}]}, "marks.0.voxels"),
        ({"marks": [LINE | {"voxels": [[0, 0, 0]] * 50_001}]}, "marks.0.voxels"),
        ({"marks": [LINE] * 101}, "marks"),
        ({"marks": [LINE | {"kind": "lasso"}]}, "marks.0.kind"),
        ({"labels": [5, 0]}, "does not fill the image"),
        ({"labels": []}, "does not fill the image"),
        ({"labels": [12 * 20 * 24]}, "does not fill the image"),
        ({"labels": [-1, 0, 12 * 20 * 24 + 1, 0]}, "does not fill the image"),
        ({"labels": [1 << 60, 0]}, "does not fill the image"),
        ({"labels": [12 * 20 * 24, 3]}, "holds what is no class"),
        ({"labels": "0"}, "labels"),
    ],
)
def test_what_does_not_fit_is_refused(theirs: Answers, asked: Any, problem: str) -> None:
    content = asked if isinstance(asked, bytes) else json.dumps(json.loads(question([LINE])) | asked).encode()
    with pytest.raises(VoxledgerError, match=problem):
        theirs.answer(content)


def test_an_image_that_is_not_as_it_was_sent_or_shows_nothing_gets_no_answer(
    theirs: Answers, manifest: Manifest
) -> None:
    asked(theirs, [LINE])
    path = BUNDLE / "images/c1.nii.gz"
    write(path, np.zeros(GRID.shape, np.int16), GRID)
    with pytest.raises(VoxledgerError, match=r"images/c1\.nii\.gz is not as it was sent"):
        asked(theirs, [LINE], "spleen", "c1")
    path.unlink()
    with pytest.raises(VoxledgerError, match=r"images/c1\.nii\.gz is not as it was sent"):
        asked(theirs, [LINE], "spleen", "c1")


@pytest.mark.slow
def test_a_model_that_answers_no_clicks_is_misuse(small: Small, manifest: Manifest) -> None:
    nothing = Path("nothing")
    with pytest.raises(Misuse, match="is no folder"):
        Answers(nothing, BUNDLE, manifest)
    nothing.mkdir()
    with pytest.raises(Misuse, match="no model that can be adopted"):
        Answers(nothing, BUNDLE, manifest)
    tiny = ModelParams(backend="monai", network="unet", patch=(8, 16, 16), features=(4, 8), iterations=1)
    shutil.copytree(small.labels, layout.BASE_LABELS)
    retrain_round(small.cases, SCHEMA, small.ledger, 0, RetrainParams(models={"unet": tiny}), MachineParams(workers=1))
    with pytest.raises(Misuse, match="model unet answers no clicks"):
        Answers(layout.NEXT_MODELS / "unet", BUNDLE, manifest)
    train_tiny(small)
    assert Answers(layout.BASE_MODELS / "marks", BUNDLE, manifest).offer["id"] == opened(small).card.id
    weights = layout.BASE_MODELS / "marks" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(VoxledgerError, match="does not fit the id"):
        Answers(layout.BASE_MODELS / "marks", BUNDLE, manifest)


@pytest.fixture
def server(manifest: Manifest) -> Iterator[Server]:
    found = Server(BUNDLE, 0, write_folder(Path("theirs")))
    thread = threading.Thread(target=found.serve_forever, args=(0.01,))
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def post(server: Server, body: bytes, path: str = "/ask", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", path, body, {TOKEN: server.token} | named)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_who_gets_an_answer(server: Server) -> None:
    body = question([LINE])
    status, content = post(server, body)
    assert status == 200
    assert json.loads(content)["mask"] == server.answers.answer(body)
    before = {p: p.read_bytes() for p in BUNDLE.rglob("*") if p.is_file()}
    for path, headers, status in (
        ("/ask", {TOKEN: "wrong"}, 401),
        ("/ask", {"Host": "evil.example"}, 421),
        ("/ask", {"Origin": "https://evil.example"}, 403),
        ("/ask", {"Content_Length": str(1 << 40)}, 413),
        ("/ask", {"Content_Length": "-1"}, 411),
        ("/files/decisions.csv", {}, 404),
        ("/other", {}, 404),
    ):
        assert post(server, body, path, **headers)[0] == status, (path, headers)
    assert post(server, b"{")[0] == 422
    assert post(server, question([LINE], "liver")) == (422, b"the model does not know liver\n")
    assert {p: p.read_bytes() for p in BUNDLE.rglob("*") if p.is_file()} == before


def test_a_network_that_fails_is_said_and_answers_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(server.answers._asked._session.network, "forward", _fail)
        assert post(server, question([LINE])) == (500, b"RuntimeError: out of memory\n")
    assert post(server, question([LINE]))[0] == 200


def _fail(*_: object) -> None:
    raise RuntimeError("out of memory")


def test_without_a_model_nothing_is_offered(manifest: Manifest) -> None:
    found = Server(BUNDLE)
    thread = threading.Thread(target=found.serve_forever, args=(0.01,))
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", found.server_port, timeout=10)
    connection.request("GET", "/model", headers={TOKEN: found.token})
    assert json.loads(connection.getresponse().read()) is None
    connection.close()
    assert post(found, question([LINE]))[0] == 404
    found.shutdown()
    thread.join()
    found.server_close()
