"""From a trained network to the model directory's content."""

from pathlib import Path

from hierclf.bundle.directory import Bundle
from hierclf.bundle.training_images_file import save_training_images
from hierclf.data.preprocessing import Preprocessing
from hierclf.nets.backbones import Backbone, build_backbone
from hierclf.nets.two_heads import TwoHeadNet
from hierclf.scores import State
from hierclf.scores.knn import bank_rows
from hierclf.training.fold_run import FoldRun
from hierclf.training.fold_table import fitted_rows


def bundle_from_run(run: FoldRun, states: State, *, backbone: Backbone | None = None) -> Bundle:
    """The bundle of a trained network, on the CPU; heads on frozen features get their backbone.

    Args:
        run: the trained network.
        states: from `fit_fold_scores` with the configuration's scores.
        backbone: what `config.model` names, built; None builds it.
    """
    model = run.config.model
    backbone = backbone or build_backbone(model.backbone, model.weights)
    net = run.evaluated
    net = net if isinstance(net, TwoHeadNet) else TwoHeadNet(backbone, net)  # type: ignore[arg-type]
    return Bundle(
        net=net.cpu().eval(),
        backbone=model.backbone,
        novel_output=model.novel_output,
        preprocessing=Preprocessing(
            height=run.cache.images.shape[1],
            width=run.cache.images.shape[2],
            # Several backbones take the decoded images, and each makes its own view of them.
            image_size=run.cache.images.shape[1] if model.several else model.image_size,
            crop_fraction=model.crop_fraction,
            interpolation=backbone.interpolation,
        ),
        hierarchy=run.cache.hierarchy,
        scores=run.config.thresholds.scores,
        states=states,
    )


def save_run_images(run: FoldRun, directory: Path) -> None:
    """Name the training images of a trained network in its model directory, for explanations.

    Args:
        run: the trained network, one that knows all classes.
        directory: of the model.
    """
    fitted = fitted_rows(run)
    rows = fitted[bank_rows(run.cache.sub_labels[fitted])]
    names = [run.cache.names[row] for row in rows]
    save_training_images(directory, names, run.cache.sub_labels[rows])
