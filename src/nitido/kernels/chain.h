/* Interface and helpers of the sources that compute chains of convolutions.
 *
 * A chain is one or more convolutions of stride 1 that keep height and width. Each may be followed by an activation. An
 * optional skip adds the chain's input to its output. An activation is x for x > 0 and slope * x otherwise: slope 0 is
 * ReLU, slope 1 is the identity.
 *
 * Features are bfloat16 and stored as (n, h, w, channels). Weights, biases and their gradients are float; weights are
 * stored as (outputs, k, k, inputs). Numbers of channels are multiples of 32. Sums are accumulated in float.
 *
 * Each source defines three functions. The last two return OK or NO_MEMORY.
 *
 * nitido_chains_allowed: return whether the system lets this process use the instructions of the source.
 *
 * nitido_chains_forward: compute `count` consecutive chains, all of one kernel size. The arrays `weights`, `biases` and
 * `outputs` have one entry per convolution of all chains; a bias may be NULL. Each output is (n, h, w, channels). The
 * last one is the result.
 *
 * nitido_chain_backward: compute the gradients of one chain from `gradient`, the gradient of its output. It fills the
 * gradients of all weights and biases, and that of the input unless `input_gradient` is NULL.
 */
#include "bfloat16.h"

enum { MAX_CONVOLUTIONS = 8 };

typedef struct {
    int32_t images, height, width, kernel, length, skip, threads;
    int32_t channels[MAX_CONVOLUTIONS + 1]; /* of the input and of each convolution's output */
    float slope[MAX_CONVOLUTIONS];
} shape;

static inline int max_channels(const shape *s) {
    int most = 0;
    for (int i = 0; i <= s->length; i++) most = s->channels[i] > most ? s->channels[i] : most;
    return most;
}

/* Turn 32 gradients of an activation's outputs into gradients of its inputs. `activated` are the outputs. */
static inline void activation_backward(__m512 *low, __m512 *high, const bf16 *activated, float slope) {
    const __mmask32 negative = ~_mm512_cmpgt_epi16_mask(_mm512_loadu_si512(activated), _mm512_setzero_si512());
    const __m512 factor = _mm512_set1_ps(slope);
    *low = _mm512_mask_mul_ps(*low, (__mmask16)negative, *low, factor);
    *high = _mm512_mask_mul_ps(*high, (__mmask16)(negative >> LANES), *high, factor);
}

/* The operations after the sums of a convolution: add the bias, apply the activation of this `slope`, add `skip`, and,
 * in the backward pass, apply `activation_backward`. A NULL pointer omits its operation. */
typedef struct {
    const float *bias;
    float slope;
    const bf16 *skip, *activated;
    float activated_slope;
} epilogue;

/* Apply the epilogue to 32 sums, except for the bias. `at` is their index in `skip` and `activated`. */
static inline __m512i apply_epilogue(__m512 low, __m512 high, size_t at, const epilogue *ep) {
    if (ep->slope != 1) { /* this order of operands propagates NaN */
        const __m512 factor = _mm512_set1_ps(ep->slope);
        low = _mm512_max_ps(_mm512_mul_ps(factor, low), low);
        high = _mm512_max_ps(_mm512_mul_ps(factor, high), high);
    }
    if (ep->skip) {
        low = _mm512_add_ps(low, from_bf16(ep->skip + at));
        high = _mm512_add_ps(high, from_bf16(ep->skip + at + LANES));
    }
    if (ep->activated) activation_backward(&low, &high, ep->activated + at, ep->activated_slope);
    return to_bf16(low, high);
}
