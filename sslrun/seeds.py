"""Named, independent streams of random numbers from one seed.

A stream is addressed by its name and by counters (the epoch, the step), never advanced: resuming at step n needs
no saved generator, and switching one consumer on (a style, say) can't shift what another one draws.
"""

import hashlib


def stream_seed(seed: int, name: str, *counters: int) -> int:
    """A 63-bit seed for stream `name` at `counters`; feed it to `torch.Generator().manual_seed(...)` or NumPy's.

    Names in use: `initialisation`, `target`, `order`, `views.*`, `style`, `style.order`, `mask`, `hardness`, `probe`,
    `finetune`, `labels`, `search`.
    """
    text = "/".join([str(seed), name, *map(str, counters)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
