"""adjudicate: a bundle for the adjudicator, with what readers do not agree on; waits for them, if there are several."""

from voxledger import layout
from voxledger.params import Params
from voxledger.stage import stage


@stage(3)
def main(params: Params) -> None:
    from voxledger.bundles.context import read_context
    from voxledger.bundles.inbox import require_complete
    from voxledger.bundles.untouched import require_untouched
    from voxledger.export.adjudication import adjudicate_round

    require_untouched(layout.ADJUDICATION)
    asked = (layout.BUNDLES, layout.INBOX, layout.BASE_REVISIONS, params.round, read_context(params.review))
    returns = require_complete(*asked, params.machine, readers_only=True) if params.adjudicated else []
    adjudicate_round(returns, params.round, params.review, params.machine)


if __name__ == "__main__":
    main()
