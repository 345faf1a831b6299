"""cases: every registered case, label and model is there and fits."""

import json

from voxledger import layout
from voxledger.params import Params
from voxledger.stage import stage


@stage(3)
def main(params: Params) -> None:
    from voxledger.cases.check import check_inputs, require_record
    from voxledger.records.cases import read_cases
    from voxledger.records.ledger import read_ledger
    from voxledger.records.mask_check import require_masks
    from voxledger.records.sent import require_not_out
    from voxledger.schema import read_schema
    from voxledger.textfile import replace_text

    require_not_out(params, "cases")
    cases, schema = read_cases(), read_schema(layout.SCHEMA)
    require_record(schema, params.round)
    counts = check_inputs(cases, schema)
    ledger = read_ledger(layout.BASE_LEDGER)
    require_masks(cases, schema, ledger, layout.BASE_LABELS, layout.MEMO / "masks", params.machine)
    summary = {"dataset": params.dataset, "round": params.round, **counts}
    replace_text(layout.CASE_COUNTS, json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    main()
