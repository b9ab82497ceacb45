/* What every way to calculate chains has in common.
 *
 * A chain is one or more convolutions of stride 1 that keep height and width, each with or without an activation
 * behind it, and an optional skip that adds the chain's input to its output. An activation is x where x is above zero
 * and slope * x elsewhere: 0 is ReLU, 1 is none.
 *
 * Features are bfloat16, (n, h, w, channels) in memory; weights, biases and their gradients are float,
 * (outputs, k, k, inputs). Channels are multiples of 32. Sums are taken in float.
 *
 * A source has three functions, of which the last two return OK or NO_MEMORY:
 *
 * nitido_chains_allowed: whether the system lets this process use what the source needs.
 *
 * nitido_chains_forward: `count` chains in a row, all of one kernel size. Weights, biases (or NULL) and results are of
 * all their convolutions one after the other; each result is (n, h, w, channels), and the last one that of the whole.
 *
 * nitido_chain_backward: `gradient` is that of one chain's output. Filled are the gradients of its input, unless that
 * is NULL, and those of all weights and biases.
 */
#include "bfloat16.h"

enum { LONGEST = 8 };

typedef struct {
    int32_t pictures, height, width, kernel, length, skip, threads;
    int32_t channels[LONGEST + 1]; /* of the input, and of each convolution's output */
    float slope[LONGEST];
} shape;

static inline int most_channels(const shape *s) {
    int most = 0;
    for (int i = 0; i <= s->length; i++) most = s->channels[i] > most ? s->channels[i] : most;
    return most;
}

/* 32 gradients of an activation's outputs become those of its inputs; `open` are the outputs. */
static inline void through_activation(__m512 *low, __m512 *high, const bf16 *open, float slope) {
    const __mmask32 shut = ~_mm512_cmpgt_epi16_mask(_mm512_loadu_si512(open), _mm512_setzero_si512());
    const __m512 factor = _mm512_set1_ps(slope);
    *low = _mm512_mask_mul_ps(*low, (__mmask16)shut, *low, factor);
    *high = _mm512_mask_mul_ps(*high, (__mmask16)(shut >> LANES), *high, factor);
}

/* What is done with the sums of a convolution: plus a bias, the activation of this `slope`, plus `skip`; or, on the way
 * back, what `through_activation` does. What is NULL is left out. */
typedef struct {
    const float *bias;
    float slope;
    const bf16 *skip, *open;
    float open_slope;
} finish;

/* 32 sums, whose numbers of `skip` and `open` begin at `at`. */
static inline __m512i finished(__m512 low, __m512 high, size_t at, const finish *then) {
    if (then->slope != 1) { /* in this order, what is no number stays none */
        const __m512 factor = _mm512_set1_ps(then->slope);
        low = _mm512_max_ps(_mm512_mul_ps(factor, low), low);
        high = _mm512_max_ps(_mm512_mul_ps(factor, high), high);
    }
    if (then->skip) {
        low = _mm512_add_ps(low, from_bf16(then->skip + at));
        high = _mm512_add_ps(high, from_bf16(then->skip + at + LANES));
    }
    if (then->open) through_activation(&low, &high, then->open + at, then->open_slope);
    return to_bf16(low, high);
}
