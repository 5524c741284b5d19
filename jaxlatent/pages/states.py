"""What the states of a hidden Markov model do: the figure of `jaxlatent.plots.states`."""

from typing import cast

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from jaxlatent.errors import InputError
from jaxlatent.latent.hidden_markov import HiddenMarkov
from jaxlatent.pages.data import observed_by
from jaxlatent.pages.html import Html, paragraph
from jaxlatent.pages.images import image
from jaxlatent.pages.study import Study
from jaxlatent.plots.states import states


def state_parts(study: Study) -> list[Html]:
    """The figure of the states; nothing for other models, and where every lane failed.

    Datasets of a batch may have their states in different orders: only those that were aligned are drawn together.
    """
    result = study.result
    chains = [d for d in observed_by(result).values() if isinstance(d, HiddenMarkov)]
    if not chains or study.best is None:
        return []
    where, hint = "", ""
    if result.names is not None:
        usable = [name for name in result.names if name not in result.failed]
        if not usable:
            return []
        if "agreement" in result.statistics:
            where = f" in {len(usable):,} datasets with aligned states"
        else:
            result, where = result[usable[0]], f" in {usable[0]}"
            hint = " To have all datasets in one figure, align their states first, with result.align."
    try:
        axes = states(result)
    except InputError as problem:
        return [paragraph(f"There is no figure of the states: {problem.got}.")]
    figure = cast(Figure, axes["weights"].figure)
    plt.close(figure)
    drawn = ", ".join(axes)
    caption = f"What each state does{where}: {drawn}. A state has one colour in all panels.{hint}"
    return [image(figure, f"Panels of hidden states: {drawn}.", caption)]
