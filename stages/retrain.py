"""retrain: the next models, trained on the classes that people stand behind."""

from voxledger import layout
from voxledger.params import Params
from voxledger.stage import stage


@stage(3)
def main(params: Params) -> None:
    from voxledger.records.cases import read_cases
    from voxledger.records.ledger import read_ledger
    from voxledger.records.readings import read_readings
    from voxledger.retrain.run import retrain_round
    from voxledger.schema import read_schema
    from voxledger.score.replay import replay_order

    retrain_round(
        read_cases(),
        read_schema(layout.SCHEMA),
        read_ledger(layout.RELEASE_LEDGER),
        params.round,
        params.retrain,
        params.machine,
        replay_order(params.retrain.replay_by, f"{params.retrain.seed}/{params.round}"),
        read_readings(layout.RELEASE_READINGS),
    )


if __name__ == "__main__":
    main()
