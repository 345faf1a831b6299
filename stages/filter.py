"""filter: mean of the models above the threshold, then the rules, every decision logged."""

from pathlib import Path

from voxledger.params import Params
from voxledger.stage import stage


@stage
def main(params: Params) -> None:
    from voxledger.cases import read_cases
    from voxledger.filter.run import filter_round, read_calibrated
    from voxledger.schema import read_schema

    filter_round(
        read_cases(),
        Path("data/round/predictions"),
        Path("data/round"),
        read_schema("labels.yaml"),
        params.filter,
        read_calibrated(Path("data/round/calibration.json")),
        params.machine,
    )


if __name__ == "__main__":
    main()
