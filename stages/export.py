"""export: one bundle for every reviewer, from the worklist."""

from voxledger import layout
from voxledger.params import Params
from voxledger.stage import stage


@stage(3)
def main(params: Params) -> None:
    from voxledger.bundles.untouched import require_untouched
    from voxledger.export.run import export_round
    from voxledger.records.cases import read_cases
    from voxledger.records.identity import require_no_identity
    from voxledger.records.ledger import read_ledger
    from voxledger.records.predicted import ensembles, read_predicted
    from voxledger.records.sent import require_not_out
    from voxledger.records.worklist import read_worklist
    from voxledger.schema import read_schema

    require_untouched(layout.BUNDLES)
    require_not_out(params, "export")
    require_no_identity([layout.CASES, layout.IMAGES, layout.WEAK], params.dataset, params.cases.not_identity, "export")
    export_round(
        read_worklist(layout.WORKLIST),
        read_cases(),
        read_schema(layout.SCHEMA),
        read_ledger(layout.BASE_LEDGER),
        ensembles(read_predicted(layout.PREDICTED)),
        params.dataset,
        params.round,
        params.machine,
        params.export.formats,
        params.export.readers.count,
    )


if __name__ == "__main__":
    main()
