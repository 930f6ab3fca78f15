"""Predict with an exported model from a command line, one JSON object a line.

python -m hierclf.runtime FOLDER IMAGE [IMAGE ...]
"""

import argparse
import json
import sys

from hierclf.errors import one_line_errors
from hierclf.runtime.predictor import load


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hierclf.runtime", description=__doc__)
    parser.add_argument("folder", help="what `hierclf export` wrote")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files")
    options = parser.parse_args()
    with one_line_errors("hierclf.runtime", debug=False):
        for row in load(options.folder).predict(options.images):
            json.dump(row, sys.stdout)
            print()


if __name__ == "__main__":
    main()
