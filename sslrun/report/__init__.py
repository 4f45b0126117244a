"""What runs left behind, told: one run (`summary`), and later many. Reads folders only; imports without torch."""
