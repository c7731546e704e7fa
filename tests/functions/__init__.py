"""One file per public function; its name is the function's, its tests are claims about it."""
