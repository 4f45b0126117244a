"""Training a run, from the loop down. The step itself is the method's: `sslrun.methods.noncontrastive`.

1. `pretrain`: the loop; its `assemble` puts everything together that a recipe trains with.
2. `starting`: the encoder as the loop finds it, from the seed or from a file.
3. `optimizers` and their schedules: gradients in, weights changed, non-finite ones never.
4. `diagnostics`: the signals of collapse that every epoch records, and the verdict; `negatives`: how hard they are.
5. `checkpoint`: what a run goes on from, and the encoder's file.
"""
