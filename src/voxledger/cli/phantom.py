"""`voxledger cases phantom`: make example cases."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    "phantom",
    epilog="Example: voxledger cases phantom phantoms/a --count 24 --labelled 6 --seed 1 --site a",
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--count", default=12, show_default=True, type=click.IntRange(min=1), help="How many cases.")
@click.option(
    "--labelled", default=0, show_default=True, type=click.IntRange(min=0), help="How many of the first are labelled."
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the series.")
@click.option("--site", default="a", show_default=True, type=click.Choice(["a", "b"]), help="Which hospital.")
@click.option(
    "--size",
    default="small",
    show_default=True,
    type=click.Choice(["small", "medium", "full"]),
    help="4 to 5 mm, about 2 mm, or as sent.",
)
@click.option(
    "--lesions", default=0.75, show_default=True, type=click.FloatRange(0, 1), help="Share of cases with a lesion."
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    default=("pdac", "cyst", "pnet"),
    show_default=True,
    type=click.Choice(["pdac", "cyst", "pnet"]),
    help="Of lesions; may be given several times.",
)
@click.option(
    "--weak",
    type=click.Choice(["slice_mask", "slices", "recist", "recist_both", "box", "point", "scribble"]),
    help="Weak labels of this sort for every case that is not labelled.  [default: a slice mask, a diameter or none]",
)
@click.option("--prefix", default=None, help="Start of the case ids.  [default: phantom-SITE-]")
def phantom(
    folder: Path,
    count: int,
    labelled: int,
    seed: int,
    site: str,
    size: str,
    lesions: float,
    kinds: tuple[str, ...],
    weak: str | None,
    prefix: str | None,
) -> None:
    """Make CT-like abdominal phantoms with reference labels in FOLDER.

    FOLDER gets images/, reference/ (all labels), labels/ (the labelled cases), weak/ (weak labels of the
    others) and phantoms.csv. A case depends on seed, site, size and its number alone.
    """
    from voxledger.phantom.make import write_phantoms
    from voxledger.phantom.scanner import Size

    rows = write_phantoms(
        folder,
        count,
        seed=seed,
        site=site,
        size=Size(size),
        labelled=labelled,
        lesion_share=lesions,
        kinds=kinds,
        prefix=prefix,
        weak=weak or "",
    )
    marked = sum(bool(row["weak_label"]) for row in rows)
    ill = sum(bool(row["lesion"]) for row in rows)
    click.echo(f"{len(rows)} phantoms in {folder}: {ill} with lesions, {labelled} labelled, {marked} weakly labelled")
