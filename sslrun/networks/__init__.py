"""What is trained, in the order in which images pass through it; and what its outputs say.

- `backbones` (convolutional, linear, weights from files) and `vit`: the encoder, whose features are kept and judged.
- `heads`: the projector, from features to the space of the loss.
- `predictors`: what maps the online network's outputs onto the target's. `predictors/correlation.py` is DirectPred.
- `ema`: the target network, which follows the online one.
- `statistics`: collapse and alignment, one formula a function.
- `precision` and `layout`: in which numbers and which memory layout a network runs.

Nothing here knows of a loss or a step: those are `sslrun.methods`.
"""
