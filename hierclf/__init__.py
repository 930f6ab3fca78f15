"""Image classification with two levels of classes that recognises novel classes.

>>> import hierclf
>>> model = hierclf.load("results/runs/demo/model")
>>> table = model.predict("photos")

Importing this package imports nothing else: torch is imported at the first use of a name below.
"""

from typing import TYPE_CHECKING

__all__ = ["Model", "__version__", "load"]

if TYPE_CHECKING:
    from hierclf.model import Model, load

    __version__: str
else:

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from hierclf.version import package_version

            return package_version("hierclf")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from hierclf import model

        return getattr(model, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
