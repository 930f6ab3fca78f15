"""Image classification with two levels of classes that recognises novel classes.

>>> import hierclf
>>> model = hierclf.load("results/runs/demo/model")
>>> table = model.predict("photos")

Importing this package imports nothing else: torch is imported at the first use of a name below.
"""

from typing import TYPE_CHECKING

__all__ = ["Model", "OpenSetClassifier", "__version__", "load"]

if TYPE_CHECKING:
    from hierclf.classifier import OpenSetClassifier
    from hierclf.model import Model, load

    __version__: str
else:

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from hierclf.version import package_version

            return package_version("hierclf")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name == "OpenSetClassifier":
            from hierclf.classifier import OpenSetClassifier

            return OpenSetClassifier
        from hierclf import model

        return getattr(model, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
