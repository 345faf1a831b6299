"""A round with two reviewers' machines and two curators' clones, over SSH and over S3: data, bundles and returns."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from commands import output, parameters, run
from servers import as_reviewer, s3_server, ssh_server

from voxledger.imaging.volume import Grid, write

GRID = Grid.plain((8, 24, 24), (3.0, 1.5, 1.5))


@dataclass
class Network:
    """A server and who has which rights at it."""

    reviewers: tuple[str, ...]
    data: str
    """Url of the DVC remote with the data."""
    bundles: str
    """Url of the DVC remote for exchange."""
    shared: dict[str, str]
    """Settings of both that are in git."""
    own: dict[str, dict[str, str]]
    """Settings by curator, which each keeps to herself."""
    homes: dict[str, Path | None] = field(default_factory=dict)
    """Of the reviewers."""
    secrets: tuple[str, ...] = ()


@pytest.fixture(params=["s3", "ssh"])
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Network]:
    if request.param == "s3":
        with s3_server(tmp_path / "server") as s3:
            keys = {"access_key_id": "curator", "secret_access_key": "curators-secret"}
            own = dict.fromkeys(("anna", "bela"), keys)
            shared = {"endpointurl": s3.endpoint}
            secrets = ("curators-secret", "X-Amz-Signature")
            yield Network(("ann", "ben"), "s3://store/one", "s3://drop/one", shared, own, secrets=secrets)
    else:
        with ssh_server() as ssh:
            url, own, homes = f"ssh://127.0.0.1:{ssh.port}", {}, {}
            for name, account in zip(("anna", "bela"), ssh.curators, strict=True):
                home = ssh.home(tmp_path / f"home of {name}", account)
                own[name] = {"user": account, "keyfile": str(home / ".ssh/id_ed25519")}
            for reviewer in ssh.reviewers:
                homes[reviewer] = ssh.home(tmp_path / f"home-of-{reviewer}", reviewer)
            yield Network(ssh.reviewers, f"{url}{ssh.data}", f"{url}{ssh.place}", {}, own, homes)


@dataclass
class World:
    root: Path
    network: Network
    lines: dict[str, dict[str, str]] = field(default_factory=dict)

    @contextmanager
    def curator(self, name: str) -> Iterator[Path]:
        """In the clone of a curator, with what came from the hub."""
        with pytest.MonkeyPatch.context() as patch:
            home = self.root / f"home of {name}"
            home.mkdir(exist_ok=True)
            patch.setenv("HOME", str(home))
            patch.chdir(self.root / name)
            run("git", "pull", "--quiet", "--no-rebase", "--tags", "origin", "main")
            yield Path.cwd()

    def send(self, reviewer: str) -> None:
        self.lines[reviewer] = json.loads(output("voxledger", "review", "send", reviewer, "--json"))
        run("git", "push", "--quiet", "origin", "main")

    def work(self, reviewer: str) -> None:
        """On the reviewer's machine, which has neither git nor DVC nor voxledger on its path."""
        desk = self.root / f"desk-of-{reviewer}"
        desk.mkdir()
        name, home = self.lines[reviewer]["bundle"], self.network.homes.get(reviewer)
        as_reviewer(self.lines[reviewer]["get"], desk, home)
        as_reviewer(f"python3 -m zipfile -e {name}.zip . && rm {name}.zip", desk)
        for path in ("decisions.csv", "labels"):
            done = self.root / "returns" / name / path
            (shutil.copytree if done.is_dir() else shutil.copy)(done, desk / name / path, **_over(done))
        as_reviewer(f"python3 -m zipfile -c {name}.zip {name}/", desk)
        as_reviewer(self.lines[reviewer]["give"], desk, home)


def _over(path: Path) -> dict[str, bool]:
    return {"dirs_exist_ok": True} if path.is_dir() else {}


@pytest.fixture
def world(network: Network, tmp_path: Path) -> World:
    """A hub and two clones of a repository whose round 0 waits, nothing of which was sent yet."""
    root = tmp_path
    for n in range(8):
        labels = np.zeros(GRID.shape, np.uint8)
        labels[1:6, 2 + 4 * (n % 4) : 10 + 4 * (n % 4), 2 + 10 * (n // 4) : 10 + 10 * (n // 4)] = 1
        noise = np.random.default_rng(n).normal(0, 10, GRID.shape)
        write(root / f"images/case{n}.nii.gz", (labels * 100 + noise).astype(np.int16), GRID)
        write(root / f"reference/case{n}.nii.gz", labels, GRID)
        write(root / f"m/case{n}.nii.gz", np.roll(labels, n % 2, axis=2), GRID)
        if n < 3:
            write(root / f"labels/case{n}.nii.gz", labels, GRID)
    run("voxledger", "init", str(root / "anna"), "--name", "one", "--remote", network.data)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root / "anna")
        Path("labels.yaml").write_text("name: one\nclasses:\n  - {id: 1, name: organ}\n")
        parameters(
            score={"budget": 2, "audit": 0},
            export={"reviewers": list(network.reviewers)},
            cases={"calibration": 0, "test": 0.3},
            exchange="hospital",
        )
        run("dvc", "remote", "add", "hospital", network.bundles)
        for remote in ("storage", "hospital"):
            for key, value in network.shared.items():
                run("dvc", "remote", "modify", remote, key, value)
        run("git", "commit", "--quiet", "--all", "--message", "Remotes")
        run("voxledger", "cases", "add", str(root / "images"), "--labels", str(root / "labels"))
        declared = ("--id", "m-1", "--licence", "CC0-1.0")
        run("voxledger", "models", "add", "m", "--predictions", str(root / "m"), *declared)
        run("voxledger", "round", "run", accept=(3,))
        run("voxledger", "review", "emulate", "--reference", str(root / "reference"), "--inbox", str(root / "returns"))
        _keep_own(network, "anna")
        run("dvc", "push")
        run("git", "clone", "--quiet", "--bare", ".", str(root / "hub.git"))
        run("git", "remote", "add", "origin", str(root / "hub.git"))
        run("git", "clone", "--quiet", str(root / "hub.git"), str(root / "bela"))
        patch.chdir(root / "bela")
        _keep_own(network, "bela")
        run("dvc", "pull", "--allow-missing")
    return World(root, network)


def _keep_own(network: Network, name: str) -> None:
    for remote in ("storage", "hospital"):
        for key, value in network.own[name].items():
            run("dvc", "remote", "modify", "--local", remote, key, value)


@pytest.mark.slow
def test_a_round_of_two_reviewers_and_two_curators(world: World) -> None:
    first, second = world.network.reviewers
    with world.curator("anna"):
        assert "no bundle that is out was sent" in run("voxledger", "review", "fetch", accept=(2,))
        world.send(first)
        assert "nothing new" in run("voxledger", "review", "fetch", accept=(3,))
    with world.curator("bela"):
        world.send(second)
    world.work(first)
    with world.curator("bela"):
        said = run("voxledger", "review", "fetch", accept=(3,))
        assert f"received as data/inbox/bundle-r00-{first}" in said
        assert f"bundle-r00-{second}: away" in said
        run("git", "commit", "--quiet", "--all", "--message", "What came first")
        run("git", "push", "--quiet", "origin", "main")
        run("dvc", "push", f"data/inbox/bundle-r00-{first}.dvc")
    world.work(second)
    with world.curator("anna"):
        run("dvc", "pull", f"data/inbox/bundle-r00-{first}.dvc")
        found = json.loads(output("voxledger", "review", "fetch", "--json"))
        assert [(one["bundle"], one["new"]) for one in found["fetched"]] == [(f"bundle-r00-{second}", True)]
        assert [bundle["state"] for bundle in found["bundles"]] == ["complete", "complete"]
        assert "nothing new" in run("voxledger", "review", "fetch")
        if world.network.data.startswith("s3"):
            world.send(first)  # a link that is used too late
        assert "round 0 is finished" in run("voxledger", "round", "run")
        run("voxledger", "round", "close")
        run("git", "push", "--quiet", "origin", "main", "round-00", "one@v0.0.0")
    _late(world, first)
    with world.curator("bela"):
        run("dvc", "pull")
        assert json.loads(output("voxledger", "verify", "round-00", "--json"))["intact"]
        said = run("voxledger", "review", "fetch")
        assert f"bundle-r00-{first} is of round 0, which is closed: kept as late" in said
        assert said.count("kept as late") == 1
        assert "nothing new" in run("voxledger", "review", "fetch")
        assert json.loads(output("voxledger", "verify", "round-00", "--json"))["intact"]
        _require_no_secret(world)


def _late(world: World, reviewer: str) -> None:
    """Something else, after the round was closed."""
    desk, home = world.root / f"desk-of-{reviewer}", world.network.homes.get(reviewer)
    name, give = world.lines[reviewer]["bundle"], world.lines[reviewer]["give"]
    with (desk / name / "decisions.csv").open("a") as stream:
        stream.write("\n")
    as_reviewer(f"rm {name}.zip && python3 -m zipfile -c {name}.zip {name}/", desk)
    as_reviewer(give.replace("return/ |", "return/second.zip |"), desk, home)


def _require_no_secret(world: World) -> None:
    """What would let somebody else in is in no commit."""
    text = output("git", "log", "--patch", "--all", "--", ".dvc", "data/exchange", "params.yaml")
    assert "data/exchange/sent-" in text
    assert not [secret for secret in world.network.secrets if secret in text]
    assert not re.search(r"PRIVATE KEY|keyfile|X-Amz", text)
