#!/bin/sh
# Prints the interpreter for Lava: a Python 3.10 from PATH, pyenv or uv, else a 3.11, on which the
# worker corrects one line of Lava when it imports it.
runs() { "$1" -c "import sys, venv; sys.exit(sys.version_info[:2] != (3, $2))" 2>/dev/null; }

for python in python3.10 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.10*/bin/python \
	"$(uv python find 3.10 2>/dev/null)"; do
	if [ -n "$python" ] && runs "$python" 10; then echo "$python"; exit; fi
done
for python in python3.11 python3; do
	if runs "$python" 11; then
		echo "no Python 3.10 found: Lava goes into Python 3.11, for which it was not made" >&2
		echo "$python"; exit
	fi
done
echo "Lava needs Python 3.10 (or 3.11): install one, with pyenv or uv for instance" >&2
exit 1
