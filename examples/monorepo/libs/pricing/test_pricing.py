import unittest

from pricing import with_tax


class WithTax(unittest.TestCase):
    def test_rounds_half_up(self):
        self.assertEqual(with_tax(100, 19), 119)
        self.assertEqual(with_tax(50, 1), 51)


if __name__ == "__main__":
    unittest.main()
