"""How results are worded: names, numbers, phrases, disclaimers."""
