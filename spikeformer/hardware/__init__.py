"""From a trained network to neuromorphic chips: lower, quantise, place, run, verify."""
