"""The targets: a folder for each, and what runs their toolchains.

`worker` in a target's folder holds programs that run inside its toolchain's environment, one
process for each call. They see neither torch nor the rest of SpikeFormer but `exchange`: each runs
in a private folder that holds `job.npz` and `job.json`, and leaves `result.npz` and `result.json`
there.
"""
