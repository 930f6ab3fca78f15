"""`report.html` of a run: one file that a browser opens without a network."""
