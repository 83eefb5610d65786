"""Files that are written whole or not at all, and read with care."""

from spikeformer.files.content import KnownFiles, files_in, stamp
from spikeformer.files.created import Created, recording
from spikeformer.files.paths import UnsafePathError, inside, one_name
from spikeformer.files.reading import UnreadableFileError, read_arrays, read_json, read_yaml
from spikeformer.files.writing import (
    explained,
    file_hash,
    is_temporary,
    remove_leftovers,
    replacing,
    set_aside,
    unwritable,
    value_hash,
    write_json,
    write_text,
)

__all__ = [
    "Created",
    "KnownFiles",
    "UnreadableFileError",
    "UnsafePathError",
    "explained",
    "file_hash",
    "files_in",
    "inside",
    "is_temporary",
    "one_name",
    "read_arrays",
    "read_json",
    "read_yaml",
    "recording",
    "remove_leftovers",
    "replacing",
    "set_aside",
    "stamp",
    "unwritable",
    "value_hash",
    "write_json",
    "write_text",
]
