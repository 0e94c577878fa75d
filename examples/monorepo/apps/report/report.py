"""Prints a report of prices with tax."""
from pricing import with_tax


def lines(prices: dict[str, int], percent: int) -> list[str]:
    return [f"{name} {with_tax(cents, percent)}" for name, cents in sorted(prices.items())]


if __name__ == "__main__":
    print("\n".join(lines({"tea": 350, "cake": 480}, 19)))
