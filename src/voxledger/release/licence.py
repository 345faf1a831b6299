"""Whether a release may have the licence that it declares, by its sources and the models that its labels are from."""

from __future__ import annotations

from dataclasses import dataclass

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.licences import KEPT, lost, spdx
from voxledger.params import UNSPECIFIED, read_params
from voxledger.records.cases import read_cases
from voxledger.records.ledger import read_ledger
from voxledger.records.overrides import Override, read_overrides, write_overrides
from voxledger.release.models_used import cards_of_release, models_behind, models_that_answered
from voxledger.release.times import now
from voxledger.repository import git

SOURCE = "source:"
"""How the id of a source begins, before its name."""


@dataclass(frozen=True)
class _Licensed:
    """A model or a source."""

    name: str
    id: str
    licence: str


def require_licence(declared: str) -> None:
    """Raise where the declared licence does not keep what that of a model or source asks for, and nobody allowed that.

    Looked at are all models that the ledger of the release names, those whose answers to clicks were taken, those that
    they go on from, and the sources of its cases. A release that declares no licence contradicts none.

    Raises
    ------
    VoxledgerError
        Names the models and sources, what is not kept, and both ways out.
    """
    if found := _contradicted(declared):
        listed = "; ".join(
            f"{one.name} ({one.id[:12]}) is under {one.licence}: {_words(one.licence, declared)}" for one in found
        )
        raise VoxledgerError(
            f"the release declares {declared}, which its models and sources do not allow: {listed}",
            f"declare one that keeps this, such as {spdx(found[0].licence)}, as `licence` in {layout.PARAMS}; or, "
            f"where it does not hold, `voxledger round licence {found[0].name} --reason …` says why on record",
        )


def allow(name: str, reason: str) -> Override:
    """Say on record why a release may declare a licence that does not keep that of a model or source; commits that.

    Raises
    ------
    Misuse
        No reason is given, or the model or source, by its name or id, does not stand in the way.
    """
    if not reason.strip():
        raise Misuse("it needs a reason", "say with --reason why the release may have its licence all the same")
    declared = read_params().licence
    found = _contradicted(declared)
    one = next((one for one in found if name in (one.name, one.id)), None)
    if one is None:
        listed = ", ".join(sorted({one.name for one in found}))
        raise Misuse(
            f"no model or source {name} stands in the way of a release under {declared}",
            f"name one of {listed}" if listed else "there is nothing to allow",
        )
    curator = git("var", "GIT_AUTHOR_IDENT").partition(" <")[0]
    row = Override(one.id, one.licence, declared, curator, now(), reason.strip())
    write_overrides(layout.LICENCES, [*read_overrides(layout.LICENCES), row])
    git("add", "--", str(layout.LICENCES))
    message = f"Licence {declared} allowed beside {one.licence} of {one.name}"
    git("commit", "--quiet", "--message", message, "--", str(layout.LICENCES))
    return row


def _contradicted(declared: str) -> list[_Licensed]:
    """Models that masks of the release are from, and sources, whose conditions the licence does not keep; by name.

    What a curator allowed is left out.
    """
    if declared == UNSPECIFIED:
        return []
    ledger = read_ledger(layout.RELEASE_LEDGER)
    labelled = {case_id for case_id, _ in ledger}
    sources = sorted({(case.source, case.licence) for case in read_cases() if case.case_id in labelled})
    models = models_behind(ledger, cards_of_release(), models_that_answered())
    found = [_Licensed(card.name, card.id, card.licence) for card in models]
    found += [_Licensed(name, SOURCE + name, licence) for name, licence in sources]
    allowed = {one.key for one in read_overrides(layout.LICENCES)}
    return [one for one in found if lost(one.licence, declared) and (one.id, one.licence, declared) not in allowed]


def _words(licence: str, declared: str) -> str:
    return "not kept: " + ", ".join(KEPT[letters] for letters in lost(licence, declared))
