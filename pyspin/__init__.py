# SPDX-License-Identifier: Apache-2.0
"""Datagram traffic at C speed from Python: SPEAD streams and SpiNNaker boards."""
