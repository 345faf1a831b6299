"""gate: waits, with exit code 3, until every bundle is back and in order."""

from pathlib import Path

from voxledger.params import Params
from voxledger.stage import stage


@stage(3)
def main(params: Params) -> None:
    from voxledger.gate.run import pass_gate

    pass_gate(
        Path("data/round/bundles"),
        Path("data/inbox"),
        Path("data/base/revisions"),
        Path("data/round/received.json"),
    )


if __name__ == "__main__":
    main()
