"""The columns and a few rows of NIH ChestX-ray14's table as its owner ships it."""

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
ROWS = [
    ("00000001_000.png", "Cardiomegaly", "1", "58", "M", "PA"),
    ("00000001_001.png", "Cardiomegaly|Emphysema", "1", "58", "M", "PA"),
    ("00000002_000.png", "No Finding", "2", "81", "F", "AP"),
    ("00000013_000.png", "Hernia", "13", "5", "F", "AP"),
]
