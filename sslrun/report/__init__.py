"""What runs left behind, read from their folders alone, without torch.

One run: `summary` and `plots`; two: `compare`. Many: `collecting` (runs and their conditions) → `tables` (means and
comparisons, by `intervals`) → `layout` (tables of text) → `document` → `formats` and `page`.
"""
