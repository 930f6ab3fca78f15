"""A trained model in Python: images in, tables out.

Shape legend: N images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd
import torch

from hierclf.bundle.directory import Bundle, load_bundle
from hierclf.data.cache import default_cache_dir
from hierclf.data.python_images import Batches, Images, Numbered, named_images, rows_in_order
from hierclf.explanations.background import Background, read_background
from hierclf.explanations.form import Explanation
from hierclf.explanations.images import explain_images
from hierclf.hierarchy import LEVELS, Hierarchy
from hierclf.hub.addresses import local_model
from hierclf.hub.folder import write_folder
from hierclf.hub.repository import push
from hierclf.nets.inference import pick_device
from hierclf.predict import predict_batches, score_batches
from hierclf.rules.answers import NUMBERS
from hierclf.rules.rule import Rule

_PREDICTED = {
    **dict.fromkeys(("superclass_index", "subclass_index"), "Int64"),
    **dict.fromkeys(("superclass", "subclass"), "str"),
    **dict.fromkeys(NUMBERS, "float32"),
}


def load(directory: str | Path, *, device: str | torch.device = "auto") -> Model:
    """Load a model directory, as a search writes it to `results/runs/NAME/model`.

    Nothing in it is unpickled or executed.

    Args:
        directory: the model directory; or a repository of the Hugging Face Hub, as
            "hf://OWNER/NAME" or "hf://OWNER/NAME@REVISION", which is downloaded (extra hub); or
            an address such as "s3://BUCKET/FOLDER", which is fetched.
        device: "cpu", "cuda", "cuda:1", ...; "auto" is a GPU where there is one.

    Raises:
        ValueError: not a model directory, one of another schema, a damaged one, or a device that
            does not exist; one line.

    >>> model = load("results/runs/demo/model", device="cpu")
    >>> model.hierarchy.super_names
    ('bird', 'dog')
    """
    return Model(load_bundle(local_model(directory)), pick_device(str(device)))


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A trained network with its scores and thresholds. Immutable.

    Attributes:
        bundle: what the model directory holds.
        device: where the network runs.
    """

    bundle: Bundle
    device: torch.device

    def __repr__(self) -> str:
        hierarchy = self.hierarchy
        return (
            f"Model({self.bundle.backbone}, {hierarchy.n_super} super-classes, "
            f"{hierarchy.n_sub} sub-classes, on {self.device})"
        )

    @property
    def hierarchy(self) -> Hierarchy:
        """Names, ids and parents of the known classes, and the novel ids."""
        return self.bundle.hierarchy

    @property
    def thresholds(self) -> Rule | None:
        """The rule that decides, a score and a threshold for each level; None without one."""
        return self.bundle.rule

    def with_thresholds(
        self, *, super_tau: float | None = None, sub_tau: float | None = None
    ) -> Model:
        """The same model with other thresholds; scores and network stay.

        A lower threshold calls more images novel. `hierclf thresholds` chooses thresholds for a
        goal and says what accuracy to expect.

        Args:
            super_tau: novel super-class iff its score > super_tau, in the score's unit; None
                leaves it as it is.
            sub_tau: the same of the sub-class.

        Raises:
            ValueError: a threshold that is not finite, or a model without thresholds.

        >>> strict = model.with_thresholds(super_tau=0.2)
        >>> strict.thresholds.super.tau
        0.2
        """
        if self.thresholds is None:
            raise ValueError("the model directory must hold thresholds.json, but has none")
        rule = self.thresholds
        if super_tau is not None:
            rule = replace(rule, super=rule.super._replace(tau=super_tau))
        if sub_tau is not None:
            rule = replace(rule, sub=rule.sub._replace(tau=sub_tau))
        return replace(self, bundle=replace(self.bundle, rule=rule))

    def predict(self, images: Images, *, batch_size: int = 64) -> pd.DataFrame:
        """Classify images, as `hierclf predict` does.

        Args:
            images: one image or an iterable of them, each of which is

                - a path of a file, str or Path. A single path may also be a folder, a .zip, a
                  'pattern' or a .parquet file, as for `hierclf predict`;
                - an encoded image (JPEG, PNG, WEBP, BMP, GIF, TIFF) as bytes;
                - a Pillow image;
                - a NumPy array, uint8 [H, W, 3], RGB, or [N, H, W, 3] for N images;
                - a torch tensor, uint8 [3, H, W], RGB, or [N, 3, H, W] for N images.

                Pixels of any other type, floats among them, have no agreed range and get an error.
            batch_size: images that pass the network at a time.

        Returns:
            N rows in the order of the images, with the columns

            - image: the path as given, or as `hierclf predict` calls it if a single one was given;
              the position ("0", "1", ...) for anything but a path;
            - superclass_index, subclass_index (Int64): ids of the data set's mapping files, the
              novel id for novel;
            - superclass, subclass: names, "novel" for novel;
            - super_prob, sub_prob (float32, 0..1): softmax probability of the best known class at
              the calibrated temperature, whether or not it was rejected as novel;
            - super_score, sub_score (float32): what the thresholds are compared with, higher = more
              novel;
            - super_novel_prob, sub_novel_prob (float32, 0..1): probability of being novel where as
              many images are novel as known; NaN for a model without calibration;
            - error: None, or why the image could not be read; the row's other values are missing.

        Raises:
            ValueError: a model without thresholds, `images` of another type, a single path where
                nothing is found, or a network output that is not finite.

        >>> table = model.predict(["photos/0.png", "photos/1.png", "photos/torn.png"])
        >>> table[["superclass", "subclass"]].values.tolist()[:2]
        [['bird', 'novel'], ['dog', 'pug']]
        >>> table["error"][2]
        'image file is truncated'
        """

        def predicted(numbered: Numbered) -> Batches:
            return predict_batches(
                self.bundle,
                numbered,
                batch_size=batch_size,
                device=self.device,
                skip_unreadable=True,
            )

        return rows_in_order(images, predicted, _PREDICTED)

    def scores(self, images: Images, *, batch_size: int = 64) -> pd.DataFrame:
        """All novelty scores that were fitted for the model, of both levels.

        Args:
            images: as for `predict`.
            batch_size: images that pass the network at a time.

        Returns:
            N rows in the order of the images with image and error, as `predict` returns them, and
            between them super_NAME and sub_NAME (float32, higher = more novel) for each score.

        Raises:
            ValueError: as `predict`, but no thresholds are needed.

        >>> model.scores("photos/0.png").columns.tolist()
        ['image', 'super_msp', 'sub_msp', 'super_knn', 'sub_knn', 'error']
        """

        def scored(numbered: Numbered) -> Batches:
            return score_batches(self.bundle, numbered, batch_size=batch_size, device=self.device)

        names = [f"{level}_{name}" for name in self.bundle.scores for level in LEVELS]
        return rows_in_order(images, scored, dict.fromkeys(names, "float32"))

    def explain(self, images: Images, *, batch_size: int = 64) -> list[Explanation]:
        """Why `predict` answers as it does.

        Args:
            images: as for `predict`.
            batch_size: images that pass the network at a time.

        Returns:
            A dictionary per image, in order, that JSON can hold; `hierclf.explanations.form`
            describes its keys. Unreadable images have an `error` and nothing else.

        Raises:
            ValueError: as `predict`.

        >>> why = model.explain("photos/0.png")[0]["sub"]
        >>> why["decision"], why["nearest"], why["margin"] > 0
        ('novel', 'owl', True)
        >>> [term["name"] for term in why["terms"]]
        ['knn']
        """
        found = explain_images(
            self.bundle,
            named_images(images),
            background=self.background,
            batch_size=batch_size,
            device=self.device,
        )
        return list(found)

    def add_classes(
        self,
        place: str | Path,
        out: str | Path,
        *,
        subclass: str | None = None,
        superclass: str | None = None,
        images: str | Path | None = None,
        new_super: bool = False,
        data: str | None = None,
    ) -> Model:
        """Write a model directory that knows new classes, too, as `hierclf add-class` does.

        Needs a frozen backbone and the training data. This model and its directory stay.

        Args:
            place: images of one class, as `predict` takes a single path; or a table that names
                the classes of its images, such as the novel.csv of `hierclf novel`.
            out: the new model directory; must not exist.
            subclass, superclass: of the images; None where `place` is a table.
            images: where the table's images are; None beside it.
            new_super: whether a super-class may be new.
            data: where the training data are now; None where they were.

        Returns:
            The new model, on the same device.

        Raises:
            ValueError: known or unclear names, images that are training images already, fewer than
                two of a class, a backbone that was trained, missing training data; one line.
        """
        from hierclf.additions.grow import add_classes
        from hierclf.additions.labelled import new_images

        if self.bundle.directory is None:
            raise ValueError("classes are added to a model that was loaded from a directory")
        new = new_images(
            str(place),
            subclass=subclass,
            superclass=superclass,
            images=None if images is None else str(images),
        )
        grown = add_classes(
            self.bundle.directory,
            Path(out),
            new,
            cache_dir=default_cache_dir(),
            device=self.device,
            new_super=new_super,
            data=data,
        )
        return load(grown.directory, device=self.device)

    def save_pretrained(self, folder: str | Path, *, license: str | None = None) -> None:
        """Write a repository of the Hugging Face Hub: a model directory with a model card.

        Names of training images stay behind. `load` reads it.

        Args:
            folder: must not exist.
            license: of the model, an identifier of the Hub such as "apache-2.0".

        Raises:
            ValueError: a model without thresholds, or a folder that exists.
        """
        write_folder(self.bundle, Path(folder), license=license)

    def push_to_hub(self, repo_id: str, *, private: bool = True, license: str | None = None) -> str:
        """Upload the model to the Hugging Face Hub (extra hub), after `hf auth login`.

        Args:
            repo_id: OWNER/NAME; created where it is missing.
            private: whether a new repository is.
            license: of the model, an identifier of the Hub such as "apache-2.0".

        Returns:
            The address of the new commit.

        Raises:
            ValueError: a model without thresholds, the Hub refuses or cannot be reached; one line.
        """
        return push(self.bundle, repo_id, private=private, license=license)

    @cached_property
    def background(self) -> Background:
        """What explanations compare images with, and what is missing for it."""
        return read_background(self.bundle)
