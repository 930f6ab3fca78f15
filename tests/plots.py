"""What tests of plots draw from, and what they look at afterwards."""

from pathlib import Path

import pytest
from PIL import Image

from hierclf.rules.rule import LevelRule, Rule
from tests.drawn_tables import draw_table

RULE = Rule(LevelRule("knn", 0.22), LevelRule("energy", 6.0))
TABLES = {
    "both levels": draw_table(900),
    "no novel super-class": draw_table(900).query("super_known").reset_index(drop=True),
    "nothing novel": draw_table(900).query("sub_known").reset_index(drop=True),
    "nothing known": draw_table(2000).query("not super_known").reset_index(drop=True),
    "constant scores": draw_table(300).assign(super_knn=0.5, sub_energy=2.0),
}


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of a picture that is a complete PNG at 150 dots an inch."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)
        image.load()
        assert len(set(image.convert("L").tobytes())) > 10
        return image.size
