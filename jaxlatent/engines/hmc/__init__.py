"""What the Hamiltonian Monte Carlo samplers, NUTS and ChEES, share: leapfrog step, metric, step size, and the stages of a run."""
