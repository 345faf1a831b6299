"""From `filter.rules` in `params.yaml` to the rules of the filter in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.filter.rule import Rule
from voxledger.registry import RULES
from voxledger.schema import LabelSchema


def read_rules(entries: Sequence[dict[str, Any]], schema: LabelSchema) -> list[Rule]:
    """The rules of `filter.rules` in their order, each checked against the schema.

    Parameters
    ----------
    entries
        Entries as they stand in `params.yaml`: `rule`, `classes`, and the parameters of the rule.
    schema
        Classes that the rules may name.

    Raises
    ------
    Misuse
        A rule, a class or a parameter is not known or out of its range; names the entry.
    """
    return [_read(entry, f"{layout.PARAMS}: filter.rules[{number}]", schema) for number, entry in enumerate(entries)]


def _read(entry: dict[str, Any], where: str, schema: LabelSchema) -> Rule:
    name = entry.get("rule")
    try:
        RULES.require(name)
    except Misuse as error:
        raise Misuse(f"{where}: {error.problem}", error.remedy) from None
    kind: type[Rule] = RULES.get(str(name))
    try:
        rule = kind.model_validate(entry)
    except ValidationError as error:
        listed = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors())
        raise Misuse(f"{where} ({name}): {listed}", "correct the parameter") from None
    try:
        for class_name in rule.classes:
            schema[class_name]
        rule.check(schema)
    except Misuse as error:
        raise Misuse(f"{where} ({name}): {error.problem}", error.remedy) from None
    return rule


def origins(entries: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Package and version of every rule that another package brought; what it computes depends on them."""
    return {name: origin for entry in entries if (origin := RULES.origin(name := str(entry.get("rule"))))}
