"""The round of `organ_round.py`, and that of `small_round.py`."""

from organ_round import organs, sent
from small_round import repo, template

__all__ = ["organs", "repo", "sent", "template"]
