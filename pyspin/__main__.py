# SPDX-License-Identifier: Apache-2.0
"""`python -m pyspin` is the `pyspin` command."""

from pyspin.cli import main

if __name__ == "__main__":
    main()
