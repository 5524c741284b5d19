"""The version of ArviZ: 0.x has `InferenceData`, 1.x `xarray.DataTree` and other plots."""


def is_former_arviz() -> bool:
    """Whether ArviZ is version 0.x."""
    # Lazy import: with Matplotlib and pandas it takes as long as everything else together.
    import arviz

    # By version, since ArviZ 1.x still has `arviz.InferenceData`, which is `DataTree` with a warning.
    return str(arviz.__version__).startswith("0.")
