"""calibrate: the threshold that keeps the wanted sensitivity of every lesion class asked for."""

from pathlib import Path

from voxledger.params import Params
from voxledger.stage import stage


@stage
def main(params: Params) -> None:
    from voxledger.calibrate.run import calibrate_round
    from voxledger.cases import read_cases
    from voxledger.ledger import read_ledger
    from voxledger.schema import read_schema

    notes = calibrate_round(
        read_cases(),
        Path("data/round/predictions"),
        Path("data/base/labels"),
        read_ledger("data/base/ledger.csv"),
        read_schema("labels.yaml"),
        params.calibrate,
        params.machine,
        Path("data/round/calibration.json"),
        Path("reports/plots/froc.csv"),
    )
    for note in notes:
        print(f"calibrate: {note}")


if __name__ == "__main__":
    main()
