"""gate: waits, with exit code 3, until every bundle is back and in order."""

from voxledger import layout
from voxledger.params import Params
from voxledger.stage import stage


@stage(3)
def main(params: Params) -> None:
    from voxledger.bundles.context import read_context
    from voxledger.gate.run import pass_gate

    pass_gate(
        layout.BUNDLES,
        layout.INBOX,
        layout.BASE_REVISIONS,
        params.round,
        layout.RECEIVED,
        read_context(params.review),
        params.machine,
    )


if __name__ == "__main__":
    main()
