"""The page's parts, and what happens when one changes."""

from pathlib import Path
from typing import Any

import gradio as gr

from hierclf.app.images import NOTHING, Seen, explain_image, judge_images, see_images
from hierclf.app.moves import Moves
from hierclf.app.parts import Pictures, answers, figures, heading, reasons
from hierclf.errors import one_line
from hierclf.hierarchy import LEVELS, Level
from hierclf.serving.limits import Limits

_CLASSES = ["hierclf"]
_SESSIONS = 100
"""Browsers whose images are remembered at a time."""
_FORGET_S = 3600


class Page:
    """What the handlers of the page's events share.

    Args:
        moves: the model.
        training: pictures of training images; None if nobody said where they are.
        limits: of uploads.
    """

    def __init__(self, moves: Moves, training: Pictures | None, limits: Limits) -> None:
        self.moves, self.training, self.limits = moves, training, limits

    def see(self, paths: list[str] | None, super_tau: float, sub_tau: float) -> tuple[Any, ...]:
        """New images: what the network saw, the choice of one to explain, and their answers."""
        files = [Path(path) for path in paths or ()]
        try:
            seen = see_images(self.moves.model, files, self.limits)
        except ValueError as error:
            seen = NOTHING._replace(unreadable=[("not looked at", one_line(error))])
        finally:
            for file in files:
                file.unlink(missing_ok=True)  # nobody's images stay on the disk
        choices = [(name, number) for number, name in enumerate(seen.names)]
        first = 0 if choices else None
        chosen = gr.Dropdown(choices=choices, value=first, visible=bool(choices))
        return seen, None, chosen, *self.decide(seen, first, super_tau, sub_tau)

    def decide(
        self, seen: Seen, number: int | None, super_tau: float, sub_tau: float
    ) -> tuple[str, str]:
        """Answers and reasons at thresholds; the network is not asked again."""
        try:
            moved = self.moves.to(super_tau, sub_tau)
            cards = answers(seen, judge_images(moved, seen))
            if number is None or not seen.names:
                return cards, ""
            return cards, reasons(explain_image(moved, seen, number), self.training)
        except ValueError as error:
            raise gr.Error(one_line(error), print_exception=False) from None

    def expect(self, super_tau: float, sub_tau: float) -> str:
        """The figures at thresholds."""
        try:
            return figures(self.moves, self.moves.to(super_tau, sub_tau))
        except ValueError as error:
            raise gr.Error(one_line(error), print_exception=False) from None


def build_page(page: Page, name: str) -> gr.Blocks:
    """The page.

    Args:
        page: the handlers.
        name: of the model, to show.
    """
    moves = page.moves
    starts = [moves.ranges[level].start for level in LEVELS]
    with gr.Blocks(title=f"{name} - hierclf", analytics_enabled=False) as blocks:
        seen = gr.State(NOTHING, time_to_live=_FORGET_S)
        gr.HTML(heading(moves.model, name), elem_classes=_CLASSES)
        with gr.Row():
            drop = gr.File(label=_drop_label(page.limits), file_count="multiple", elem_id="drop")
            with gr.Column():
                taus = [_slider(moves, level) for level in LEVELS]
                back = gr.Button("Back to the deployed thresholds", size="sm", elem_id="back")
        with gr.Row():
            with gr.Column(scale=3):
                cards = gr.HTML(elem_classes=_CLASSES, elem_id="answers")
                chosen = gr.Dropdown(label="Why?", visible=False, elem_id="chosen")
                why = gr.HTML(elem_classes=_CLASSES, elem_id="why")
            with gr.Column(scale=2):
                expected = gr.HTML(page.expect(*starts), elem_classes=_CLASSES, elem_id="figures")
        shown: list[Any] = [cards, why]
        asked: list[Any] = [seen, chosen, *taus]
        own: dict[str, Any] = {"api_visibility": "private"}
        moving = own | {"show_progress": "hidden", "trigger_mode": "always_last"}
        drop.upload(page.see, [drop, *taus], [seen, drop, chosen, *shown], **own)
        chosen.input(page.decide, asked, shown, **moving)
        for tau in taus:
            tau.change(page.decide, asked, shown, **moving)
            tau.change(page.expect, taus, expected, **moving)
        back.click(lambda: starts, None, taus, **own | {"show_progress": "hidden"})
    blocks.state_session_capacity = _SESSIONS
    return blocks


def _drop_label(limits: Limits) -> str:
    return f"Images: at most {limits.max_images}, {limits.max_bytes / 2**20:.3g} MiB together"


def _slider(moves: Moves, level: Level) -> gr.Slider:
    places = moves.ranges[level]
    return gr.Slider(
        places.low,
        places.high,
        places.start,
        step=places.step,
        label=f"{level}_tau: a {level}-class is novel above it",
        buttons=[],
        elem_id=f"{level}_tau",
    )
