"""The round of `small_round.py`."""

from small_round import repo, template

__all__ = ["repo", "template"]
