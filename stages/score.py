"""score: where labels are likely wrong, and who looks at what."""

from pathlib import Path

from voxledger.params import Params
from voxledger.stage import stage


@stage
def main(params: Params) -> None:
    from voxledger.cases import read_cases
    from voxledger.ledger import read_ledger
    from voxledger.schema import read_schema
    from voxledger.score.error_table import read_errors
    from voxledger.score.run import score_round

    score_round(
        read_cases(),
        read_ledger("data/base/ledger.csv"),
        read_errors("data/base/errors.csv"),
        Path("data/round/predictions"),
        Path("data/round"),
        read_schema("labels.yaml"),
        params,
    )


if __name__ == "__main__":
    main()
