"""Words for a reader: names, numbers, phrases and disclaimers."""
