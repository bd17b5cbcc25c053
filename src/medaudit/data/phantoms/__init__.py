"""Phantoms: synthetic images and tables for datasets without a folder, with planted differences.

One module per kind of image, with ``render(rows, settings, image_size, threads)``: `chest` (a
package), `skin`, `fundus`, and, in the owner's unit by ``measure``, `abdomen`, `brain`, `nerve`.
Shared by them: `shapes` (soft shapes on pixel grids), `marks` (spurious marks; drawing colour
images) and `scan` (drawing scans). `tables` makes the owners' tables; `export` writes a whole
dataset to disk as its owner would ship it. `procedural` draws non-medical images for pretraining.
"""
