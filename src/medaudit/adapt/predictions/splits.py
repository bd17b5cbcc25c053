"""Words for the training, validation and test split."""

SPLITS = {
    "train": "train training trn",
    "val": "val valid validation dev tune tuning",
    "test": "test testing tst holdout hold_out evaluation",
}
KNOWN = {word: split for split, words in SPLITS.items() for word in words.split()}
