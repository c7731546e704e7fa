"""The tests: a vocabulary (support), rules of the house, one file per public function."""
