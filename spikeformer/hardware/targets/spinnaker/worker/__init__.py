"""One PyNN description of a network: NEST executes it, sPyNNaker maps it on chips or runs it."""
