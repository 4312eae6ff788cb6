/* SPDX-License-Identifier: Apache-2.0 */
/* What the loops over weights of 4 and 2 bits share. Not part of the public interface. */
#ifndef MK_CONV2D_DSP_FIELDS_H
#define MK_CONV2D_DSP_FIELDS_H

#include "mk_conv2d_dsp.h"
#include "mk_packed_weights.h"

#if MK_DSP

/* Adds up the inputs of each pixel of a block. */
void mk_conv2d_dsp_add_inputs(const mk_conv2d_dsp_block *block, int32_t totals[MK_DSP_PIXELS]);

/*
 * Outputs of the filters of a group from `first` on, an even number, for the first `pixels` pixels. Not in a hurry: for
 * filters that are left over, and for pixels. totals: what mk_conv2d_dsp_add_inputs finds.
 */
void mk_conv2d_dsp_multiply_rest(const mk_conv2d_dsp_layer *layer, const mk_conv2d_dsp_block *block, uint32_t first,
                                 uint32_t pixels, const int32_t totals[MK_DSP_PIXELS]);

#endif

#endif
