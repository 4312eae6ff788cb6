# SPDX-License-Identifier: Apache-2.0
"""The library's verbs: inspect, quantize, evaluate, emulate and verify, each with a typed result."""
