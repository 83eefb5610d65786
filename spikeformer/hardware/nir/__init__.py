"""The Neuromorphic Intermediate Representation: files that other frameworks and chips share."""
