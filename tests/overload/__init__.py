"""More than kvcast can do: it says no at once, keeps its memory, and is well again seconds later. `make test-overload`."""
