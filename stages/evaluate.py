"""evaluate: what the round gained, on the test split and each external source, and the report of it."""

from voxledger import layout
from voxledger.params import Params
from voxledger.stage import stage


@stage(3)
def main(params: Params) -> None:
    import tempfile
    from pathlib import Path

    from voxledger.evaluate.case_metrics import Generation
    from voxledger.evaluate.hindsight import audit_of, hindsight
    from voxledger.evaluate.history import read_audits
    from voxledger.evaluate.readers import readers_of_round
    from voxledger.evaluate.round import evaluate_round
    from voxledger.infer.predict import predict_cases, require_predictions
    from voxledger.models.region import organs_not_found
    from voxledger.records.cases import Split, in_split, read_cases
    from voxledger.records.worklist import on_worklist
    from voxledger.schema import read_schema

    schema, cases = read_schema(layout.SCHEMA), read_cases()
    external, asked = in_split(cases, Split.EXTERNAL), (schema, params.infer, params.machine)
    predicted = require_predictions([*in_split(cases, Split.TEST), *on_worklist(cases)], *asked)
    audits, tolerance_mm = read_audits(layout.BASE_HISTORY), params.evaluate.error_tolerance_mm
    judged = hindsight(cases, schema, params.round, params.machine, tolerance_mm=tolerance_mm, earlier=audits)
    with tempfile.TemporaryDirectory(prefix=".evaluate-", dir=layout.MEMO) as folder:
        base, after = Path(folder, "base"), Path(folder, "next")
        predict_cases(external, layout.BASE_MODELS, base, *asked)
        rows = predict_cases([*in_split(cases, Split.TEST), *external], layout.NEXT_MODELS, after, *asked)
        predictions = {Generation.BASE: [predicted, base], Generation.NEXT: [after]}
        said = readers_of_round(cases, schema, params, predicted)
        parts, lost = list(layout.SECTIONS.glob("*.html")), organs_not_found(rows, layout.NEXT_MODELS, schema)
        evaluate_round(cases, schema, params, predictions, said, audit=audit_of(judged), sections=parts, not_found=lost)


if __name__ == "__main__":
    main()
