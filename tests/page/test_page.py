"""The page in a real browser: from the file on disk to what `review receive` takes."""

from __future__ import annotations

import shutil
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import run
from in_page import BUNDLES, INBOX, drawn, opened, pressed, saved, taken
from scipy import ndimage
from small_round import GRID, SCHEMA, anatomy

from voxledger.imaging.volume import Grid, file_sha256, read, read_label, write
from voxledger.records.decisions import Decision, read_decisions
from voxledger.records.signature import parse_list
from voxledger.review.pack import pack
from voxledger.review.receive import receive
from voxledger.review.serve import Server
from voxledger.signing import RELEASE, REVIEW, signer


@pytest.mark.slow
def test_twenty_small_cases_take_one_key_a_class(repo: Any, page: Any, tmp_path: Path) -> None:
    names = [f"more_{n:02d}" for n in range(17)]
    from voxledger.records.cases import Split

    for name in names:
        repo.add_case(name, Split.POOL, None, anatomy(1))
    cases = ["case_1", "case_2", "case_3", *names]
    repo.export(*[(case, "liver", "alice") for case in cases])
    opened(page, repo.bundle("alice"), "case_1 liver")
    pressed(page, *[("a", f"{case} liver") for case in cases[1:]], ("a", f"{cases[-1]} liver"))
    page.wait_for_selector("#progress[value='20']")
    found = taken(saved(page, tmp_path / "return.zip"), repo)
    rows = read_decisions(found.folder / "decisions.csv")
    assert rows.problems == []
    assert {row.decision for row in rows.rows.values()} == {Decision.ACCEPT}
    assert all(row.minutes is not None and row.minutes < 5 for row in rows.rows.values())
    repo.gate()


def test_accept_revise_reject_undo_crash_and_resume(repo: Any, page: Any, tmp_path: Path) -> None:
    asked = [("case_1", "liver"), ("case_1", "lesion"), ("case_2", "liver"), ("case_2", "pancreas")]
    repo.export(*[(*one, "alice") for one in asked])
    folder = repo.bundle("alice")
    opened(page, folder, "case_1 liver")
    pressed(page, ("a", "case_1 lesion"), ("x", "case_2 liver"), ("1", "case_2 liver"))
    # Nothing was drawn yet: R asks for it, and does not go on.
    page.keyboard.press("r")
    page.wait_for_selector("#pen[aria-checked=true]")
    drawn(page, (60, 60), (90, 60))
    drawn(page, (0, 0), (10, 10))
    page.wait_for_selector("#undo:not([disabled])")
    page.keyboard.press("Control+z")
    page.fill("#comment", '=1+1 <img src=x onerror="boom()">')
    page.select_option("#difficulty", "hard")
    page.select_option("#error-type", "false_negative")
    page.wait_for_timeout(200)
    # A crash: the tab is gone, and a new one opens the same bundle.
    again = page.context.new_page()
    page.close()
    opened(again, folder, "case_2 liver")
    assert again.input_value("#comment").startswith("=1+1")
    assert again.is_enabled("#redo")
    assert again.is_enabled("#undo")
    pressed(again, ("r", "case_2 pancreas"), ("a", "case_2 pancreas"))
    first = saved(again, tmp_path / "return.zip")
    again.keyboard.press("Escape")
    second = saved(again, tmp_path / "again.zip")
    labels = [zipfile.ZipFile(one).read("bundle-r01-alice/labels/case_2.nii.gz") for one in (first, second)]
    assert labels[0] == labels[1]
    assert zipfile.ZipFile(first).namelist() == [
        f"bundle-r01-alice/{name}" for name in ("bundle.json", "labels/case_2.nii.gz", "decisions.csv")
    ]
    found = taken(first, repo)
    rows = read_decisions(found.folder / "decisions.csv").rows
    assert [rows[one].decision for one in asked] == ["accept", "reject", "revise", "accept"]
    assert rows["case_2", "liver"].comment == '\'=1+1 <img src=x onerror="boom()">'
    assert rows["case_2", "liver"].error_type == "false_negative"
    sent, back = (read(p / "labels/case_2.nii.gz") for p in (folder, found.folder))
    changed = back.array != sent.array
    assert changed.any()
    assert set(sent.array[changed]) == {0}
    assert set(back.array[changed]) == {1}
    assert back.grid == sent.grid
    assert back.array.dtype == sent.array.dtype
    repo.gate()


def turned(*degrees: float) -> tuple[float, ...]:
    """Direction cosines of a grid turned about the three axes."""
    found = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        c, s = np.cos(angle), np.sin(angle)
        one = np.eye(3)
        a, b = [i for i in range(3) if i != axis]
        one[a, a], one[a, b], one[b, a], one[b, b] = c, -s, s, c
        found = one @ found
    return tuple(found.ravel().tolist())


LPS = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
GRIDS = {
    "LPS": LPS,
    "RAS": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0),
    "oblique": turned(12, -7, 20),
    "permuted and oblique": tuple(np.array(turned(5, 8, -6)).reshape(3, 3)[:, [2, 0, 1]].ravel().tolist()),
}


def on_grid(repo: Any, grid: Grid) -> None:
    """Put the images, labels and attention of the repository on another grid of the same voxels."""
    from dataclasses import replace

    from voxledger.imaging.attention_file import open_attention, write_attention

    for path in [*Path("data/images").glob("*.nii.gz"), *Path("data/round").rglob("*.nii.gz")]:
        write(path, read(path).array, grid)
    for path in Path("data/round/attention").glob("*.b2nd"):
        old = open_attention(path)
        masks = [(n, box, old.read(n, box)) for n, box in old.boxes.items() if box is not None]
        write_attention(path, masks, old.classes, grid)
    repo.cases = [replace(c, sha256=file_sha256(c.image)) for c in repo.cases]


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if " and " in n else pytest.mark.slow) for n in GRIDS])
def test_outside_of_strokes_labels_are_as_they_were_sent(repo: Any, page: Any, tmp_path: Path, name: str) -> None:
    grid = Grid(GRID.shape, GRID.spacing, GRID.origin, GRIDS[name])
    on_grid(repo, grid)
    repo.export(("case_2", "liver", "alice"))
    folder = repo.bundle("alice")
    opened(page, folder, "case_2 liver")
    page.keyboard.press("e")
    drawn(page, (0, 0), (8, 0))
    pressed(page, ("r", "case_2 liver"))
    only_the_stroke_changed(folder, taken(saved(page, tmp_path / "return.zip"), repo).folder, grid)
    repo.gate()


def only_the_stroke_changed(folder: Path, returned: Path, grid: Grid) -> None:
    sent, back = (read(p / "labels/case_2.nii.gz") for p in (folder, returned))
    changed = np.argwhere(sent.array != back.array)
    assert 1 <= len(changed) <= 100
    assert back.grid == sent.grid
    assert {sent.array[tuple(at)] for at in changed} == {1}
    assert {back.array[tuple(at)] for at in changed} == {0}
    # The brush is 8 mm wide, and was pressed in the middle of the axial plane, which shows the middle of the liver.
    attention = read_label(folder / "attention/case_2_attention.nii.gz")
    middle = np.argwhere(attention == 1).mean(axis=0)
    matrix = np.reshape(grid.direction, (3, 3)) * np.asarray(grid.spacing[::-1])
    far = np.linalg.norm((matrix @ (changed - middle)[:, ::-1].T), axis=0)
    assert far.max() < 12


@pytest.mark.parametrize("what", ["shifted", pytest.param("cropped", marks=pytest.mark.slow)])
def test_a_label_on_another_grid_than_its_image_is_refused_on_opening(repo: Any, page: Any, what: str) -> None:
    repo.export(("case_1", "liver", "alice"), ("case_2", "liver", "alice"))
    folder = repo.bundle("alice")
    label = read(folder / "labels/case_1.nii.gz")
    moved = Grid(GRID.shape, GRID.spacing, (GRID.origin[0], GRID.origin[1], GRID.origin[2] + 30), GRID.direction)
    if what == "shifted":
        write(folder / "labels/case_1.nii.gz", label.array, moved)
    else:
        write(folder / "labels/case_1.nii.gz", label.array[1:], Grid((9, 16, 20), *_rest(GRID)))
    page.goto((folder / "review.html").resolve().as_uri())
    page.set_input_files("#choose-folder", str(folder))
    page.wait_for_selector("#notices p")
    said = page.inner_text("#notices")
    assert "case_1" in said
    assert "does not lie on the grid of its image" in said
    page.keyboard.press("a")
    assert "0 of 2" in page.inner_text("#progress-text")
    pressed(page, ("PageDown", "case_2 liver"))
    assert page.inner_text("#notices") == ""


def _rest(grid: Grid) -> tuple[Any, Any, Any]:
    return grid.spacing, grid.origin, grid.direction


@pytest.mark.slow
def test_an_image_that_was_altered_is_refused(repo: Any, page: Any) -> None:
    repo.export(("case_1", "liver", "alice"))
    image = repo.bundle("alice") / "images/case_1.nii.gz"
    volume = read(image)
    write(image, volume.array + 1, volume.grid)
    page.goto((repo.bundle("alice") / "review.html").resolve().as_uri())
    page.set_input_files("#choose-folder", str(repo.bundle("alice")))
    page.wait_for_selector("#notices p")
    assert "images/case_1.nii.gz was altered or damaged" in page.inner_text("#notices")


def test_a_signature_is_one_for_ssh_keygen(repo: Any, page: Any, tmp_path: Path) -> None:
    from voxledger.review.pack import pack

    repo.export(("case_2", "liver", "alice"))
    pack(repo.bundle("alice"), tmp_path / "sent.zip")
    opened(page, repo.bundle("alice"), "case_2 liver", tmp_path / "sent.zip")
    page.keyboard.press("b")
    drawn(page, (40, 40), (90, 40))
    pressed(page, ("r", "case_2 liver"), ("s", "case_2 liver"))
    page.click("#new-key")
    page.wait_for_selector("#public-key", state="visible")
    key = page.input_value("#public-key")
    assert (
        page.evaluate(
            """async () => {
          const db = await new Promise((done) => {
            const asked = indexedDB.open("voxledger-review");
            asked.onsuccess = () => done(asked.result);
          });
          const pair = await new Promise((done) => {
            const asked = db.transaction("keys").objectStore("keys").get(["review"]);
            asked.onsuccess = () => done(asked.result);
          });
          return crypto.subtle.exportKey("pkcs8", pair.privateKey).then(() => "exported", (error) => error.name);
        }"""
        )
        == "InvalidAccessError"
    )
    found = taken(saved(page, tmp_path / "return.zip"), repo)
    require_signed(found.folder, key, tmp_path)
    (tmp_path / "key.pub").write_text(key)
    assert page.inner_text("#fingerprint") in run("ssh-keygen", "-l", "-f", str(tmp_path / "key.pub"))


def require_signed(folder: Path, key: str, tmp_path: Path) -> None:
    """A return is signed with a key, for this purpose alone, in all that has to be."""
    (tmp_path / "signers").write_text(f'alice namespaces="voxledger-review" {key}\n')
    content, signature = ((folder / f"return.sha256{end}").read_bytes() for end in ("", ".sig"))
    assert parse_list(content).keys() >= {"bundle.json", "decisions.csv", "labels/case_2.nii.gz"}
    assert signer(content, signature, REVIEW, tmp_path / "signers").name == "alice"
    assert signer(content + b"x", signature, REVIEW, tmp_path / "signers").name is None
    assert signer(content, signature, RELEASE, tmp_path / "signers").name is None
    run("sha256sum", "--check", "--strict", "return.sha256", cwd=folder)


INTO_INPUT = """(paths) => {
  const input = document.getElementById("choose-folder");
  const chosen = [...input.files];
  chosen.forEach((file, i) => Object.defineProperty(file, "webkitRelativePath", {value: paths[i]}));
  Object.defineProperty(input, "files", {value: chosen});
  input.dispatchEvent(new Event("change"));
}"""


@pytest.mark.slow
def test_firefox_reads_a_folder(repo: Any, firefox_page: Any, tmp_path: Path) -> None:
    """WebDriver chooses no folder there: the same files of the disk are chosen one by one, with their paths in it."""
    page, folder = firefox_page, repo.bundle
    repo.export(("case_1", "liver", "alice"), ("case_2", "liver", "alice"))
    files = sorted(p for p in folder("alice").rglob("*") if p.is_file())
    page.goto((folder("alice") / "review.html").resolve().as_uri())
    page.evaluate("""() => {
      const input = document.getElementById("choose-folder");
      input.addEventListener("change", (event) => event.isTrusted && event.stopImmediatePropagation(), true);
      input.removeAttribute("webkitdirectory");
      input.multiple = true;
    }""")
    page.set_input_files("#choose-folder", [str(p) for p in files])
    page.evaluate(INTO_INPUT, [p.relative_to(folder("alice").parent).as_posix() for p in files])
    page.wait_for_selector("#work[data-shown='case_1 liver']")
    pressed(page, ("a", "case_2 liver"), ("a", "case_2 liver"), ("s", "case_2 liver"))
    page.wait_for_selector("#result-dialog[open]")
    assert page.inner_text("#result-text") == "Nothing speaks against sending it back."
    assert page.is_hidden("#write-folder")


@pytest.mark.slow
def test_firefox_judges_draws_signs_and_goes_on_after_a_crash(repo: Any, firefox_page: Any, tmp_path: Path) -> None:
    page = firefox_page
    asked = [("case_1", "liver"), ("case_1", "lesion"), ("case_2", "liver")]
    repo.export(*[(*one, "alice") for one in asked])
    pack(repo.bundle("alice"), tmp_path / "sent.zip")
    opened(page, repo.bundle("alice"), "case_1 liver", tmp_path / "sent.zip")
    pressed(page, ("a", "case_1 lesion"), ("x", "case_2 liver"), ("b", "case_2 liver"))
    drawn(page, (60, 60), (90, 60))
    drawn(page, (0, 0), (10, 10))
    drawn(page, (-80, 60), (-60, 60))
    page.keyboard.press("Control+z")
    page.wait_for_timeout(500)
    again = page.context.new_page()
    page.close()
    opened(again, repo.bundle("alice"), "case_2 liver", tmp_path / "sent.zip")
    assert again.is_enabled("#redo")
    pressed(again, ("r", "case_2 liver"), ("s", "case_2 liver"))
    again.click("#new-key")
    again.wait_for_selector("#public-key", state="visible")
    key = again.input_value("#public-key")
    found = taken(downloaded(again, tmp_path), repo)
    require_signed(found.folder, key, tmp_path)
    rows = read_decisions(found.folder / "decisions.csv").rows
    assert [rows[one].decision for one in asked] == ["accept", "reject", "revise"]
    sent, back = (read(p / "labels/case_2.nii.gz") for p in (repo.bundle("alice"), found.folder))
    changed = back.array != sent.array
    assert changed.any()
    assert set(back.array[changed]) == {1}
    assert back.grid == sent.grid


def downloaded(page: Any, tmp_path: Path) -> Path:
    """The zip that Firefox saves, once it is whole."""
    page.click("#save-zip")
    target = tmp_path / "downloads" / "bundle-r01-alice.zip"
    for _ in range(100):
        if target.exists() and zipfile.is_zipfile(target):
            break
        page.wait_for_timeout(100)
    return target


@pytest.mark.slow
@pytest.mark.parametrize("name", GRIDS)
def test_firefox_leaves_labels_outside_of_strokes_alone(
    repo: Any, firefox_page: Any, tmp_path: Path, name: str
) -> None:
    grid = Grid(GRID.shape, GRID.spacing, GRID.origin, GRIDS[name])
    on_grid(repo, grid)
    repo.export(("case_2", "liver", "alice"))
    folder = repo.bundle("alice")
    pack(folder, tmp_path / "sent.zip")
    opened(firefox_page, folder, "case_2 liver", tmp_path / "sent.zip")
    firefox_page.keyboard.press("e")
    drawn(firefox_page, (0, 0), (8, 0))
    pressed(firefox_page, ("r", "case_2 liver"), ("s", "case_2 liver"))
    firefox_page.wait_for_selector("#result-dialog[open]")
    only_the_stroke_changed(folder, taken(downloaded(firefox_page, tmp_path), repo).folder, grid)
    repo.gate()


@pytest.mark.slow
def test_firefox_refuses_a_label_on_another_grid_than_its_image(repo: Any, firefox_page: Any, tmp_path: Path) -> None:
    repo.export(("case_1", "liver", "alice"))
    folder = repo.bundle("alice")
    pack(folder, tmp_path / "sent.zip")
    moved = Grid(GRID.shape, GRID.spacing, (GRID.origin[0], GRID.origin[1], GRID.origin[2] + 30), GRID.direction)
    write(tmp_path / "moved.nii.gz", read(folder / "labels/case_1.nii.gz").array, moved)
    with zipfile.ZipFile(tmp_path / "sent.zip") as sent, zipfile.ZipFile(tmp_path / "moved.zip", "w") as other:
        for one in sent.namelist():
            label = one.endswith("labels/case_1.nii.gz")
            other.writestr(one, (tmp_path / "moved.nii.gz").read_bytes() if label else sent.read(one))
    firefox_page.goto((folder / "review.html").resolve().as_uri())
    firefox_page.set_input_files("#choose-zip", str(tmp_path / "moved.zip"))
    firefox_page.wait_for_selector("#notices p")
    assert "does not lie on the grid of its image" in firefox_page.inner_text("#notices")


SIGNATURES = ("return.sha256", "return.sha256.sig")


@pytest.fixture(params=["page", "firefox_page"])
def served(request: pytest.FixtureRequest, repo: Any) -> Any:
    """The page with a bundle that `voxledger review serve` gives out; its requests go to this machine."""
    page = request.getfixturevalue(request.param)
    repo.export(("case_1", "liver", "alice"), ("case_2", "liver", "alice"), ("case_2", "pancreas", "alice"))
    server = Server(repo.bundle("alice"))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    page.goto(server.address)
    page.wait_for_selector("#work[data-shown='case_1 liver']")
    yield page
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_what_is_served_is_written_into_the_bundle(repo: Any, served: Any, tmp_path: Path) -> None:
    folder = repo.bundle("alice")
    sent = read(folder / "labels/case_2.nii.gz")
    pressed(served, ("a", "case_2 liver"))
    served.keyboard.press("b")
    drawn(served, (40, 40), (80, 40))
    pressed(served, ("r", "case_2 pancreas"), ("a", "case_2 pancreas"), ("s", "case_2 pancreas"))
    for name in SIGNATURES:
        (folder / name).write_text("of another day")
    served.click("#write-folder")
    served.locator("#result-done", has_text="decisions.csv").wait_for()
    served.wait_for_timeout(300)
    once = read(folder / "labels/case_2.nii.gz")
    assert not np.array_equal(sent.array, once.array)
    assert not [name for name in SIGNATURES if (folder / name).exists()], "a signature was of what lay there before"
    # Later: what was sent is still known, so that all of it can be taken back.
    served.reload()
    served.wait_for_selector("#work[data-shown]")
    pressed(served, ("1", "case_2 liver"))
    served.keyboard.press("u")
    served.wait_for_selector("#restore[disabled]")
    pressed(served, ("a", "case_2 liver"), ("s", "case_2 liver"))
    served.click("#write-folder")
    served.locator("#result-done", has_text="decisions.csv").wait_for()
    assert file_sha256(folder / "labels/case_2.nii.gz") == repo.manifest("alice").files["labels/case_2.nii.gz"].sha256
    shutil.copytree(folder, tmp_path / folder.name)
    found = receive(tmp_path / folder.name, BUNDLES, INBOX, repo.version)
    assert {row.decision for row in read_decisions(found.folder / "decisions.csv").rows.values()} == {"accept"}


@pytest.mark.slow
@pytest.mark.parametrize("served", ["page"], indirect=True)
def test_what_a_viewer_saved_meanwhile_is_taken_over_once(repo: Any, served: Any, tmp_path: Path) -> None:
    """And what is drawn in the page after that is not lost when it is opened again."""
    folder = repo.bundle("alice")
    sent = read(folder / "labels/case_2.nii.gz")
    pressed(served, ("a", "case_2 liver"))
    served.keyboard.press("b")
    drawn(served, (40, 40), (80, 40))
    pressed(served, ("s", "case_2 liver"))
    served.click("#write-folder")
    served.locator("#result-done", has_text="decisions.csv").wait_for()
    edited = read(folder / "labels/case_2.nii.gz").array.copy()
    edited[9, 15, 15:19] = 2
    write(folder / "labels/case_2.nii.gz", edited, sent.grid)
    served.reload()
    served.wait_for_selector("#work[data-shown='case_2 liver']")
    served.keyboard.press("b")
    drawn(served, (-60, 60), (-50, 60))
    served.wait_for_timeout(300)
    served.reload()
    served.wait_for_selector("#work[data-shown='case_2 liver']")
    label = "bundle-r01-alice/labels/case_2.nii.gz"
    zipfile.ZipFile(saved(served, tmp_path / "return.zip")).extract(label, tmp_path)
    back = read(tmp_path / label).array
    assert (back[9, 15, 15:19] == 2).all()
    assert ((back == 1) & (edited != 1)).sum() > 0
    assert ((edited != sent.array) & (back != edited)).sum() == 0


INTO_FOLDER = """async (files) => {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle("bundle", {create: true});
  for (const [path, content] of Object.entries(files)) {
    const parts = path.split("/");
    let at = folder;
    for (const part of parts.slice(0, -1)) at = await at.getDirectoryHandle(part, {create: true});
    const sink = await (await at.getFileHandle(parts.at(-1), {create: true})).createWritable();
    await sink.write(Uint8Array.from(atob(content), (c) => c.charCodeAt(0)));
    await sink.close();
  }
  window.showDirectoryPicker = async () => root;
}"""
OUT_OF_FOLDER = """async () => {
  const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("bundle");
  const found = {};
  const read = async (at, prefix) => {
    for await (const one of at.values())
      if (one.kind === "directory") await read(one, prefix + one.name + "/");
      else {
        const bytes = new Uint8Array(await (await one.getFile()).arrayBuffer());
        found[prefix + one.name] = btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));
      }
  };
  await read(folder, "");
  return found;
}"""


@pytest.mark.slow
def test_a_folder_that_was_picked_is_written_into(repo: Any, page: Any, tmp_path: Path) -> None:
    """Only the dialog is not the browser's: the folder is a real one of the browser's own file system."""
    import base64

    repo.export(("case_2", "liver", "alice"))
    folder = repo.bundle("alice")
    server = Server(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    page.goto(f"http://127.0.0.1:{server.server_port}/review.html")
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    page.evaluate(INTO_FOLDER, {name: base64.b64encode(p.read_bytes()).decode() for name, p in files.items()})
    page.click("#open-folder")
    page.wait_for_selector("#work[data-shown='case_2 liver']")
    page.keyboard.press("b")
    drawn(page, (40, 40), (80, 40))
    pressed(page, ("r", "case_2 liver"), ("s", "case_2 liver"))
    page.click("#new-key")
    page.wait_for_selector("#public-key", state="visible")
    page.click("#write-folder")
    page.locator("#result-done", has_text="return.sha256.sig").wait_for()
    back = tmp_path / folder.name
    signed = page.evaluate(OUT_OF_FOLDER)
    # Not signed any more: the signature of before would be of something else.
    page.keyboard.press("Escape")
    page.select_option("#difficulty", "hard")
    page.keyboard.press("s")
    page.wait_for_selector("#result-dialog[open]")
    page.uncheck("#sign")
    page.click("#write-folder")
    page.locator("#result-done", has_text="Written").wait_for()
    left = page.evaluate(OUT_OF_FOLDER)
    assert set(signed) - set(left) == {"return.sha256", "return.sha256.sig"}
    assert left["decisions.csv"] != signed["decisions.csv"]
    for name, content in signed.items():
        (back / name).parent.mkdir(parents=True, exist_ok=True)
        (back / name).write_bytes(base64.b64decode(content))
    server.shutdown()
    thread.join()
    server.server_close()
    changed = {n for n in files if (back / n).read_bytes() != files[n].read_bytes()}
    assert changed == {"decisions.csv", "labels/case_2.nii.gz"}
    found = taken(back, repo)
    run("sha256sum", "--check", "--strict", "return.sha256", cwd=found.folder)


@pytest.mark.slow
def test_what_others_save_while_the_page_is_open_goes_back_too(repo: Any, served: Any) -> None:
    folder = repo.bundle("alice")
    sent = read(folder / "labels/case_2.nii.gz")
    pressed(served, ("a", "case_2 liver"))
    served.keyboard.press("b")
    drawn(served, (40, 40), (80, 40))
    edited = sent.array.copy()
    edited[9, 15, 15:19] = 2
    write(folder / "labels/case_2.nii.gz", edited, sent.grid)
    table = folder / "decisions.csv"
    table.write_text(table.read_text().replace("case_2,pancreas,", "case_2,pancreas,reject"))
    pressed(served, ("s", "case_2 liver"))
    served.locator("#result-text", has_text="decisions.csv, labels/case_2.nii.gz").wait_for()
    write(folder / "labels/case_2.nii.gz", sent.array, sent.grid)
    served.click("#write-folder")
    served.locator("#result-done", has_text="nothing was written").wait_for()
    write(folder / "labels/case_2.nii.gz", edited, sent.grid)
    served.keyboard.press("Escape")
    pressed(served, ("s", "case_2 liver"))
    served.wait_for_selector("#result-dialog[open]")
    served.click("#write-folder")
    served.locator("#result-done", has_text="Written").wait_for()
    back = read(folder / "labels/case_2.nii.gz").array
    assert (back[9, 15, 15:19] == 2).all()
    assert ((back == 1) & (edited != 1)).sum() > 0
    rows = read_decisions(table).rows
    assert [rows["case_2", name].decision for name in ("liver", "pancreas")] == ["revise", "reject"]


@pytest.mark.slow
def test_all_that_is_left_is_accepted_once_it_was_shown(repo: Any, page: Any) -> None:
    repo.export(("case_1", "liver", "alice"), ("case_1", "lesion", "alice"), ("case_2", "liver", "alice"))
    opened(page, repo.bundle("alice"), "case_1 liver")
    page.keyboard.press("Shift+A")
    assert page.inner_text("#status") == "First look at lesion."
    assert "0 of 3" in page.inner_text("#progress-text")
    pressed(page, ("2", "case_1 lesion"), ("Shift+A", "case_2 liver"))
    assert "2 of 3" in page.inner_text("#progress-text")


@pytest.mark.slow
def test_findings_are_shown_and_what_is_locked_stays(repo: Any, page: Any, tmp_path: Path) -> None:
    repo.export(("case_2", "liver", "alice"), ("case_2", "pancreas", "alice"))
    opened(page, repo.bundle("alice"), "case_2 liver")
    page.keyboard.press("g")
    for _ in range(3):  # into the slices in which kidneys lie
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
    for _ in range(8):
        page.keyboard.press("]")
    page.keyboard.press("b")
    drawn(page, (-300, 0), (300, 0))
    said = page.inner_text("#status")
    assert "stayed as they are" in said
    assert "kidney_left" in said
    page.keyboard.press("a")
    page.locator("#status", has_text="was changed").wait_for()
    pressed(page, ("r", "case_2 pancreas"), ("r", "case_2 pancreas"), ("s", "case_2 pancreas"))
    page.wait_for_selector("#result-dialog[open]")
    assert "pancreas: the decision is revise, but nothing has changed" in page.inner_text("#result-findings") or (
        "pancreas" not in page.inner_text("#result-findings")
    )
    found = taken(saved(page, tmp_path / "return.zip"), repo)
    back = read(found.folder / "labels/case_2.nii.gz").array
    sent = read(repo.bundle("alice") / "labels/case_2.nii.gz").array
    assert (SCHEMA.mask(back, "liver") & ~SCHEMA.mask(sent, "liver")).sum() > 50
    for name in ("kidney_left", "kidney_right", "lesion"):
        assert np.array_equal(SCHEMA.mask(back, name), SCHEMA.mask(sent, name)), name


@pytest.mark.slow
def test_keys_do_what_the_list_of_keys_says(repo: Any, page: Any) -> None:
    repo.export(("case_1", "liver", "alice"), ("case_1", "lesion", "alice"), ("case_2", "liver", "alice"))
    opened(page, repo.bundle("alice"), "case_1 liver")
    for key, box in ((" ", "#labels-shown"), ("o", "#filled"), ("h", "#heat"), ("t", "#in-window")):
        before = page.is_checked(box)
        page.keyboard.press(key)
        page.wait_for_selector(f"{box}{':not(:checked)' if before else ':checked'}")
        page.keyboard.press(key)
        page.wait_for_selector(f"{box}{':checked' if before else ':not(:checked)'}")
    for key, tool in (("b", "pen"), ("e", "eraser"), ("f", "fill"), ("v", "look")):
        page.keyboard.press(key)
        assert page.get_attribute(f"#{tool}", "aria-checked") == "true"
    page.keyboard.press("w")
    assert page.input_value("#window") == "1"
    page.keyboard.press("]")
    assert page.inner_text("#brush-text") == "Brush 10.0 mm"
    page.keyboard.press("[")
    assert page.inner_text("#brush-text") == "Brush 8.0 mm"
    pressed(page, ("2", "case_1 lesion"), ("PageDown", "case_2 liver"), ("PageUp", "case_1 liver"))
    page.keyboard.press("?")
    page.wait_for_selector("#help-dialog[open]")
    page.keyboard.press("a")
    page.keyboard.press("Escape")
    assert "0 of 3" in page.inner_text("#progress-text"), "a key that is pressed over a list decides nothing"
    # In the middle of the axial plane lies the liver: C picks it; Shift erases with the pen, and draws with the eraser.
    pressed(page, ("2", "case_1 lesion"), ("1", "case_1 liver"), ("2", "case_1 lesion"))
    page.keyboard.press("g")
    pressed(page, ("1", "case_1 liver"))
    place = page.locator("#axial").bounding_box()
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.keyboard.press("c")
    page.locator("#status", has_text="liver").wait_for()
    page.keyboard.press("b")
    for _ in range(12):
        page.keyboard.press("[")
    assert page.inner_text("#brush-text") == "Brush 1.0 mm"
    drawn(page, (0, 0), (2, 0))
    assert page.is_disabled("#undo"), "what is liver is not drawn once more"
    page.keyboard.down("Shift")
    drawn(page, (0, 0), (2, 0))
    page.keyboard.up("Shift")
    page.wait_for_selector("#undo:not([disabled])")
    assert page.get_attribute("#revise", "aria-pressed") == "true"
    page.keyboard.press("Control+z")
    page.wait_for_selector("#undo[disabled]")
    page.keyboard.press("Control+y")
    page.wait_for_selector("#redo[disabled]")
    page.keyboard.press("u")
    page.wait_for_selector("#restore[disabled]")


@pytest.mark.slow
def test_the_brush_may_keep_to_grey_values(repo: Any, page: Any, tmp_path: Path) -> None:
    """The image is noise around 0: of what the brush covers, the voxels from 0 to 80 are drawn, and no other."""
    repo.export(("case_2", "liver", "alice"))
    opened(page, repo.bundle("alice"), "case_2 liver")
    page.select_option("#window", label="brain")
    page.keyboard.press("b")
    page.keyboard.press("t")
    page.wait_for_selector("#in-window:checked")
    for _ in range(3):
        page.keyboard.press("]")
    drawn(page, (150, 40), (300, 40))
    page.wait_for_selector("#undo:not([disabled])")
    label = "bundle-r01-alice/labels/case_2.nii.gz"
    zipfile.ZipFile(saved(page, tmp_path / "inside.zip")).extract(label, tmp_path)
    image = read(repo.bundle("alice") / "images/case_2.nii.gz").array
    sent = read(repo.bundle("alice") / "labels/case_2.nii.gz").array
    inside = read(tmp_path / label).array != sent
    assert inside.sum() > 20
    assert image[inside].min() >= 0
    # Without it the same stroke takes the others, too.
    page.keyboard.press("Escape")
    page.keyboard.press("Control+z")
    page.wait_for_selector("#undo[disabled]")
    page.keyboard.press("t")
    page.wait_for_selector("#in-window:not(:checked)")
    drawn(page, (150, 40), (300, 40))
    page.wait_for_selector("#undo:not([disabled])")
    zipfile.ZipFile(saved(page, tmp_path / "all.zip")).extract(label, tmp_path)
    every = read(tmp_path / label).array != sent
    assert np.array_equal(every & (image >= 0), inside)
    assert (every & (image < 0)).sum() > 20


@pytest.mark.slow
def test_slices_between_and_pieces(repo: Any, page: Any, tmp_path: Path) -> None:
    """Two slices are drawn, those between follow; then what was drawn, a piece of its own, is removed with one key."""
    repo.export(("case_2", "liver", "alice"))
    opened(page, repo.bundle("alice"), "case_2 liver")
    pressed(page, ("b", "case_2 liver"))
    place = page.locator("#axial").bounding_box()
    spot = place["x"] + place["width"] / 2 + 150, place["y"] + place["height"] / 2 + 40
    page.mouse.move(*spot)
    for _ in range(4):
        page.keyboard.press("[")
    for steps in (0, 4):
        for _ in range(steps):
            page.keyboard.press("ArrowDown")
        drawn(page, (150, 40), (152, 40))
    for _ in range(2):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("i")
    page.locator("#status", has_text="Drawn between slices 2 and 6").wait_for()
    label = "bundle-r01-alice/labels/case_2.nii.gz"
    zipfile.ZipFile(saved(page, tmp_path / "drawn.zip")).extract(label, tmp_path)
    sent = read(repo.bundle("alice") / "labels/case_2.nii.gz").array
    added = (read(tmp_path / label).array == 1) & (sent != 1)
    assert sorted(set(np.argwhere(added)[:, 0])) == [1, 2, 3, 4, 5]
    assert len({int(added[z].sum()) for z in range(1, 6)}) == 1
    page.keyboard.press("Escape")
    page.mouse.move(*spot)
    page.keyboard.press("k")
    kept = "bundle-r01-alice/labels/case_2.nii.gz"
    zipfile.ZipFile(saved(page, tmp_path / "kept.zip")).extract(kept, tmp_path)
    assert np.array_equal(read(tmp_path / kept).array == 1, added)
    page.keyboard.press("Escape")
    page.keyboard.press("Control+z")
    page.keyboard.press("m")
    page.wait_for_selector("#redo[disabled]")
    zipfile.ZipFile(saved(page, tmp_path / "smooth.zip")).extract(kept, tmp_path)
    smooth, before = read(tmp_path / kept).array == 1, added | (sent == 1)
    changed = smooth != before
    assert changed.any()
    assert not (changed & ndimage.binary_erosion(before)).any(), "only the border moves"
    assert not (changed & ~ndimage.binary_dilation(before)).any()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+z")
    page.mouse.move(*spot)
    page.keyboard.press("Delete")
    page.wait_for_selector("#restore[disabled]")
    assert zipfile.ZipFile(saved(page, tmp_path / "again.zip")).namelist() == [
        f"bundle-r01-alice/{name}" for name in ("bundle.json", "decisions.csv")
    ]
