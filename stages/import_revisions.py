"""import: returned bundles and new predictions become labels and ledger of the next version."""

from voxledger import layout
from voxledger.params import Params
from voxledger.stage import stage


@stage(3)
def main(params: Params) -> None:
    from voxledger.bundles.context import read_context
    from voxledger.bundles.inbox import received_returns
    from voxledger.import_.run import import_round
    from voxledger.records.cases import read_cases
    from voxledger.records.ledger import read_ledger
    from voxledger.records.predicted import ensembles, read_predicted
    from voxledger.schema import read_schema

    import_round(
        read_cases(),
        read_schema(layout.SCHEMA),
        read_ledger(layout.BASE_LEDGER),
        ensembles(read_predicted(layout.PREDICTED)),
        received_returns(layout.RECEIVED, layout.BUNDLES, layout.INBOX, params.round, read_context(params.review)),
        params.round,
        params.machine,
        params.review,
    )


if __name__ == "__main__":
    main()
