"""Why non-contrastive learning does not collapse, for linear networks, in float64 (arXiv 2102.06810 and 2110.04947).

Reading order, from the paper's exact equations to one mode's fate:

1. `linear`: the exact flow of online network, predictor and target as matrices; its loss, invariant, collapse.
2. `alignment`: why predictor and correlation matrix come to share their eigenvectors.
3. `dynamics`: once aligned, each mode alone: (p, s, tau).
4. `fixed_points`: where a mode ends, and the threshold that decides it.
5. `phase`: maps of that fate over decay, start and EMA; `forecast`: one mode's fate in plain sentences.
6. `directset`: the predictor set to a power of the correlation matrix; weight decay as a threshold.
7. `setting`: from a training's numbers, or a recipe's, to the flow's, with what the flow lacks of them.
8. `overlay`: the theory laid over a run, and said in words.
9. `figures`: the papers' synthetic figures, drawn anew, and an overlay's.

`integration` follows a flow through time for all of them. Only NumPy and SciPy are used, no torch.
"""
