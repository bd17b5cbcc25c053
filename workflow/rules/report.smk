# INPUTS  results/evaluate, results/disparity, cards
# OUTPUTS results/compare, results/tables, results/figures, results/report.html, results/run.json
