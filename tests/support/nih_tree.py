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
REAL_2017 = (
    b"Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    b"OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\r\n"
    b"00000001_000.png,Cardiomegaly,000,00000001,058Y,M,PA,2682,2749,0.143,0.143\r\n"
    b"00000001_001.png,Cardiomegaly|Emphysema,001,00000001,058Y,M,PA,2894,2729,0.143,0.143\r\n"
    b"00000001_002.png,Cardiomegaly|Effusion,002,00000001,058Y,M,PA,2500,2048,0.168,0.168\r\n"
)
"""First bytes of the real ``Data_Entry_2017.csv``: only its header ends with a comma."""
SAMPLE = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImageWidth,OriginalImageHeight,OriginalImagePixelSpacing_x,OriginalImagePixelSpacing_y\n"
    "00000013_005.png,Emphysema|Infiltration,005,00000013,060Y,M,AP,3056,2544,0.139,0.139\n"
    "00000013_026.png,Cardiomegaly|Emphysema,026,00000013,057Y,M,AP,2500,2048,0.168,0.168\n"
)
"""The layout of Kaggle's ``sample_labels.csv``."""
