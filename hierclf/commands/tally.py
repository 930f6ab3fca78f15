"""What came of the images of a prediction: counted, and told."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hierclf.counts import counted
from hierclf.data.image_kind import is_other_image, kinds_left_out
from hierclf.data.listing import Problem, short_list
from hierclf.errors import visible


@dataclass
class Tally:
    """Counts of predicted images, and the unreadable ones.

    Attributes:
        known: images of a known super- and sub-class.
        novel_super: images of a novel super-class, which implies a novel sub-class.
        novel_sub: images of a novel sub-class of a known super-class.
        unreadable: (name, reason) of each image that is not in the file.
        left_out: paths of files in the same place that are no images.
    """

    known: int = 0
    novel_super: int = 0
    novel_sub: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    left_out: Sequence[str] = ()

    @property
    def predicted(self) -> int:
        """The number of images in the file."""
        return self.known + self.novel_super + self.novel_sub

    def add(self, part: "Tally") -> None:
        """Add the counts of another part of the same place's images."""
        self.known += part.known
        self.novel_super += part.novel_super
        self.novel_sub += part.novel_sub
        self.unreadable += part.unreadable


def print_tally(tally: Tally, out: Path | str) -> None:
    """What came of the images, and where it was written."""
    images = [path for path in tally.left_out if is_other_image(path)]
    if images:
        print(visible(kinds_left_out(images)), file=sys.stderr)
    if n := len(tally.left_out) - len(images):
        first = next(path for path in tally.left_out if not is_other_image(path))
        files = counted(n, "file that is not an image", "files that are not images")
        print(visible(f"left out: {files} (first: {first})"), file=sys.stderr)
    problems = [Problem(name, reason, False) for name, reason in tally.unreadable]
    for problem in short_list(problems):
        print(visible(f"unreadable: {problem.where}: {problem.what}"), file=sys.stderr)
    if n := len(tally.unreadable):
        absent = counted(n, "unreadable image is", "unreadable images are")
        print(f"{absent} not in {out}", file=sys.stderr)
    print(
        f"{counted(tally.predicted, 'image')} predicted: {tally.known:,} known, "
        f"{tally.novel_super:,} of a novel super-class, {tally.novel_sub:,} of a novel sub-class "
        f"of a known super-class\nwrote {out}"
    )
