/* bfloat16 numbers and AVX512-BF16 vectors: helpers of all kernels. */
#pragma once

#include <immintrin.h>
#include <omp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 16, DEPTH = 32, BLOCK = 32 };
enum { OK = 0, NO_MEMORY = 1 };

typedef uint16_t bf16;

static inline size_t round_to_pages(size_t bytes) { return (bytes + 4095) / 4096 * 4096; }

static inline __m512i to_bf16(__m512 low, __m512 high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }

static inline __m512 from_bf16(const bf16 *at) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)at)), 16));
}

/* Interleave 32 numbers of `a` with 32 of `b`: a0 b0 a1 b1 ... */
static inline void interleave(__m512i a, __m512i b, uint32_t *first, uint32_t *second) {
    const __m512i low = _mm512_unpacklo_epi16(a, b), high = _mm512_unpackhi_epi16(a, b);
    const __m512i begin = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
    const __m512i end = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    _mm512_storeu_si512(first, _mm512_permutex2var_epi64(low, begin, high));
    _mm512_storeu_si512(second, _mm512_permutex2var_epi64(low, end, high));
}

/* Round two vectors to bfloat16 and interleave them: each lane stores a pair (first, second). */
static inline __m512i pair_as_bf16(__m512 first, __m512 second) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, to_bf16(first, second));
}

/* Broadcast a pair of bfloat16 numbers to all lanes. */
static inline __m512bh broadcast_pair(const void *pair) {
    int32_t both;
    memcpy(&both, pair, sizeof both);
    return (__m512bh)_mm512_set1_epi32(both);
}

/* Transpose 16 x 16 numbers of 32 bits. `stride` and `out_stride` are the distances between rows, in numbers. */
static inline void transpose(const uint32_t *rows, size_t stride, uint32_t *out, size_t out_stride) {
    __m512i r[16], t[16];
    for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(rows + i * stride);
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int half = 0; half < 2; half++) {
            r[i + 2 * half] = _mm512_unpacklo_epi64(t[i + half], t[i + 2 + half]);
            r[i + 2 * half + 1] = _mm512_unpackhi_epi64(t[i + half], t[i + 2 + half]);
        }
    for (int i = 0; i < 4; i++)
        for (int half = 0; half < 2; half++) {
            t[8 * half + i] = _mm512_shuffle_i32x4(r[8 * half + i], r[8 * half + 4 + i], 0x88);
            t[8 * half + 4 + i] = _mm512_shuffle_i32x4(r[8 * half + i], r[8 * half + 4 + i], 0xdd);
        }
    for (int i = 0; i < 8; i++) {
        _mm512_storeu_si512(out + i * out_stride, _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88));
        _mm512_storeu_si512(out + (8 + i) * out_stride, _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd));
    }
}
