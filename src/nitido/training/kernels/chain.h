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
#include <immintrin.h>
#include <omp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 16, DEPTH = 32, BLOCK = 32, LONGEST = 8 };
enum { OK = 0, NO_MEMORY = 1 };

typedef uint16_t bf16;

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

static inline size_t rounded(size_t bytes) { return (bytes + 4095) / 4096 * 4096; }

static inline __m512i to_bf16(__m512 low, __m512 high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }

static inline __m512 from_bf16(const bf16 *at) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)at)), 16));
}

/* 32 numbers each of `a` and `b`, two and two: a0 b0 a1 b1 ... */
static inline void interleave(__m512i a, __m512i b, uint32_t *first, uint32_t *second) {
    const __m512i low = _mm512_unpacklo_epi16(a, b), high = _mm512_unpackhi_epi16(a, b);
    const __m512i begin = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
    const __m512i end = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    _mm512_storeu_si512(first, _mm512_permutex2var_epi64(low, begin, high));
    _mm512_storeu_si512(second, _mm512_permutex2var_epi64(low, end, high));
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
