"""The round of `small_round.py`, and the small cases of `small_cases.py`."""

from small_cases import small
from small_round import repo, template

__all__ = ["repo", "small", "template"]
