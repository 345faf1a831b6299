"""infer: every model in models/base predicts the cases of the pool, calibration and test split."""

from voxledger import layout
from voxledger.params import Params
from voxledger.stage import stage


@stage(3)
def main(params: Params) -> None:
    from voxledger.infer.predict import predict_round, to_predict
    from voxledger.infer.weak import check_weak
    from voxledger.records.cases import Split, in_split, read_cases
    from voxledger.records.predicted import write_predicted
    from voxledger.records.sent import require_not_out
    from voxledger.schema import read_schema
    from voxledger.weak.decisions import write_weak_decisions

    require_not_out(params, "infer")
    schema = read_schema(layout.SCHEMA)
    rows = predict_round(
        to_predict(in_split(read_cases(), Split.POOL, Split.CALIBRATION, Split.TEST), schema, params.infer),
        models_dir=layout.BASE_MODELS,
        out=layout.PREDICTIONS,
        schema=schema,
        params=params.infer,
        machine=params.machine,
    )
    checked = check_weak(rows, layout.PREDICTIONS, layout.BASE_MODELS, schema, params.infer, params.machine)
    write_weak_decisions(layout.WEAK_LOG, checked)
    write_predicted(layout.PREDICTED, rows)


if __name__ == "__main__":
    main()
