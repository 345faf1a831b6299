"""calibrate: the threshold that keeps the wanted sensitivity of every lesion class asked for, after the rules."""

from voxledger import layout
from voxledger.params import Params
from voxledger.stage import stage


@stage(3)
def main(params: Params) -> None:
    from voxledger.calibrate.run import choose_thresholds, require_lesions, write_round
    from voxledger.filter.curves import FoundLesions, LesionCurves, lesions_seen
    from voxledger.infer.predict import require_predictions
    from voxledger.records.cases import Split, in_split, read_cases
    from voxledger.records.ledger import read_ledger
    from voxledger.records.sent import require_not_out
    from voxledger.schema import read_schema

    require_not_out(params, "calibrate")
    cases, schema = read_cases(), read_schema(layout.SCHEMA)
    require_lesions(schema, params)
    judged = in_split(cases, Split.CALIBRATION) if params.calibrate.classes else []
    predictions = require_predictions(judged, schema, params.infer, params.machine)
    known = (judged, predictions, read_ledger(layout.BASE_LEDGER), schema, params)
    curves = lesions_seen(LesionCurves, *known, {})
    chosen = choose_thresholds(curves, params)
    for note in write_round(curves, chosen, lesions_seen(FoundLesions, *known, chosen), params):
        print(f"calibrate: {note}")


if __name__ == "__main__":
    main()
