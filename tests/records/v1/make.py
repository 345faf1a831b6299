"""Make a small repository with the voxledger that is installed: `python make.py FOLDER`.

Two rounds closed and signed, the class `lesion` renamed between them, and a third round whose bundles are out. FOLDER
gets `repository.tar.xz`, with `history.bundle` (all of git's history) and `store` (the DVC remote), and `signers`, who
may sign.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from ruamel.yaml import YAML

SHAPE = (6, 10, 8)
LABELS = "name: two\nclasses:\n  - {id: 1, name: organ}\n  - {id: 2, name: lesion, inside: organ, lesion: true}\n"


def labels_of(number: int) -> np.ndarray:
    """The true label map (z, y, x) of a case."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:5, 2 : 7 + number % 3, 2:7] = 1
    labels[2:4, 4:6, 3 : 5 + number % 2] = 2
    return labels


def write(path: Path, array: np.ndarray) -> None:
    """Write an image (z, y, x)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.5, 1.5, 3.0))
    sitk.WriteImage(image, str(path), useCompression=True)


def write_files(root: Path) -> None:
    """Images of a pool and of another site, what is known of them, and what two models predict."""
    for n in range(10):
        labels, where = labels_of(n), "external" if n > 7 else "images"
        noise = np.random.default_rng(n).integers(-8, 8, SHAPE)
        write(root / f"{where}/case{n}.nii.gz", (np.array([0, 100, 40])[labels] + noise).astype(np.int16))
        write(root / f"reference/case{n}.nii.gz", labels)
        if n < 3 or n > 7:
            write(root / f"{where}-labels/case{n}.nii.gz", labels)
        for model in (1, 2):
            write(root / f"m{model}/case{n}.nii.gz", np.roll(labels, (n + model) % 2, axis=2))
    write(root / "weak/case7.nii.gz", np.where(np.arange(SHAPE[0])[:, None, None] == 2, labels_of(7), 0))


def run(*command: str, accept: tuple[int, ...] = (0,)) -> None:
    """Run a command that must end as accepted."""
    code = subprocess.run(command, check=False).returncode
    if code not in accept:
        sys.exit(f"{' '.join(command)} ended with {code}")


def begin(root: Path) -> None:
    """A repository with cases and models, in its own folder."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / "key"), "-C", "curator")
    run("git", "config", "gpg.format", "ssh")
    run("git", "config", "user.signingkey", str(root / "key"))
    run("dvc", "remote", "add", "--quiet", "--default", "store", str(root / "store"))
    Path("labels.yaml").write_text(LABELS)
    yaml = YAML()
    values = yaml.load(Path("params.yaml"))
    values["retrain"]["models"] = {}
    values["filter"]["rules"] = [{"rule": "inside_organ", "classes": ["lesion"]}]
    values["score"] |= {"budget": 1, "audit": 1, "opening": 0}
    values["export"]["reviewers"] = ["ann", "ben"]
    values["cases"] |= {"calibration": 0, "test": 0.4}
    yaml.dump(values, Path("params.yaml"))
    run("git", "commit", "--quiet", "--all", "--message", "Two classes, a store")
    given = ("--labels", str(root / "images-labels"), "--weak", str(root / "weak"))
    run("voxledger", "cases", "add", str(root / "images"), *given)
    given = ("--labels", str(root / "external-labels"), "--split", "external", "--source", "site-b")
    run("voxledger", "cases", "add", str(root / "external"), *given)
    for m in ("m1", "m2"):
        run("voxledger", "models", "add", m, "--predictions", str(root / m), "--id", m, "--licence", "CC0-1.0")


def review(root: Path, number: int) -> None:
    """Both reviewers answer."""
    returns = root / f"returns{number}"
    run("voxledger", "review", "emulate", "--reference", str(root / "reference"), "--inbox", str(returns))
    for bundle in sorted(returns.iterdir()):
        run("voxledger", "review", "receive", str(bundle))


def main(out: Path) -> None:
    """Make the repository and pack it."""
    for role in ("AUTHOR", "COMMITTER"):
        os.environ |= {f"GIT_{role}_NAME": "curator", f"GIT_{role}_EMAIL": "curator@example.org"}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_files(root)
        run("voxledger", "init", str(root / "repo"), "--name", "two")
        with contextlib.chdir(root / "repo"):
            begin(root)
            for number in (0, 1):
                if number == 1:
                    run("voxledger", "schema", "rename", "lesion", "tumour")
                    params = Path("params.yaml")
                    params.write_text(params.read_text().replace("lesion]", "tumour]").replace("- lesion", "- tumour"))
                run("voxledger", "round", "run", accept=(3,))
                review(root, number)
                run("voxledger", "round", "run")
                run("voxledger", "round", "close")
                run("voxledger", "round", "open")
            run("voxledger", "round", "run", accept=(3,))
            run("dvc", "push", "--quiet")
            # What is not compressed here compresses better as a whole.
            run("git", "-c", "core.compression=0", "-c", "pack.compression=0", "repack", "-aFdq", "--depth=250")
            run("git", "-c", "pack.compression=0", "bundle", "create", "--quiet", str(root / "history.bundle"), "--all")
        (out / "signers").write_text(f"curator {(root / 'key.pub').read_text()}")
        with tarfile.open(out / "repository.tar.xz", "w:xz", preset=9) as archive:
            for name in ("history.bundle", "store"):
                archive.add(root / name, name)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
