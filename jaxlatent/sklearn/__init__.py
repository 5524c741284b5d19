"""Estimators for scikit-learn: mixtures of normals, hidden Markov models with normal emissions, and GLM-HMMs.

They are the ready families of `jaxlatent.models` fitted by `jaxlatent.EM`, under the names, shapes and conventions of scikit-learn and
hmmlearn. `jaxlatent.sklearn` is imported when it is first used, and needs ``pip install 'jaxlatent[sklearn]'``.
"""

try:
    import sklearn  # noqa: F401 (only to see whether it is there)
except ImportError as error:
    raise ImportError(
        "jaxlatent.sklearn needs scikit-learn, which is not installed: pip install 'jaxlatent[sklearn]'"
    ) from error

from jaxlatent.sklearn.gaussian_hmm import GaussianHMM
from jaxlatent.sklearn.gaussian_mixture import GaussianMixture
from jaxlatent.sklearn.glm_hmm import GLMHMM

__all__ = ["GLMHMM", "GaussianHMM", "GaussianMixture"]
