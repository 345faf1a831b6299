"""score: where labels are likely wrong, and who looks at what."""

from voxledger import layout
from voxledger.params import Params
from voxledger.stage import stage


@stage(3)
def main(params: Params) -> None:
    from voxledger.infer.predict import require_predictions
    from voxledger.models.region import organs_not_found
    from voxledger.records.cases import Split, in_split, read_cases
    from voxledger.records.errors import read_errors
    from voxledger.records.ledger import read_ledger
    from voxledger.records.mask_quality import read_judged
    from voxledger.records.predicted import read_predicted
    from voxledger.records.readings import read_readings
    from voxledger.records.sent import require_not_out
    from voxledger.schema import read_schema
    from voxledger.score.run import score_round
    from voxledger.weak.decisions import read_weak_decisions

    require_not_out(params, "score")
    cases, schema = read_cases(), read_schema(layout.SCHEMA)
    score_round(
        cases,
        read_ledger(layout.BASE_LEDGER),
        read_errors(layout.BASE_ERRORS),
        require_predictions(in_split(cases, Split.POOL), schema, params.infer, params.machine),
        schema,
        params,
        organs_not_found(read_predicted(layout.PREDICTED), layout.BASE_MODELS, schema),
        read_readings(layout.BASE_READINGS),
        read_weak_decisions(layout.WEAK_LOG),
        read_judged(layout.BASE_JUDGED),
    )


if __name__ == "__main__":
    main()
