"""Which ArviZ this is: the line 0.x has `InferenceData` and plots of its own, 1.x keeps `xarray.DataTree`."""


def is_former_arviz() -> bool:
    """Whether ArviZ is of the line 0.x."""
    # Late: with Matplotlib and pandas it takes as long to import as everything else together.
    import arviz

    # By version: ArviZ 1.x still answers to `arviz.InferenceData`, with `DataTree` and a warning.
    return str(arviz.__version__).startswith("0.")
