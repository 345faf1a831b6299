"""filter: mean of the models above the threshold, then the rules, every decision logged."""

from voxledger import layout
from voxledger.params import Params
from voxledger.stage import stage


@stage(3)
def main(params: Params) -> None:
    from voxledger.evaluate.detection_section import write_detection
    from voxledger.filter.decisions import read_decisions, tally
    from voxledger.filter.run import filter_round
    from voxledger.infer.predict import require_predictions
    from voxledger.records.calibration import read_calibration
    from voxledger.records.cases import read_cases
    from voxledger.records.ledger import read_ledger
    from voxledger.records.sent import require_not_out
    from voxledger.schema import read_schema

    require_not_out(params, "filter")
    cases, schema = read_cases(), read_schema(layout.SCHEMA)
    calibration = read_calibration()
    steps, advice = filter_round(
        cases,
        require_predictions(cases, schema, params.infer, params.machine),
        schema,
        params.filter,
        calibration.thresholds,
        params.machine,
        read_ledger(layout.BASE_LEDGER),
        params.calibrate.overlap,
    )
    tallies = tally(read_decisions(layout.FILTER_LOG))
    patients = {c.case_id: c.patient for c in cases}
    write_detection(steps, advice, tallies, patients, calibration, layout.FILTER_SECTION, layout.DETECTION)


if __name__ == "__main__":
    main()
