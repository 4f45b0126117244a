"""Constraints that a trained predictor is put back under after every optimiser step, each in place on its weights.

From the authors' code of arXiv 2102.06810 (the paper's Tables 3 and 5 use the symmetric ones). There, a matrix is
added to its own transpose in place, which older PyTorch got silently wrong and newer refuses; here it is done as meant.
`trained.py` applies them. Shapes: D projector outputs, H hidden units.
"""

import torch
from torch import Tensor


def symmetric(W_DD: Tensor) -> None:
    """W ← (W + Wᵀ) / 2."""
    W_DD.copy_((W_DD + W_DD.T) / 2)


def symmetric_norm(W_DD: Tensor) -> None:
    """`symmetric`, then divided by the largest eigenvalue if that exceeds 0.01 in magnitude.

    As in the code it is the largest with its sign: were all eigenvalues negative, W would change sign.
    """
    symmetric(W_DD)
    # MPS has no eigensolver.
    largest = torch.linalg.eigvalsh(W_DD.cpu() if W_DD.device.type == "mps" else W_DD)[-1].to(W_DD)
    W_DD.div_(torch.where(largest.abs() > 1e-2, largest, 1.0))


def diagonal(W_DD: Tensor) -> None:
    """Everything off the diagonal ← 0."""
    W_DD.copy_(torch.diag(W_DD.diagonal()))


def tied(W1_HD: Tensor, W2_DH: Tensor) -> None:
    """Two layers: W1 ← A and W2 ← Aᵀ, A = (W1 + W2ᵀ) / 2."""
    A_HD = (W1_HD + W2_DH.T) / 2
    W1_HD.copy_(A_HD)
    W2_DH.copy_(A_HD.T)


def tied_row_norm(W1_HD: Tensor, W2_DH: Tensor) -> None:
    """`tied`, with each row of A scaled to unit norm."""
    tied(W1_HD, W2_DH)
    W1_HD.div_(W1_HD.norm(dim=1, keepdim=True).clamp(min=torch.finfo(W1_HD.dtype).tiny))
    W2_DH.copy_(W1_HD.T)
