"""learn: voxels of what people judged, and where the next attention expects errors."""

from voxledger import layout
from voxledger.params import Params
from voxledger.stage import stage


@stage(3)
def main(params: Params) -> None:
    from voxledger.infer.predict import require_predictions
    from voxledger.records.cases import read_cases
    from voxledger.records.worklist import on_worklist
    from voxledger.schema import read_schema
    from voxledger.score.learn import learn_round

    schema, cases = read_schema(layout.SCHEMA), read_cases()
    if params.score.attention == "learned":
        require_predictions(on_worklist(cases), schema, params.infer, params.machine)
    learn_round(cases, schema, params)


if __name__ == "__main__":
    main()
