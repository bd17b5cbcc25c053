"""Weights files: find and verify them, read every format safely, load them strictly."""
