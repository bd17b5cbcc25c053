"""Stage `decompose`: ranking, calibration and threshold parts of gaps in TPR and FPR."""
