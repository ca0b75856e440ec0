"""Running recorded work again, to see whether it gives the same.

Nothing is recorded by it, and no output is brought back.
"""
