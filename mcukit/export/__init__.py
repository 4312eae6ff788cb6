# SPDX-License-Identifier: Apache-2.0
"""Writes an integer model as C, as .tflite and as a project."""
