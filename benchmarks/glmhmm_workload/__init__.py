"""The study that users of GLM-HMMs run: 37 mice, 2 to 5 states, 5 folds, 20 starts, then each animal by itself."""
