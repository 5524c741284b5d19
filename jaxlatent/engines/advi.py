r"""Automatic differentiation variational inference with Gaussian families, in coordinates of its own.

Maximises the ELBO of :math:`q = N(m, L L^\top)` over the location `m` and the scale `L`, diagonal or lower triangular (Kucukelbir et al.
2017). Every iteration moves in the coordinates of the current `q`: with :math:`z = m + L \epsilon` and the whitened gradient
:math:`u = L^\top \nabla \log p(z)`,

.. math:: g_m = E[u + \epsilon], \qquad G_L = \mathrm{tril}\, E[(u + \epsilon)\, \epsilon^\top],

and :math:`m \leftarrow m + L \delta_m`, :math:`L \leftarrow L e^{\Delta_L}` to first order (local parametrisation: Lin, Nielsen, Khan and Schmidt 2021). Units and
correlations of the posterior so drop out of the step size, and, the Fisher information being a constant there, plain gradient steps
are natural-gradient steps. Adding :math:`\epsilon` is "sticking the landing" (Roeder, Wu and Duvenaud 2017): the noise vanishes where `q` is
exact. Draws come in pairs :math:`\pm\epsilon`, which makes :math:`g_m` exact for a Gaussian posterior.

Iterates are averaged over windows that double in length, and two consecutive averages that agree end the run (after Dhaka et al. 2020
and Welandawe et al. 2022, who compare iterates): averages carry less of the noise of single iterates, and doubling makes sure that
noise cannot hide convergence for ever, nor slow drift pass for it.
"""
