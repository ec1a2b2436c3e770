# SPDX-License-Identifier: Apache-2.0
"""How long the tests wait for what must come.

It is only there to end a hang: a machine may be slow, have one core, and give that to others.
"""

PATIENCE = 300.0  # seconds
