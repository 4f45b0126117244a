"""Images: read from the layouts that people already have, kept as uint8, handed out in seeded batches.

Start at `sources.load`; `fingerprint` names a data set's content without torch; `batches` feeds the training step.
"""
