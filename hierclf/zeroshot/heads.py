"""Heads whose weights are the prompts of a fold's known classes, in place of training."""

import torch

from hierclf.nets.two_heads import TwoHeads
from hierclf.scores.logit import CLIP_SCALE
from hierclf.training.fold_run import FoldRun
from hierclf.zeroshot.prompts import Prompts


def set_prompts(run: FoldRun, prompts: Prompts) -> None:
    """Make a fold's logits cosines with its classes' prompts, times `CLIP_SCALE`.

    Args:
        run: two heads on unit features of the prompts' model, without the novel unit.
        prompts: of all classes; those that the fold hides are left out.
    """
    heads = run.net
    assert isinstance(heads, TwoHeads)
    fold = run.fold
    with torch.no_grad():
        for head, vectors in (
            (heads.super_head, prompts.super[fold.known_super]),
            (heads.sub_head, prompts.sub[fold.known_sub]),
        ):
            head.weight.copy_(CLIP_SCALE * torch.from_numpy(vectors))
            head.bias.zero_()
