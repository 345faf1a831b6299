"""export: one bundle for every reviewer, from the worklist."""

from pathlib import Path

from voxledger.params import Params
from voxledger.stage import stage


@stage(2)
def main(params: Params) -> None:
    from voxledger.cases import read_cases
    from voxledger.ledger import read_ledger
    from voxledger.predicted import ensembles, read_predicted
    from voxledger.review.export import export_round
    from voxledger.review.untouched import require_untouched
    from voxledger.review.worklist import read_worklist
    from voxledger.schema import read_schema
    from voxledger.sent import require_not_out

    require_untouched(Path("data/round/bundles"))
    require_not_out(params, "export")
    export_round(
        read_worklist(Path("data/round/worklist.csv")),
        read_cases(),
        read_schema("labels.yaml"),
        read_ledger("data/base/ledger.csv"),
        ensembles(read_predicted(Path("data/round/infer.jsonl"))),
        params.dataset,
        params.round,
    )


if __name__ == "__main__":
    main()
