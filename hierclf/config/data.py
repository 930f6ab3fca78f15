"""The sections of the configuration on images and their division into folds."""

import codecs
import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from hierclf.config.space import Strict


class DataConfig(Strict):
    """Where the images are and how they are stored once decoded."""

    path: str = "demo"
    """A folder, a table (CSV, TSV, JSON lines or Parquet), a tar or a pattern of tars, a set by
    name (`hf://OWNER/NAME`, `torchvision:NAME`), or `demo` / `demo:SEED`."""

    @field_validator("path")
    @classmethod
    def _is_text(cls, path: str) -> str:
        try:
            path.encode()
        except UnicodeEncodeError:
            raise ValueError(f"path must be UTF-8 text, but got {path!a}") from None
        return path

    columns: str | None = None
    """The columns of a table of image files, as `image=COLUMN,super=COLUMN,sub=COLUMN` (also
    `group` and `split`); those that are not given are known by their names."""
    hierarchy: str | None = None
    """A table that gives each sub-class its super-class (`sub,super`), for data that name
    sub-classes only; by default hierarchy.csv beside the data."""
    size: Annotated[int, Field(ge=16, le=1024)] | None = None
    """Side of the decoded images in pixels; None keeps the size that all images share."""
    max_bad_share: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of unreadable images above which nothing starts."""
    stream: bool = False
    """Read Parquet files anew in every epoch instead of keeping their images decoded."""
    group_by: str | None = None
    """A regular expression, searched for in each image name. Images of which its first capture
    group (the whole match where it has none) is the same stay together in every train / validation
    split. It replaces the column `group`; `.+` lets each image be on its own."""

    normalise_names: bool = False
    """Make one class of those whose names differ in case, spaces, hyphens or form of letters."""
    zip_encoding: str | None = None
    """Of names in zips that are not marked as UTF-8, such as `cp932`; by default they are matched
    with the image names of the table."""
    truncated: Literal["refuse", "keep"] = "refuse"
    """JPEG files that end early: `keep` fills what is missing with grey, as browsers do."""
    novel: str | None = None
    """Images of classes that are not known: a folder, a CSV or a Parquet file, labelled at either
    level or not at all (see `hierclf.data.novel`). Each class takes part in choosing thresholds
    and, where it did not choose, in judging them; nothing is trained on them, except on half of
    the classes with train.outlier."""
    generated: str | None = None
    """Synthetic images of no known class, such as those of a diffusion model, given as those of
    `novel`: with train.outlier they train, and they never choose or judge. Those without a
    super-class count as of none that is known."""
    unlabelled: str | None = None
    """Images without labels, as `hierclf predict` takes them, which the first epochs of
    train.self_supervised see, too. They must not be of classes whose figures are to be believed."""

    @field_validator("zip_encoding")
    @classmethod
    def _is_an_encoding(cls, name: str | None) -> str | None:
        try:
            codecs.lookup(name or "utf-8")
        except LookupError:
            raise ValueError(f"must be an encoding that Python knows, but got {name!r}") from None
        return name

    @field_validator("group_by")
    @classmethod
    def _is_a_pattern(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(
                f"must be a regular expression, but got {pattern!r}: {error}"
            ) from None
        return pattern


class FoldConfig(Strict):
    """Class-holdout folds."""

    sub: Annotated[int, Field(ge=2)] = 5
    """Folds that each hide one part of the sub-classes."""
    super: Annotated[int, Field(ge=0)] = 5
    """Folds that each hide one whole super-class; at most one for each is made."""
    mixed: Annotated[int, Field(ge=0)] = 0
    """Folds that each hide one whole super-class and a share of the sub-classes of the others."""
    mixed_share: Annotated[float, Field(gt=0, lt=1)] = 0.4
    """The share of the sub-classes that a mixed fold hides."""
    val_fraction: Annotated[float, Field(gt=0, lt=0.9)] = 0.15
    """The share of the images of known classes that is kept for validation."""
