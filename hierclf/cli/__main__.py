"""`python -m hierclf.cli`: the same as `hierclf`."""

from hierclf.cli import main

if __name__ == "__main__":
    main()
