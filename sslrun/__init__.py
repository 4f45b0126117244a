"""sslrun: why does this not collapse, and which part makes it work?

From Python: `pretrain`, `evaluate`, `sweep`, `load_runs`, `load_encoder`. README says where things are; the training
step is two hops away: `sslrun.training.pretrain`, `sslrun.methods.noncontrastive`.

The papers' symbols, as code, recipes and reports have them
------------------------------------------------------------
DirectPred and its theory (arXiv 2102.06810), DirectSet and DirectCopy (2110.04947):

- z: the projector's outputs, (N, D). W, W_p, W_a: online network, predictor, target network; matrices in the theory.
- F: correlation matrix of what the predictor sees, E[z zᵀ]; s_j and u_j its eigenvalues and eigenvectors, the *modes*.
- p_j: what W_p makes of a mode, u_jᵀ W_p u_j. Aligned: W_p and F share their eigenvectors. [F, W_p]: the commutator,
  0 where they do.
- rho (ρ): weight of the old F in its moving average. epsilon (ε): what DirectPred adds to every eigenvalue of W_p, as a
  part of the largest. exponent, alpha: the power of F that W_p is set to (1/2 DirectPred, 1 DirectCopy). freq: every
  how many steps it is set. floor: the smallest eigenvalue that it is given.
- tau (τ): target over online network in the theory, W_a = τ W. (In contrastive methods: the temperature.)
- alpha_p (α_p): the predictor's learning rate over the network's. eta (η): weight decay, and beta (β): EMA rate, both
  in the flow's time. ema, momentum m: how much of the old target each step keeps; β = (1 − m) / (c lr).
- sigma2 (σ²): variance of augmentation over that of the data. X, X': correlation of the data, covariance within views.
- kappa (κ): while it is positive, F and W_p stay aligned. p−, p+: below the one a mode dies, at the other it rests.

Collapse, measured on the projector's outputs of fixed images:

- std: √d × the mean over dimensions of the std of normalised outputs; 0 when collapsed, about 1 when spread.
- effective rank: exp of the entropy of a spectrum: how many dimensions are in use. Complete collapse is a small std,
  dimensional collapse a small rank.

Styles (BSS: batch styles standardization, arXiv 2303.06088):

- style: the low-frequency amplitudes of an image; content: its phases. FA gives each image another one's style, BSS
  all images of a view the style of one of them. ratio (r): the part of the spectrum's area that is replaced.
- hardness of negatives: how similar a contrastive method finds images that it pushes apart; column: all images of one
  view, which share a style under BSS; 1 − p⁺: softmax mass on negatives; style gap: similarity within a domain less
  that between domains.
- domain purity, class purity: the part of an image's nearest neighbours that share its domain, its class.
- unseen domains (UDG): labels and choices from source domains alone, judged on others. avg: plain mean over domains;
  overall: over all images. ERM: fine-tuned from an untrained encoder.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sslrun.api import Run, evaluate, load_encoder, load_runs, pretrain, sweep

__all__ = ["Run", "__version__", "evaluate", "load_encoder", "load_runs", "pretrain", "sweep"]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """The API is imported when it is first asked for: torch takes seconds, and `sslrun --help` needs none of it."""
    if name not in __all__:
        raise AttributeError(f"module 'sslrun' has no attribute {name!r}")
    from sslrun import api

    return getattr(api, name)
