"""How parts of nitido are made; run from a checkout, and not in the wheel."""
