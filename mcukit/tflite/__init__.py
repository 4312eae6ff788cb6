# SPDX-License-Identifier: Apache-2.0
"""TFLite files as typed data, and the interpreters that run them: TFLite Micro and LiteRT."""
