"""SpiNNaker, through sPyNNaker, PyNN and NEST."""
