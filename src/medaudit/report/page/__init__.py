"""The HTML page: its answers, sections and the record of the run."""
