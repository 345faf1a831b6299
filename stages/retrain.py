"""retrain: the next models, trained on the classes that people stand behind."""

from pathlib import Path

from voxledger.params import Params
from voxledger.stage import stage


@stage(3)
def main(params: Params) -> None:
    from voxledger.records.cases import read_cases
    from voxledger.records.ledger import read_ledger
    from voxledger.retrain.run import retrain_round
    from voxledger.schema import read_schema

    retrain_round(
        read_cases(),
        read_schema("labels.yaml"),
        read_ledger("data/release/ledger.csv"),
        labels=Path("data/release/labels"),
        base=Path("models/base"),
        out=Path("models/next"),
        round_number=params.round,
        params=params.retrain,
        machine=params.machine,
        cohort_table=Path("data/round/cohort.csv"),
        cards=Path("models/next.json"),
    )


if __name__ == "__main__":
    main()
