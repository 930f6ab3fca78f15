"""An evaluation as a table and as notes, for a terminal."""

from rich.table import Table

from hierclf.commands.evaluate import Evaluation
from hierclf.counts import counted
from hierclf.hierarchy import LEVELS
from hierclf.metrics.accuracy import PARTS
from hierclf.metrics.text import percent

_SHOWN = 3


def evaluation_table(result: Evaluation) -> Table:
    """Accuracies in per cent beside the two constant predictions."""
    table = Table()
    table.add_column("accuracy, %")
    for title in ("images", "predictions", "always novel", "never novel, at best"):
        table.add_column(title, justify="right")
    for level in LEVELS:
        for part in (*PARTS, "harmonic"):
            key = f"{level}_{part}"
            values = (result.accuracies, result.always_novel, result.never_novel)
            cells = [percent(figures[key], 2) for figures in values]
            images = str(result.counts[key]) if key in result.counts else ""
            table.add_row(f"{level} {part}", images, *cells, end_section=part == "harmonic")
    return table


def evaluation_notes(result: Evaluation) -> list[str]:
    """Images with a label or a prediction only, and classes that are not known; one line each."""
    notes = []
    if result.missing:
        images = _some_names(result.missing)
        notes.append(f"{len(result.missing)} labelled images without prediction, wrong: {images}")
    if result.unlabelled:
        images = _some_names(result.unlabelled)
        notes.append(f"{len(result.unlabelled)} predicted images without label, left out: {images}")
    if result.new_classes:
        count = counted(len(result.new_classes), "class is", "classes are")
        notes.append(f"{count} none of the model's, novel: {_some_names(result.new_classes)}")
    return notes


def _some_names(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
