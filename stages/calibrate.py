"""calibrate: the threshold that keeps the wanted sensitivity of every lesion class asked for."""

from voxledger import layout
from voxledger.params import Params
from voxledger.stage import stage


@stage(3)
def main(params: Params) -> None:
    from voxledger.calibrate.run import calibrate_round
    from voxledger.infer.predict import require_predictions
    from voxledger.records.cases import Split, in_split, read_cases
    from voxledger.records.ledger import read_ledger
    from voxledger.records.sent import require_not_out
    from voxledger.schema import read_schema

    require_not_out(params, "calibrate")
    cases, schema = read_cases(), read_schema(layout.SCHEMA)
    judged = in_split(cases, Split.CALIBRATION) if params.calibrate.classes else []
    notes = calibrate_round(
        cases,
        require_predictions(judged, schema, params.infer, params.machine),
        read_ledger(layout.BASE_LEDGER),
        schema,
        params.calibrate,
        params.machine,
    )
    for note in notes:
        print(f"calibrate: {note}")


if __name__ == "__main__":
    main()
