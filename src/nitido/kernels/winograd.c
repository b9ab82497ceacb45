/* Chains of 3x3 convolutions in bfloat16 on AVX512-BF16, by Winograd's F(2x2, 3x3). chain.h defines a chain.
 *
 * A tile is 4x4 features. It gives 2x2 outputs with 16 products for each pair of channels, instead of the 36 products
 * of the direct convolution: y = A'[(G g G') . (B' d B)]A (Lavin and Gray, Fast Algorithms for Convolutional Neural
 * Networks, CVPR 2016). Each of the 16 coefficients has one matrix of tiles and one of weights; their product in
 * bfloat16 sums over channels. Transformed features and weights are rounded to bfloat16 once. Products are transformed
 * back in float.
 *
 * The gradient of the weights uses the same tiles: G'[(B' d B) . (A e A')]G. Its sums are over tiles. Two tiles are
 * stored side by side because VDPBF16PS multiplies pairs (Intel 64 and IA-32 Architectures Software Developer's
 * Manual).
 */
#include "chain.h"

enum { TAPS = 9, COEFFICIENTS = 16 };
enum { ROWS = 12 };               /* tiles per matrix product: with 32 outputs, their sums fill the registers */
enum { STEP = 72, PITCH = 73 };   /* tiles (or pairs of tiles) per step, and the distance between coefficients, chosen
                                     so that coefficients do not compete for the same cache sets */
enum { GRADIENT_ROWS = 8 };       /* outputs per product of weight gradients, with 32 inputs */

static inline __m512 add(__m512 a, __m512 b) { return _mm512_add_ps(a, b); }
static inline __m512 sub(__m512 a, __m512 b) { return _mm512_sub_ps(a, b); }

/* The grid of an image's tiles, 2x2 outputs each. At odd sizes the last tile extends beyond the image. */
typedef struct {
    int height, width, across, down;
} plane;

static plane make_plane(const shape *s) {
    return (plane){s->height, s->width, (s->width + 1) / 2, (s->height + 1) / 2};
}

/* Buffers of one thread. */
typedef struct {
    bf16 *gradients[2];        /* images of gradients between two convolutions */
    bf16 *zeros;               /* a row of zeros */
    uint32_t *tiles;           /* transformed features */
    uint32_t *gradient_tiles;  /* transformed gradients */
    float *products;           /* products of 12 tiles and 32 outputs for each coefficient */
    void *memory;
    size_t bytes;
} workspace;

static _Thread_local workspace thread_workspace;

/* Return this thread's buffers. `gradient_images` is 0, or 2 for the backward pass. */
static workspace *get_workspace(const plane *p, int channels, int gradient_images) {
    workspace *k = &thread_workspace;
    const size_t row = round_to_pages((size_t)p->width * channels * sizeof(bf16));
    const size_t image = row * p->height;
    const size_t paired = round_to_pages((size_t)COEFFICIENTS * channels * PITCH * sizeof(uint32_t));
    const size_t sums = round_to_pages((size_t)COEFFICIENTS * ROWS * BLOCK * sizeof(float));
    const size_t bytes = gradient_images * image + row + 2 * paired + sums;
    if (k->bytes < bytes) {
        free(k->memory);
        k->memory = aligned_alloc(4096, bytes);
        k->bytes = k->memory ? bytes : 0;
        if (!k->memory) return NULL;
        memset(k->memory, 0, bytes); /* unfilled rows of tiles are multiplied too */
    }
    char *at = k->memory;
    k->zeros = (bf16 *)at;
    at += row;
    memset(k->zeros, 0, row);
    k->products = (float *)at;
    at += sums;
    k->tiles = (uint32_t *)at;
    at += paired;
    k->gradient_tiles = (uint32_t *)at;
    at += paired;
    for (int i = 0; i < gradient_images; i++, at += image) k->gradients[i] = (bf16 *)at;
    return k;
}

/* Return the size of the first `count` convolutions' transformed weights. */
static size_t matrix_bytes(const shape *s, int count) {
    size_t bytes = 0;
    for (int l = 0; l < count; l++)
        bytes += round_to_pages((size_t)COEFFICIENTS * s->channels[l] * s->channels[l + 1] * sizeof(bf16));
    return bytes;
}

/* Return the address of 16 outputs' weights for two inputs, stored as
 * [outputs / 32][coefficient][inputs / 2][2][16 outputs, two inputs]. */
static inline uint32_t *matrix_row(uint32_t *matrices, int output, int coefficient, int pair, int inputs) {
    const size_t block = (size_t)(output / BLOCK) * COEFFICIENTS + coefficient;
    return matrices + ((block * (inputs / 2) + pair) * 2 + output % BLOCK / LANES) * LANES;
}

/* Compute G g G' of the weights of 16 inputs. `reverse` rotates the kernel by 180 degrees. */
static inline void transform_weights(const float *weights, int inputs, int reverse, __m512 out[COEFFICIENTS]) {
    const __m512 half = _mm512_set1_ps(.5f);
    __m512 v[4][3];
    for (int x = 0; x < 3; x++) {
        __m512 g[3];
        for (int y = 0; y < 3; y++) {
            const int tap = reverse ? TAPS - 1 - 3 * y - x : 3 * y + x;
            g[y] = _mm512_loadu_ps(weights + (size_t)tap * inputs);
        }
        const __m512 outer = _mm512_mul_ps(half, add(g[0], g[2])), inner = _mm512_mul_ps(half, g[1]);
        v[0][x] = g[0];
        v[1][x] = add(outer, inner);
        v[2][x] = sub(outer, inner);
        v[3][x] = g[2];
    }
    for (int y = 0; y < 4; y++) {
        const __m512 outer = _mm512_mul_ps(half, add(v[y][0], v[y][2])), inner = _mm512_mul_ps(half, v[y][1]);
        out[4 * y] = v[y][0];
        out[4 * y + 1] = add(outer, inner);
        out[4 * y + 2] = sub(outer, inner);
        out[4 * y + 3] = v[y][2];
    }
}

/* Transform weights to matrices. All threads of the team must call it; they share the work, and there is no barrier at
 * the end. */
static void make_matrices(const float *weights, uint32_t *out, int inputs, int outputs) {
    #pragma omp for nowait
    for (int o = 0; o < outputs; o++)
        for (int i = 0; i < inputs; i += DEPTH) {
            const float *from = weights + (size_t)o * TAPS * inputs + i;
            __m512 low[COEFFICIENTS], high[COEFFICIENTS];
            transform_weights(from, inputs, 0, low);
            transform_weights(from + LANES, inputs, 0, high);
            for (int c = 0; c < COEFFICIENTS; c++) {
                uint32_t pairs[DEPTH / 2];
                _mm512_storeu_si512(pairs, to_bf16(low[c], high[c]));
                for (int p = 0; p < DEPTH / 2; p++) matrix_row(out, o, c, i / 2 + p, inputs)[o % LANES] = pairs[p];
            }
        }
}

/* Transform weights for the input gradient: a convolution with inputs and outputs swapped and the kernel rotated. */
static void make_matrices_back(const float *weights, uint32_t *out, int inputs, int outputs) {
    #pragma omp for nowait
    for (int o = 0; o < outputs; o += 2)
        for (int i = 0; i < inputs; i += BLOCK) {
            __m512 first[2][COEFFICIENTS], second[2][COEFFICIENTS];
            for (int half = 0; half < 2; half++) {
                const float *from = weights + (size_t)o * TAPS * inputs + i + half * LANES;
                transform_weights(from, inputs, 1, first[half]);
                transform_weights(from + (size_t)TAPS * inputs, inputs, 1, second[half]);
            }
            for (int c = 0; c < COEFFICIENTS; c++) {
                uint32_t *to = matrix_row(out, i, c, o / 2, outputs);
                interleave(to_bf16(first[0][c], first[1][c]), to_bf16(second[0][c], second[1][c]), to, to + LANES);
            }
        }
}

/* Consecutive rows of an image from `top` on. Rows outside the image are zeros. */
typedef struct {
    const bf16 *row[4];
    int width, channels;
} row_window;

static inline row_window make_row_window(const bf16 *image, const bf16 *zeros, const plane *p, int channels, int top,
                                         int count) {
    row_window s = {.width = p->width, .channels = channels};
    for (int k = 0; k < count; k++) {
        const int y = top + k;
        s.row[k] = y < 0 || y >= p->height ? zeros : image + (size_t)y * p->width * channels;
    }
    return s;
}

/* Compute B' d of a column of features, 16 channels from `i` on. */
static inline void column_of_features(const row_window *s, int x, int i, __m512 v[4]) {
    if (x < 0 || x >= s->width) {
        for (int k = 0; k < 4; k++) v[k] = _mm512_setzero_ps();
        return;
    }
    __m512 d[4];
    for (int k = 0; k < 4; k++) d[k] = from_bf16(s->row[k] + (size_t)x * s->channels + i);
    v[0] = sub(d[0], d[2]);
    v[1] = add(d[1], d[2]);
    v[2] = sub(d[2], d[1]);
    v[3] = sub(d[1], d[3]);
}

/* Compute A e of a column of gradients. The last row of A is negated here; `finish_gradient` compensates. */
static inline void column_of_gradients(const row_window *s, int x, int i, __m512 v[4]) {
    if (x >= s->width) {
        for (int k = 0; k < 4; k++) v[k] = _mm512_setzero_ps();
        return;
    }
    const __m512 first = from_bf16(s->row[0] + (size_t)x * s->channels + i);
    const __m512 second = from_bf16(s->row[1] + (size_t)x * s->channels + i);
    v[0] = first;
    v[1] = add(first, second);
    v[2] = sub(first, second);
    v[3] = second;
}

static inline void store_half(bf16 *to, __m512 numbers) {
    _mm256_store_si256((__m256i *)to, (__m256i)_mm512_cvtneps_pbh(numbers));
}

/* Store B' d B of `count` tiles from the `begin`-th on as [coefficient][channels / 32][tile][32 channels]. */
static void transform_features(const bf16 *image, const bf16 *zeros, const plane *p, int channels, int begin,
                               int count, bf16 *out) {
    const size_t step = (size_t)channels * PITCH;
    for (int done = 0, n; done < count; done += n) {
        const int y = (begin + done) / p->across, x = (begin + done) % p->across;
        n = count - done < p->across - x ? count - done : p->across - x;
        const row_window s = make_row_window(image, zeros, p, channels, 2 * y - 1, 4);
        for (int i = 0; i < channels; i += LANES) {
            bf16 *to = out + ((size_t)(i / DEPTH) * PITCH + done) * DEPTH + i % DEPTH;
            __m512 a[4], b[4], c[4], d[4];
            column_of_features(&s, 2 * x - 1, i, a);
            column_of_features(&s, 2 * x, i, b);
            for (int t = x; t < x + n; t++, to += DEPTH) {
                column_of_features(&s, 2 * t + 1, i, c);
                column_of_features(&s, 2 * t + 2, i, d);
                #pragma GCC unroll 4
                for (int k = 0; k < 4; k++) {
                    bf16 *line = to + 4 * k * step;
                    store_half(line, sub(a[k], c[k]));
                    store_half(line + step, add(b[k], c[k]));
                    store_half(line + 2 * step, sub(c[k], b[k]));
                    store_half(line + 3 * step, sub(b[k], d[k]));
                    a[k] = c[k];
                    b[k] = d[k];
                }
            }
        }
    }
}

static inline void store_pairs(uint32_t *to, __m512 first, __m512 second) {
    _mm512_store_si512(to, pair_as_bf16(first, second));
}

/* Store B' d B of `count` pairs of tiles from the `begin`-th on as
 * [coefficient][channels / 16][pair][16 channels, two tiles]. */
static void transform_pairs(const bf16 *image, const bf16 *zeros, const plane *p, int channels, int begin, int count,
                            uint32_t *out) {
    const int across = (p->across + 1) / 2;
    const size_t step = (size_t)channels * PITCH;
    for (int done = 0, n; done < count; done += n) {
        const int y = (begin + done) / across, x = (begin + done) % across;
        n = count - done < across - x ? count - done : across - x;
        const row_window s = make_row_window(image, zeros, p, channels, 2 * y - 1, 4);
        for (int i = 0; i < channels; i += LANES) {
            uint32_t *to = out + (size_t)i * PITCH + done * LANES;
            __m512 a[4], b[4], c[4], d[4], e[4], f[4];
            column_of_features(&s, 4 * x - 1, i, a);
            column_of_features(&s, 4 * x, i, b);
            for (int t = x; t < x + n; t++, to += LANES) {
                column_of_features(&s, 4 * t + 1, i, c);
                column_of_features(&s, 4 * t + 2, i, d);
                column_of_features(&s, 4 * t + 3, i, e);
                column_of_features(&s, 4 * t + 4, i, f);
                #pragma GCC unroll 4
                for (int k = 0; k < 4; k++) {
                    uint32_t *line = to + 4 * k * step;
                    store_pairs(line, sub(a[k], c[k]), sub(c[k], e[k]));
                    store_pairs(line + step, add(b[k], c[k]), add(d[k], e[k]));
                    store_pairs(line + 2 * step, sub(c[k], b[k]), sub(e[k], d[k]));
                    store_pairs(line + 3 * step, sub(b[k], d[k]), sub(d[k], f[k]));
                    a[k] = e[k];
                    b[k] = f[k];
                }
            }
        }
    }
}

/* Store A e A' of the output gradient's tiles in the same way, and add their sums to `biases`. */
static void transform_gradients(const bf16 *gradient, const bf16 *zeros, const plane *p, int channels, int begin,
                                int count, uint32_t *out, float *biases) {
    const int across = (p->across + 1) / 2;
    const size_t step = (size_t)channels * PITCH;
    for (int done = 0, n; done < count; done += n) {
        const int y = (begin + done) / across, x = (begin + done) % across;
        n = count - done < across - x ? count - done : across - x;
        const row_window s = make_row_window(gradient, zeros, p, channels, 2 * y, 2);
        for (int o = 0; o < channels; o += LANES) {
            uint32_t *to = out + (size_t)o * PITCH + done * LANES;
            __m512 sum = _mm512_loadu_ps(biases + o);
            for (int t = x; t < x + n; t++, to += LANES) {
                __m512 a[4], b[4], c[4], d[4];
                column_of_gradients(&s, 4 * t, o, a);
                column_of_gradients(&s, 4 * t + 1, o, b);
                column_of_gradients(&s, 4 * t + 2, o, c);
                column_of_gradients(&s, 4 * t + 3, o, d);
                #pragma GCC unroll 4
                for (int k = 0; k < 4; k++) {
                    uint32_t *line = to + 4 * k * step;
                    const __m512 first = add(a[k], b[k]), second = add(c[k], d[k]);
                    store_pairs(line, a[k], c[k]);
                    store_pairs(line + step, first, second);
                    store_pairs(line + 2 * step, sub(a[k], b[k]), sub(c[k], d[k]));
                    store_pairs(line + 3 * step, b[k], d[k]);
                    if (k == 1) sum = add(sum, add(first, second)); /* the sums over whole tiles */
                }
            }
            _mm512_storeu_ps(biases + o, sum);
        }
    }
}

/* Multiply 12 tiles by the weights of 32 outputs, summed over inputs, for one coefficient. */
static inline void multiply(const bf16 *tiles, const uint32_t *matrix, int inputs, float *out) {
    __m512 sum[ROWS][2];
    #pragma GCC unroll 12
    for (int r = 0; r < ROWS; r++) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
    for (int i = 0; i < inputs; i += DEPTH, tiles += PITCH * DEPTH) {
        const bf16 *at = tiles;
        for (int p = 0; p < DEPTH / 2; p++, at += 2, matrix += 2 * LANES) {
            const __m512bh low = (__m512bh)_mm512_load_si512(matrix);
            const __m512bh high = (__m512bh)_mm512_load_si512(matrix + LANES);
            #pragma GCC unroll 12
            for (int r = 0; r < ROWS; r++) {
                const __m512bh both = broadcast_pair(at + r * DEPTH);
                sum[r][0] = _mm512_dpbf16_ps(sum[r][0], both, low);
                sum[r][1] = _mm512_dpbf16_ps(sum[r][1], both, high);
            }
        }
    }
    #pragma GCC unroll 12
    for (int r = 0; r < ROWS; r++) {
        _mm512_store_ps(out + r * BLOCK, sum[r][0]);
        _mm512_store_ps(out + r * BLOCK + LANES, sum[r][1]);
    }
}

/* Compute A' m A of `count` tiles from the `first`-th on, for 32 outputs from `o` on, and apply the epilogue. */
static inline void transform_products(const float *products, const plane *p, int first, int count, int outputs, int o,
                                      const epilogue *ep, bf16 *to) {
    const size_t step = ROWS * BLOCK;
    const __m512 none = _mm512_setzero_ps();
    const __m512 bias[2] = {ep->bias ? _mm512_loadu_ps(ep->bias + o) : none,
                            ep->bias ? _mm512_loadu_ps(ep->bias + o + LANES) : none};
    int ty = first / p->across, tx = first % p->across;
    for (int t = 0; t < count; t++, products += BLOCK) {
        __m512 pixels[4][2];
        #pragma GCC unroll 2
        for (int half = 0; half < 2; half++) {
            const float *m = products + half * LANES;
            __m512 top[4], bottom[4];
            #pragma GCC unroll 4
            for (int k = 0; k < 4; k++, m += step) {
                const __m512 second = _mm512_load_ps(m + 4 * step), third = _mm512_load_ps(m + 8 * step);
                top[k] = add(add(_mm512_load_ps(m), second), third);
                bottom[k] = sub(sub(second, third), _mm512_load_ps(m + 12 * step));
            }
            pixels[0][half] = add(add(add(top[0], top[1]), top[2]), bias[half]);
            pixels[1][half] = add(sub(sub(top[1], top[2]), top[3]), bias[half]);
            pixels[2][half] = add(add(add(bottom[0], bottom[1]), bottom[2]), bias[half]);
            pixels[3][half] = add(sub(sub(bottom[1], bottom[2]), bottom[3]), bias[half]);
        }
        #pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
            const int y = 2 * ty + k / 2, x = 2 * tx + k % 2;
            if (y >= p->height || x >= p->width) continue;
            const size_t at = ((size_t)y * p->width + x) * outputs + o;
            _mm512_storeu_si512(to + at, apply_epilogue(pixels[k][0], pixels[k][1], at, ep));
        }
        if (++tx == p->across) tx = 0, ty++;
    }
}

/* Compute the outputs of `rows` rows of tiles from the `top`-th on. */
static void convolve(const bf16 *image, const plane *p, int top, int rows, int inputs, int outputs,
                     uint32_t *matrices, workspace *work, const epilogue *ep, bf16 *to) {
    bf16 *tiles = (bf16 *)work->tiles;
    const int end = (top + rows) * p->across;
    for (int q = top * p->across; q < end; q += STEP) {
        const int count = end - q < STEP ? end - q : STEP;
        transform_features(image, work->zeros, p, inputs, q, count, tiles);
        for (int o = 0; o < outputs; o += BLOCK)
            for (int t = 0; t < count; t += ROWS) {
                for (int c = 0; c < COEFFICIENTS; c++)
                    multiply(tiles + (size_t)c * inputs * PITCH + t * DEPTH, matrix_row(matrices, o, c, 0, inputs),
                             inputs, work->products + c * ROWS * BLOCK);
                transform_products(work->products, p, q + t, count - t < ROWS ? count - t : ROWS, outputs, o, ep, to);
            }
    }
}

/* Add the products of 8 outputs and 32 inputs, summed over pairs of tiles, to `sums`, whose rows are `inputs` long. */
static inline void multiply_gradients(const uint32_t *gradients, const uint32_t *features, int count, int inputs,
                                      float *sums) {
    __m512 sum[GRADIENT_ROWS][2];
    #pragma GCC unroll 8
    for (int r = 0; r < GRADIENT_ROWS; r++) {
        sum[r][0] = _mm512_loadu_ps(sums + (size_t)r * inputs);
        sum[r][1] = _mm512_loadu_ps(sums + (size_t)r * inputs + LANES);
    }
    for (int p = 0; p < count; p++, gradients += LANES, features += LANES) {
        const __m512bh low = (__m512bh)_mm512_load_si512(features);
        const __m512bh high = (__m512bh)_mm512_load_si512(features + (size_t)PITCH * LANES);
        #pragma GCC unroll 8
        for (int r = 0; r < GRADIENT_ROWS; r++) {
            const __m512bh both = broadcast_pair(gradients + r);
            sum[r][0] = _mm512_dpbf16_ps(sum[r][0], both, low);
            sum[r][1] = _mm512_dpbf16_ps(sum[r][1], both, high);
        }
    }
    #pragma GCC unroll 8
    for (int r = 0; r < GRADIENT_ROWS; r++) {
        _mm512_storeu_ps(sums + (size_t)r * inputs, sum[r][0]);
        _mm512_storeu_ps(sums + (size_t)r * inputs + LANES, sum[r][1]);
    }
}

/* Add an image's transformed weight gradients to `sums`, [coefficient][outputs][inputs], and its bias gradients to
 * `biases`. */
static void sum_gradients(const bf16 *image, const bf16 *gradient, const plane *p, int inputs, int outputs,
                          workspace *work, float *sums, float *biases) {
    const int all = (p->across + 1) / 2 * p->down;
    for (int q = 0; q < all; q += STEP) {
        const int count = all - q < STEP ? all - q : STEP;
        transform_pairs(image, work->zeros, p, inputs, q, count, work->tiles);
        transform_gradients(gradient, work->zeros, p, outputs, q, count, work->gradient_tiles, biases);
        for (int c = 0; c < COEFFICIENTS; c++)
            for (int o = 0; o < outputs; o += GRADIENT_ROWS) {
                const size_t line = (size_t)c * outputs + o / LANES * LANES;
                for (int i = 0; i < inputs; i += BLOCK)
                    multiply_gradients(work->gradient_tiles + line * PITCH + o % LANES,
                                       work->tiles + ((size_t)c * inputs + i) * PITCH, count, inputs,
                                       sums + ((size_t)c * outputs + o) * inputs + i);
            }
    }
}

/* Compute G' s G of the threads' sums, which are `stride` numbers apart. All threads of the team must call it. */
static void finish_gradient(const float *sums, size_t stride, int inputs, int outputs, float *weights) {
    const __m512 half = _mm512_set1_ps(.5f);
    #pragma omp for
    for (int o = 0; o < outputs; o++)
        for (int i = 0; i < inputs; i += LANES) {
            __m512 v[3][4];
            for (int x = 0; x < 4; x++) {
                __m512 s[4];
                for (int y = 0; y < 4; y++) {
                    const float *from = sums + ((size_t)(4 * y + x) * outputs + o) * inputs + i;
                    s[y] = _mm512_setzero_ps();
                    for (int t = 0; t < omp_get_num_threads(); t++)
                        s[y] = add(s[y], _mm512_loadu_ps(from + stride * t));
                }
                v[0][x] = add(s[0], _mm512_mul_ps(half, add(s[1], s[2])));
                v[1][x] = _mm512_mul_ps(half, sub(s[1], s[2]));
                v[2][x] = sub(_mm512_mul_ps(half, add(s[1], s[2])), s[3]);
            }
            for (int y = 0; y < 3; y++) {
                float *to = weights + ((size_t)o * TAPS + 3 * y) * inputs + i;
                const __m512 outer = _mm512_mul_ps(half, add(v[y][1], v[y][2]));
                _mm512_storeu_ps(to, add(v[y][0], outer));
                _mm512_storeu_ps(to + inputs, _mm512_mul_ps(half, sub(v[y][1], v[y][2])));
                _mm512_storeu_ps(to + 2 * (size_t)inputs, sub(outer, v[y][3]));
            }
        }
}

/* The share of one thread in a call: whole images or, if there are fewer images than threads, some rows of tiles of
 * every image. In the second case a barrier follows each layer. */
typedef struct {
    int first, last, top, rows, shared;
} thread_share;

static thread_share make_thread_share(int images, const plane *p) {
    const int me = omp_get_thread_num(), all = omp_get_num_threads();
    if (images >= all) return (thread_share){me * images / all, (me + 1) * images / all, 0, p->down, 0};
    const int top = me * p->down / all;
    return (thread_share){0, images, top, (me + 1) * p->down / all - top, 1};
}

int nitido_chains_allowed(void) { return 1; }

int nitido_chains_forward(int count, const shape *chains, const bf16 *input, const float *const *weights,
                          const float *const *biases, bf16 *const *outputs) {
    const plane p = make_plane(chains);
    int most = 0;
    size_t bytes = 0;
    for (int c = 0; c < count; c++) {
        most = max_channels(chains + c) > most ? max_channels(chains + c) : most;
        bytes += matrix_bytes(chains + c, chains[c].length);
    }
    char *matrices = aligned_alloc(4096, bytes);
    if (!matrices) return NO_MEMORY;
    int status = OK;
    #pragma omp parallel num_threads(chains->threads) reduction(| : status)
    {
        char *at = matrices;
        const float *const *weight = weights;
        for (const shape *s = chains; s < chains + count; at += matrix_bytes(s, s->length), weight += s->length, s++)
            for (int l = 0; l < s->length; l++)
                make_matrices(weight[l], (uint32_t *)(at + matrix_bytes(s, l)), s->channels[l], s->channels[l + 1]);
        #pragma omp barrier
        workspace *work = get_workspace(&p, most, 0);
        if (!work) status = NO_MEMORY;
        const thread_share mine = make_thread_share(chains->images, &p);
        for (int n = mine.first; n < mine.last; n++) {
            const size_t pixels = (size_t)n * p.height * p.width;
            const bf16 *from = input + pixels * chains->channels[0];
            int done = 0;
            at = matrices;
            for (const shape *s = chains; s < chains + count; at += matrix_bytes(s, s->length), s++) {
                const bf16 *begin = from;
                for (int l = 0; l < s->length; l++, done++) {
                    const epilogue ep = {.bias = biases[done], .slope = s->slope[l],
                                         .skip = l == s->length - 1 && s->skip ? begin : NULL};
                    bf16 *to = outputs[done] + pixels * s->channels[l + 1];
                    if (work)
                        convolve(from, &p, mine.top, mine.rows, s->channels[l], s->channels[l + 1],
                                 (uint32_t *)(at + matrix_bytes(s, l)), work, &ep, to);
                    if (mine.shared) {
                        #pragma omp barrier
                    }
                    from = to;
                }
            }
        }
    }
    free(matrices);
    return status;
}

int nitido_chain_backward(const shape *s, const bf16 *input, const float *const *weights, bf16 *const *outputs,
                          const bf16 *gradient, bf16 *input_gradient, float *const *weight_gradients,
                          float *const *bias_gradients) {
    const plane p = make_plane(s);
    const int last = s->length - 1, end = s->channels[s->length];
    size_t count = 0, sums_at[MAX_CONVOLUTIONS], biases_at[MAX_CONVOLUTIONS];
    for (int l = 0; l < s->length; l++) {
        sums_at[l] = count;
        count += (size_t)COEFFICIENTS * s->channels[l] * s->channels[l + 1];
        biases_at[l] = count;
        count += s->channels[l + 1];
    }
    count = round_to_pages(count * sizeof(float)) / sizeof(float);
    char *matrices = aligned_alloc(4096, matrix_bytes(s, s->length));
    float *sums = aligned_alloc(4096, count * sizeof(float) * s->threads);
    int status = matrices && sums ? OK : NO_MEMORY;
    if (status == OK) {
        #pragma omp parallel num_threads(s->threads) reduction(| : status)
        {
            for (int l = input_gradient ? 0 : 1; l < s->length; l++)
                make_matrices_back(weights[l], (uint32_t *)(matrices + matrix_bytes(s, l)), s->channels[l],
                                   s->channels[l + 1]);
            #pragma omp barrier
            workspace *work = get_workspace(&p, max_channels(s), 2);
            if (!work) status = NO_MEMORY;
            float *mine = sums + count * omp_get_thread_num();
            memset(mine, 0, count * sizeof(float));
            #pragma omp for schedule(static)
            for (int n = 0; n < s->images; n++) {
                if (!work) continue;
                const size_t pixels = (size_t)n * p.height * p.width;
                const bf16 *gradients = gradient + pixels * end;
                if (s->slope[last] != 1) {
                    const bf16 *activated = outputs[last] + pixels * end;
                    for (size_t i = 0; i < (size_t)p.height * p.width * end; i += DEPTH) {
                        __m512 low = from_bf16(gradients + i), high = from_bf16(gradients + i + LANES);
                        activation_backward(&low, &high, activated + i, s->slope[last]);
                        _mm512_storeu_si512(work->gradients[0] + i, to_bf16(low, high));
                    }
                    gradients = work->gradients[0];
                }
                for (int l = last; l >= 0; l--) {
                    const int in = s->channels[l], out = s->channels[l + 1];
                    const bf16 *from = (l ? outputs[l - 1] : input) + pixels * in;
                    sum_gradients(from, gradients, &p, in, out, work, mine + sums_at[l], mine + biases_at[l]);
                    if (l == 0 && !input_gradient) continue;
                    const epilogue ep = {.slope = 1,
                                         .skip = l == 0 && s->skip ? gradient + pixels * in : NULL,
                                         .activated = l && s->slope[l - 1] != 1 ? from : NULL,
                                         .activated_slope = l ? s->slope[l - 1] : 1};
                    bf16 *to = l ? work->gradients[gradients == work->gradients[0]] : input_gradient + pixels * in;
                    convolve(gradients, &p, 0, p.down, out, in, (uint32_t *)(matrices + matrix_bytes(s, l)), work, &ep,
                             to);
                    gradients = to;
                }
            }
            for (int l = 0; l < s->length; l++) {
                finish_gradient(sums + sums_at[l], count, s->channels[l], s->channels[l + 1], weight_gradients[l]);
                #pragma omp for
                for (int o = 0; o < s->channels[l + 1]; o++) {
                    float sum = 0;
                    for (int t = 0; t < omp_get_num_threads(); t++) sum += sums[count * t + biases_at[l] + o];
                    bias_gradients[l][o] = sum;
                }
            }
        }
    }
    free(matrices);
    free(sums);
    return status;
}
