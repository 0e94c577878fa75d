import unittest

from report import lines


class Lines(unittest.TestCase):
    def test_in_order(self):
        self.assertEqual(lines({"tea": 100, "cake": 200}, 10), ["cake 220", "tea 110"])


if __name__ == "__main__":
    unittest.main()
