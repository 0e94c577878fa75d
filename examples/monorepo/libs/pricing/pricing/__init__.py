"""Prices in cents."""


def with_tax(cents: int, percent: int) -> int:
    """Adds a tax, rounded half up."""
    return cents + (cents * percent + 50) // 100
