# SPDX-License-Identifier: Apache-2.0
"""From a calibrated float network to integers, with the accuracy won back that few bits cost: without training."""
