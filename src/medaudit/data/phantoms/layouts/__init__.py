"""Invented tables in the layouts of other owners, for trying the entries of the loader `columns`.

``WRITERS[dataset](folder, patients, rng)`` writes the tables of a dataset, with two images per
patient, and for datasets whose headers are data the DICOM files. Names of columns, codes and folders
are the owners'; values are random and mean nothing. `medaudit.data.phantoms.export` adds pictures.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from medaudit.data.phantoms.layouts import breast, chest, eye, skin

WRITERS: dict[str, Callable[[Path, int, np.random.Generator], None]] = {
    "mimic_cxr": chest.write_mimic_cxr,
    "chexpert_plus": chest.write_chexpert_plus,
    "padchest": chest.write_padchest,
    "vindr_cxr": chest.write_vindr_cxr,
    "brax": chest.write_brax,
    "midrc": chest.write_midrc,
    "embed": breast.write_embed,
    "brset": eye.write_brset,
    "mbrset": eye.write_mbrset,
    "odir5k": eye.write_odir5k,
    "fairvlmed10k": eye.write_fairvlmed10k,
    "fairvision_amd": eye.write_fairvision_amd,
    "fairvision_dr": eye.write_fairvision_dr,
    "fairvision_glaucoma": eye.write_fairvision_glaucoma,
    "isic2019": skin.write_isic2019,
    "isic2020": skin.write_isic2020,
    "pad_ufes_20": skin.write_pad_ufes_20,
    "ddi": skin.write_ddi,
    "scin": skin.write_scin,
}
"""Writer of the tables of each dataset, by its name in the catalogue."""
