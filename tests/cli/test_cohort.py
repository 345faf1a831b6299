"""What cohorts are worth, judged one after the other, from tables of Dice that trainings left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from voxledger import layout
from voxledger.cli.demo import set_parameters
from voxledger.cli.main import cli
from voxledger.records.cases import Case, Split, write_cases
from voxledger.records.worth import Judged, read_worth, write_judged
from voxledger.release.close import _warn_of_cohorts
from voxledger.worth.arms import Arm
from voxledger.worth.pipeline import dice_table

ROOT = Path(__file__).parents[2]


def tables(cohort: str, gain: float) -> None:
    """What three trainings of every arm left, which differ by that from those without the cohort."""
    for arm in (Arm.WITHOUT, Arm.PREDICTED, Arm.REVIEWED):
        for seed in range(3):
            rng = np.random.default_rng(seed)
            mean = 0.7 + (gain if arm is not Arm.WITHOUT else 0)
            rows = [Judged("external/x", f"c{i}", f"c{i}", "organ", 1.0, mean + rng.normal(0, 0.01)) for i in range(12)]
            dice_table(cohort, arm, seed).parent.mkdir(parents=True, exist_ok=True)
            write_judged(dice_table(cohort, arm, seed), rows)


@pytest.fixture
def two_sites(folder: Path) -> Path:
    shutil.copyfile(ROOT / "params.yaml", layout.PARAMS)
    layout.SCHEMA.write_text("name: one\nclasses:\n  - {id: 1, name: organ}\n")
    layout.DATA.mkdir()
    sites = ("site-b", "site-c")
    write_cases(layout.CASES, [Case(s, f"{s}.nii.gz", "", "", s, "", Split.POOL, "CT", "") for s in sites])
    tables("site-b", -0.1)
    tables("site-c", 0.1)
    return folder


def decide(cohort: str, round_number: int) -> None:
    set_parameters({"round": round_number, "evaluate": {"bootstrap": 200}})
    done = CliRunner().invoke(cli, ["cohort", "verdict", cohort, "--seeds", "3"], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def test_a_close_still_warns_of_a_cohort_that_was_judged_before_another(two_sites, capsys) -> None:
    decide("site-b", 1)
    decide("site-c", 2)
    found = read_worth()
    assert found is not None
    assert [(v.cohort, v.arm, v.says, v.round) for v in found.verdicts] == [
        ("site-b", "predicted", "hurts", 1),
        ("site-b", "reviewed", "hurts", 1),
        ("site-c", "predicted", "helps", 2),
        ("site-c", "reviewed", "helps", 2),
    ]
    _warn_of_cohorts()
    warned = capsys.readouterr().err
    assert warned.count("warning: site-b, reviewed: hurts on external/x") == 1
    assert "as found in round 1" in warned
    assert "site-c" not in warned
    page = layout.WORTH_PAGE.read_text()
    assert page.index("when round 1 began") < page.index("when round 2 began")


def test_judged_again_it_says_the_same_in_the_same_bytes_and_then_what_is_new(two_sites, capsys) -> None:
    decide("site-b", 1)
    decide("site-c", 1)
    before = [path.read_bytes() for path in (layout.WORTH, layout.WORTH_PAGE)]
    decide("site-b", 1)
    assert [path.read_bytes() for path in (layout.WORTH, layout.WORTH_PAGE)] == before
    tables("site-b", 0.1)
    decide("site-b", 2)
    _warn_of_cohorts()
    assert not capsys.readouterr().err


def test_verdicts_of_an_older_voxledger_stay(two_sites, capsys) -> None:
    decide("site-b", 1)
    values = json.loads(layout.WORTH.read_text())
    verdicts = [{k: x for k, x in v.items() if k not in ("seeds", "round")} for v in values["verdicts"]]
    layout.WORTH.write_text(json.dumps({"format": 2, "seeds": 3, "round": 1, "verdicts": verdicts}))
    decide("site-c", 2)
    _warn_of_cohorts()
    assert "warning: site-b, predicted: hurts on external/x" in (warned := capsys.readouterr().err)
    assert "as found in round 1" in warned
