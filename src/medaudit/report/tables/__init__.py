"""Tables of a study: numbers, how to show them, and files in three formats."""
