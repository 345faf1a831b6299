"""From `filter.rules` in `params.yaml` to rules: every file in `rules/` is one, found by its name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from voxledger.errors import Misuse
from voxledger.filter import rules
from voxledger.filter.rule import Rule
from voxledger.schema import LabelSchema


def known_rules() -> list[str]:
    """Names of all rules, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(rules.__path__))


def read_rules(entries: Sequence[dict[str, Any]], schema: LabelSchema) -> list[Rule]:
    """The rules of `filter.rules` in their order, each checked against the schema.

    Raises
    ------
    Misuse
        A rule, a class or a parameter is not known or out of its range; names the entry.
    """
    found = []
    for number, entry in enumerate(entries, start=1):
        where = f"filter.rules, entry {number}"
        name = entry.get("rule")
        if name not in known_rules():
            raise Misuse(f"{where}: there is no rule {name}", f"use one of {', '.join(known_rules())}")
        module = importlib.import_module(f"{rules.__name__}.{name}")
        kind: type[Rule] = getattr(module, "".join(word.capitalize() for word in name.split("_")))
        try:
            rule = kind.model_validate(entry)
        except ValidationError as error:
            listed = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors())
            raise Misuse(f"{where} ({name}): {listed}", "correct the parameter in params.yaml") from None
        for class_name in rule.classes:
            schema[class_name]
        rule.check(schema)
        found.append(rule)
    return found
