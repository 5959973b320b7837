"""Maps of noise: explicit maps, folds, truncation, the implicit rule, relaxations."""
