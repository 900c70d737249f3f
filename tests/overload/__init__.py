"""More than kvcast can do: it says no at once, keeps its memory, and is well seconds later. `make test-overload`."""
