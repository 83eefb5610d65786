"""Lava's simulator of Loihi 2. Lava looks for models in this folder, so only its own lie here."""

from __future__ import annotations

import warnings

# It also tries to import each file here without its package.
warnings.filterwarnings("ignore", "Cannot import module")
