"""`dataset.yaml`: what only people can say of a dataset, for the descriptions of its releases.

Every entry may be missing: nothing is made up in its place, and whoever describes a release is told what is not said.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.textfile import line_of, parse_yaml, read_text_if_there


class Creator(BaseModel):
    """A person or institution that made the dataset, as it is cited."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    affiliation: str = ""
    orcid: str = Field(default="", pattern=r"^(\d{4}-\d{4}-\d{4}-\d{3}[\dX])?$")


class DatasetDescription(BaseModel):
    """All of `dataset.yaml`; the description of an entry is the question that it answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(default="", description="what is the dataset called?")
    summary: str = Field(default="", description="what is it, in a few sentences?")
    creators: tuple[Creator, ...] = Field(default=(), description="who made it, as it is cited?")
    contact: str = Field(default="", description="whom does one ask about it, or tell of an error?")
    url: str = Field(default="", description="where is it found?")
    purpose: str = Field(default="", description="for what was it made, and which gap does it fill?")
    funding: str = Field(default="", description="who paid for it?")
    collection: str = Field(default="", description="where, when, how and of whom were the images collected?")
    consent: str = Field(default="", description="did the people in the images consent, or why was that not needed?")
    ethics: str = Field(default="", description="which board looked at it, and under which number?")
    sensitive: str = Field(default="", description="what in it could harm or identify the people in the images?")
    uses: str = Field(default="", description="what may it be used for?")
    not_for: str = Field(default="", description="what must it not be used for?")
    limitations: str = Field(default="", description="what does it not show, or show badly?")
    biases: str = Field(default="", description="who or what is over- or under-represented?")
    impact: str = Field(default="", description="what good and what harm may come of it?")
    maintenance: str = Field(default="", description="who keeps it, for how long, and how are errors corrected?")
    mr_contrast: str = Field(default="", pattern=r"^[A-Za-z0-9]*$")
    """BIDS suffix of its MR images, such as `T1w`; `release export --format bids` asks for it."""

    def missing(self) -> dict[str, str]:
        """The questions that nobody answered, by the name of their entry."""
        entries = type(self).model_fields.items()
        return {n: field.description for n, field in entries if field.description and not getattr(self, n)}


def read_dataset_description(path: Path = layout.DATASET_DESCRIPTION) -> DatasetDescription:
    """What is said; a file that is not there says nothing.

    Raises
    ------
    Misuse
        Names the line and the entry that is wrong.
    """
    text = read_text_if_there(path) or ""
    if not any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
        return DatasetDescription()
    try:
        return DatasetDescription.model_validate(parse_yaml(text, path))
    except ValidationError as error:
        listed = "; ".join(
            f"line {line_of(text, e['loc'])}, {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()
        )
        raise Misuse(f"{path}: {listed}", "correct the entry: docs/releases.md lists all") from None
    except VoxledgerError as error:
        raise Misuse(error.problem, "correct the file: docs/releases.md has an example") from None
