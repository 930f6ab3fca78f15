"""`python -m hierclf.benchmark`."""

from hierclf.benchmark.run import main

main()
