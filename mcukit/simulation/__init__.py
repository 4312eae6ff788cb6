# SPDX-License-Identifier: Apache-2.0
"""What quantization does to a network, in floating point: its maps, and the distance of its outputs."""
