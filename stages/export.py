"""export: one bundle for every reviewer, from the worklist."""

from pathlib import Path

from voxledger.params import Params
from voxledger.stage import stage


@stage(3)
def main(params: Params) -> None:
    from voxledger.bundles.untouched import require_untouched
    from voxledger.export.run import export_round
    from voxledger.records.cases import read_cases
    from voxledger.records.ledger import read_ledger
    from voxledger.records.predicted import ensembles, read_predicted
    from voxledger.records.sent import require_not_out
    from voxledger.records.worklist import read_worklist
    from voxledger.schema import read_schema

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
