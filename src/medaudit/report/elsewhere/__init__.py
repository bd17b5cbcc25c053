"""Does a model stay fair elsewhere? Comparisons of a study's runs at home and on external cohorts."""
