from pathlib import Path

from click.testing import CliRunner

from voxledger.cli.phantom import phantom


def test_phantom_command_writes_what_it_says(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    result = CliRunner().invoke(phantom, [str(out), "--count", "2", "--labelled", "1", "--site", "b", "--seed", "7"])
    assert result.exit_code == 0, result.output
    assert f"2 phantoms in {out}" in result.output
    assert (out / "labels" / "phantom-b-000.nii.gz").is_file()
    assert not (out / "labels" / "phantom-b-001.nii.gz").exists()
    assert len((out / "phantoms.csv").read_text().splitlines()) == 3


def test_phantom_command_refuses_an_unknown_site(tmp_path: Path) -> None:
    result = CliRunner().invoke(phantom, [str(tmp_path / "x"), "--site", "c"])
    assert result.exit_code == 2
