"""Augmentations without isotropy: what two views share, and what survives (arXiv 2102.06810, appendix D).

An augmentation is known by two matrices: `same_MM` = E[x1 x1^T] of one view with itself, `across_MM` = E[x1 x2^T]
of two views of one data point (the paper's Sigma^s and Sigma^d). In `linear`, X = across and X' = same - across.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

Array = NDArray[np.float64]


def additive_noise(data_MM: Array, noise_MM: Array) -> tuple[Array, Array]:
    """(same, across) of x + n with covariance `noise_MM`: noisy directions are attenuated."""
    return data_MM + noise_MM, data_MM


def multiplicative_scrambling(data_MM: Array, basis_MK: Array) -> tuple[Array, Array]:
    """(same, across) where the subspace of the orthonormal `basis_MK` is multiplied by a Gaussian matrix.

    A fresh K x K matrix of independent standard normal entries for each view; the complement (projector P)
    stays. Exactly: across = P S P and same = P S P + tr(U^T S U) U U^T for data S. The paper prints same = S,
    and needs S to commute with P for across same^-1 = P; with the exact form that holds for any S.
    """
    complement = np.eye(data_MM.shape[0]) - basis_MK @ basis_MK.T
    across = complement @ data_MM @ complement
    scrambled = np.trace(basis_MK.T @ data_MM @ basis_MK) * (basis_MK @ basis_MK.T)
    return across + scrambled, across


def surviving_operator(same_MM: Array, across_MM: Array) -> Array:
    """across same^-1. A pair with W_p W = W across same^-1 and W_a = W is a fixed point without weight decay.

    Without predictor (W_p = I) anything but W = 0 needs an eigenvalue of exactly 1.
    """
    return np.asarray(np.linalg.solve(same_MM, across_MM).T, dtype=np.float64)


def eigenvector_solution(same_MM: Array, across_MM: Array, rank: int) -> tuple[Array, Array]:
    """(W, W_p): the `rank` leading left eigenvectors of `surviving_operator` as rows, and their eigenvalues.

    A fixed point without weight decay; S W and S W_p S^-1 give another for any invertible S.
    """
    values, vectors = eigh(across_MM, same_MM)
    leading = np.argsort(values)[::-1][:rank]
    return vectors[:, leading].T, np.diag(values[leading])


def scalar_flow(
    w: Array, w_p: Array, w_a: Array, *, same: float, across: float, alpha_p: float, beta: float
) -> tuple[Array, Array, Array]:
    """(dw, dw_p, dw_a) of one mode where both matrices commute: one eigenvalue each, no weight decay.

    For alpha_p = 1 the line w = w_p is invariant; on it the origin is unstable, w = w_a = across / same stable.
    """
    residual = w_a * across - w_p * w * same
    return w_p * residual, alpha_p * residual * w, beta * (w - w_a)
