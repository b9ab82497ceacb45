/* Convolutions from features to the one or three channels of an image, in bfloat16 on AVX512-BF16.
 *
 * One or three outputs cannot fill the lanes of a vector. In the forward pass the lanes are therefore the pixels of a
 * row, whose features are transposed first. In the backward pass they are features. VDPBF16PS multiplies pairs: pairs
 * of features in the forward pass, pairs of numbers (channels and pixels) of the output gradient for the input
 * gradient, and pairs of pixels for the weight gradient.
 *
 * Features are bfloat16, (n, h, w, inputs) in memory. The image and its gradient are float, (n, h, w, outputs). Weights
 * and their gradient are float, (outputs, k, k, inputs). The number of inputs is a multiple of 32. Sums are accumulated
 * in float. All functions return OK or NO_MEMORY.
 */
#include "bfloat16.h"

enum { MAX_OUTPUTS = 3, VECTORS = 3, ROWS = 12, GRADIENT_ROWS = 8 };

typedef struct {
    int32_t images, height, width, kernel, inputs, outputs, threads;
} narrow;

/* A transposed row of features is [pair of inputs][pixel], with zeros around the pixels. */
static int transposed_pitch(const narrow *s) {
    return (s->width + LANES - 1) / LANES * LANES + s->kernel - 1 + VECTORS * LANES;
}

static void transpose_row(const bf16 *row, const narrow *s, uint32_t *out) {
    const int pitch = transposed_pitch(s), pad = s->kernel / 2;
    for (int i = 0; i < s->inputs; i += DEPTH)
        for (int x = 0; x < s->width; x += LANES) {
            uint32_t last[LANES * LANES] = {0};
            const uint32_t *from = (const uint32_t *)(row + (size_t)x * s->inputs + i);
            size_t stride = s->inputs / 2;
            if (x + LANES > s->width) {
                for (int k = 0; x + k < s->width; k++)
                    memcpy(last + k * LANES, from + k * stride, sizeof(bf16) * DEPTH);
                from = last;
                stride = LANES;
            }
            transpose(from, stride, out + (size_t)(i / 2) * pitch + pad + x, pitch);
        }
}

/* Compute `vectors` times 16 pixels of a row from `x` on as [output][pixel]. Weights are [k][pair][k][output]. */
static inline __attribute__((always_inline)) void sum_pixels(const uint32_t *const *rows, const narrow *s, int x,
                                                             const uint32_t *weights, const int outputs,
                                                             const int vectors, float *out) {
    const int k = s->kernel, pitch = transposed_pitch(s);
    __m512 sum[2][MAX_OUTPUTS][VECTORS]; /* two independent sums of each, to hide latency */
    #pragma GCC unroll 18
    for (int i = 0; i < 2 * MAX_OUTPUTS * VECTORS; i++)
        sum[i / (MAX_OUTPUTS * VECTORS)][i / VECTORS % MAX_OUTPUTS][i % VECTORS] = _mm512_setzero_ps();
    for (int ky = 0; ky < k; ky++)
        for (int pair = 0; pair < s->inputs / 2; pair += 2) {
            const uint32_t *line = rows[ky] + (size_t)pair * pitch + x;
            const uint32_t *weight = weights + (size_t)(ky * s->inputs / 2 + pair) * k * outputs;
            for (int kx = 0; kx < k; kx++, line++, weight += outputs) {
                #pragma GCC unroll 2
                for (int set = 0; set < 2; set++) {
                    #pragma GCC unroll 3
                    for (int v = 0; v < vectors; v++) {
                        const __m512bh pixels = (__m512bh)_mm512_loadu_si512(line + set * pitch + v * LANES);
                        #pragma GCC unroll 3
                        for (int o = 0; o < outputs; o++)
                            sum[set][o][v] = _mm512_dpbf16_ps(sum[set][o][v], pixels,
                                                              broadcast_pair(weight + set * k * outputs + o));
                    }
                }
            }
        }
    #pragma GCC unroll 3
    for (int o = 0; o < outputs; o++)
        #pragma GCC unroll 3
        for (int v = 0; v < vectors; v++)
            _mm512_storeu_ps(out + (o * VECTORS + v) * LANES, _mm512_add_ps(sum[0][o][v], sum[1][o][v]));
}

static void sum_row(const uint32_t *const *rows, const narrow *s, const uint32_t *weights, const float *bias,
                    float *out) {
    for (int x = 0, count; x < s->width; x += count) {
        float sums[MAX_OUTPUTS][VECTORS * LANES];
        const int left = s->width - x, vectors = left > 2 * LANES ? 3 : left > LANES ? 2 : 1;
        if (s->outputs == 1 && vectors == 1) sum_pixels(rows, s, x, weights, 1, 1, *sums);
        else if (s->outputs == 1 && vectors == 2) sum_pixels(rows, s, x, weights, 1, 2, *sums);
        else if (s->outputs == 1) sum_pixels(rows, s, x, weights, 1, 3, *sums);
        else if (vectors == 1) sum_pixels(rows, s, x, weights, 3, 1, *sums);
        else if (vectors == 2) sum_pixels(rows, s, x, weights, 3, 2, *sums);
        else sum_pixels(rows, s, x, weights, 3, 3, *sums);
        count = left < vectors * LANES ? left : vectors * LANES;
        for (int i = 0; i < count; i++)
            for (int o = 0; o < s->outputs; o++)
                out[(size_t)(x + i) * s->outputs + o] = sums[o][i] + (bias ? bias[o] : 0);
    }
}

/* Store weights as pairs of inputs: [k][pair][k][output]. */
static void pair_inputs(const float *weights, const narrow *s, uint32_t *out) {
    const int k = s->kernel;
    for (int o = 0; o < s->outputs; o++)
        for (int tap = 0; tap < k * k; tap++)
            for (int i = 0; i < s->inputs; i += DEPTH) {
                uint32_t pairs[LANES];
                const float *from = weights + ((size_t)o * k * k + tap) * s->inputs + i;
                _mm512_storeu_si512(pairs, to_bf16(_mm512_loadu_ps(from), _mm512_loadu_ps(from + LANES)));
                for (int p = 0; p < LANES; p++)
                    out[((size_t)(tap / k * s->inputs / 2 + i / 2 + p) * k + tap % k) * s->outputs + o] = pairs[p];
            }
}

int nitido_narrow_forward(const narrow *s, const bf16 *input, const float *weights, const float *bias, float *output) {
    const int k = s->kernel, pad = k / 2;
    const size_t row = round_to_pages((size_t)transposed_pitch(s) * s->inputs / 2 * sizeof(uint32_t));
    uint32_t *paired = malloc((size_t)k * k * s->inputs / 2 * s->outputs * sizeof(uint32_t));
    if (!paired) return NO_MEMORY;
    pair_inputs(weights, s, paired);
    int status = OK;
    #pragma omp parallel num_threads(s->threads) reduction(| : status)
    {
        char *transposed = aligned_alloc(4096, row * (k + 1)); /* the last row stays zero, for rows outside the image */
        if (transposed) memset(transposed, 0, row * (k + 1));
        else status = NO_MEMORY;
        #pragma omp for schedule(static)
        for (int n = 0; n < s->images; n++) {
            if (!transposed) continue;
            const bf16 *image = input + (size_t)n * s->height * s->width * s->inputs;
            for (int y = -pad; y < s->height; y++) {
                const int next = y + pad;
                if (next < s->height)
                    transpose_row(image + (size_t)next * s->width * s->inputs, s,
                                  (uint32_t *)(transposed + next % k * row));
                if (y < 0) continue;
                const uint32_t *rows[k];
                for (int ky = 0; ky < k; ky++) {
                    const int at = y + ky - pad;
                    rows[ky] = (uint32_t *)(transposed + (at < 0 || at >= s->height ? k : at % k) * row);
                }
                sum_row(rows, s, paired, bias, output + ((size_t)n * s->height + y) * s->width * s->outputs);
            }
        }
        free(transposed);
    }
    free(paired);
    return status;
}

/* The gradient of an image in two layouts: padded with zeros and interleaved channels, and with separate rows for each
 * channel. */
typedef struct {
    bf16 *padded, *channels, *zeros;
    int padded_pitch, pitch;
    uint32_t *pairs; /* pairs of pixels of a row of features */
    void *memory;
} workspace;

static int make_workspace(const narrow *s, workspace *work) {
    const int k = s->kernel;
    work->padded_pitch = (s->width + k - 1 + ROWS) * s->outputs + 1;
    work->pitch = s->width + 2 * k;
    const size_t padded = round_to_pages((size_t)work->padded_pitch * (s->height + k) * sizeof(bf16));
    const size_t channels = round_to_pages((size_t)work->pitch * s->outputs * s->height * sizeof(bf16));
    const size_t zeros = round_to_pages(work->pitch * sizeof(bf16));
    const size_t pairs = round_to_pages((size_t)(s->width + 1) / 2 * s->inputs * sizeof(uint32_t));
    const size_t bytes = padded + channels + zeros + pairs;
    char *at = work->memory = aligned_alloc(4096, bytes);
    if (!at) return NO_MEMORY;
    memset(at, 0, bytes);
    work->padded = (bf16 *)at;
    work->channels = (bf16 *)(at + padded);
    work->zeros = (bf16 *)(at + padded + channels);
    work->pairs = (uint32_t *)(at + padded + channels + zeros);
    return OK;
}

static void convert_gradient(const float *gradient, const narrow *s, workspace *work, double *biases) {
    const int pad = s->kernel / 2;
    for (int y = 0; y < s->height; y++)
        for (int x = 0; x < s->width; x++)
            for (int o = 0; o < s->outputs; o++, gradient++) {
                const bf16 number = (bf16)_mm_extract_epi16((__m128i)_mm_cvtneps_pbh(_mm_set_ss(*gradient)), 0);
                work->padded[(size_t)(y + pad) * work->padded_pitch + (x + pad) * s->outputs + o] = number;
                work->channels[(size_t)(y * s->outputs + o) * work->pitch + pad + x] = number;
                biases[o] += *gradient;
            }
}

/* Number of pairs of consecutive gradient numbers in a row of the kernel. */
static int pairs_of(const narrow *s) { return (s->kernel * s->outputs + 1) / 2; }

/* Store weights for such pairs: [k][pair][input], with the kernel rotated by 180 degrees. */
static void pair_outputs(const float *weights, const narrow *s, uint32_t *out) {
    const int k = s->kernel;
    for (int y = 0; y < k; y++)
        for (int e = 0; e < k * s->outputs; e += 2)
            for (int i = 0; i < s->inputs; i += LANES, out += LANES) {
                __m512 both[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
                for (int j = e; j < e + 2 && j < k * s->outputs; j++) {
                    const int tap = (k - 1 - y) * k + k - 1 - j / s->outputs;
                    both[j - e] = _mm512_loadu_ps(weights + ((size_t)j % s->outputs * k * k + tap) * s->inputs + i);
                }
                _mm512_storeu_si512(out, pair_as_bf16(both[0], both[1]));
            }
}

/* Compute the gradient of 32 features of 12 pixels. `from` points to the top left of the image gradients they need. */
static inline __attribute__((always_inline)) void pixel_gradients(const bf16 *from, const narrow *s, int pitch,
                                                         const uint32_t *weights, const int outputs,
                                                         __m512 sum[ROWS][2]) {
    #pragma GCC unroll 12
    for (int r = 0; r < ROWS; r++) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
    for (int y = 0; y < s->kernel; y++, from += pitch)
        for (int p = 0; p < pairs_of(s); p++, weights += s->inputs) {
            const __m512bh low = (__m512bh)_mm512_loadu_si512(weights);
            const __m512bh high = (__m512bh)_mm512_loadu_si512(weights + LANES);
            #pragma GCC unroll 12
            for (int r = 0; r < ROWS; r++) {
                const __m512bh both = broadcast_pair(from + 2 * p + r * outputs);
                sum[r][0] = _mm512_dpbf16_ps(sum[r][0], both, low);
                sum[r][1] = _mm512_dpbf16_ps(sum[r][1], both, high);
            }
        }
}

static void image_gradients(const workspace *work, const narrow *s, const uint32_t *weights, bf16 *out) {
    for (int y = 0; y < s->height; y++)
        for (int x = 0; x < s->width; x += ROWS) {
            const bf16 *from = work->padded + (size_t)y * work->padded_pitch + x * s->outputs;
            for (int i = 0; i < s->inputs; i += BLOCK) {
                __m512 sum[ROWS][2];
                if (s->outputs == 1) pixel_gradients(from, s, work->padded_pitch, weights + i, 1, sum);
                else pixel_gradients(from, s, work->padded_pitch, weights + i, 3, sum);
                for (int r = 0; r < ROWS && x + r < s->width; r++)
                    _mm512_storeu_si512(out + ((size_t)y * s->width + x + r) * s->inputs + i,
                                        to_bf16(sum[r][0], sum[r][1]));
            }
        }
}

/* Add the contribution of a row of features to the weight gradient `sums`, (outputs, k, k, inputs). */
static void sum_weights(const bf16 *row, int y, const narrow *s, workspace *work, float *sums) {
    const int k = s->kernel, pad = k / 2, taps = k * k, all = taps * s->outputs;
    const bf16 *none = work->zeros;
    for (int x = 0; x < s->width; x += 2)
        for (int i = 0; i < s->inputs; i += DEPTH) {
            const __m512i first = _mm512_loadu_si512(row + (size_t)x * s->inputs + i);
            const __m512i second =
                x + 1 < s->width ? _mm512_loadu_si512(row + (size_t)(x + 1) * s->inputs + i) : _mm512_setzero_si512();
            uint32_t *to = work->pairs + (size_t)x / 2 * s->inputs + i;
            interleave(first, second, to, to + LANES);
        }
    for (int begin = 0; begin < all; begin += GRADIENT_ROWS) {
        const bf16 *from[GRADIENT_ROWS];
        for (int r = 0; r < GRADIENT_ROWS; r++) {
            const int o = (begin + r) / taps, tap = (begin + r) % taps, at = y - tap / k + pad;
            const int outside = begin + r >= all || at < 0 || at >= s->height;
            from[r] = outside ? none : work->channels + (size_t)(at * s->outputs + o) * work->pitch + 2 * pad - tap % k;
        }
        for (int i = 0; i < s->inputs; i += BLOCK) {
            float *to = sums + (size_t)begin * s->inputs + i;
            __m512 sum[GRADIENT_ROWS][2];
            #pragma GCC unroll 8
            for (int r = 0; r < GRADIENT_ROWS; r++) {
                sum[r][0] = _mm512_loadu_ps(to + (size_t)r * s->inputs);
                sum[r][1] = _mm512_loadu_ps(to + (size_t)r * s->inputs + LANES);
            }
            const uint32_t *pairs = work->pairs + i;
            for (int x = 0; x < s->width; x += 2, pairs += s->inputs) {
                const __m512bh low = (__m512bh)_mm512_loadu_si512(pairs);
                const __m512bh high = (__m512bh)_mm512_loadu_si512(pairs + LANES);
                #pragma GCC unroll 8
                for (int r = 0; r < GRADIENT_ROWS; r++) {
                    const __m512bh both = broadcast_pair(from[r] + x);
                    sum[r][0] = _mm512_dpbf16_ps(sum[r][0], both, low);
                    sum[r][1] = _mm512_dpbf16_ps(sum[r][1], both, high);
                }
            }
            #pragma GCC unroll 8
            for (int r = 0; r < GRADIENT_ROWS; r++) {
                _mm512_storeu_ps(to + (size_t)r * s->inputs, sum[r][0]);
                _mm512_storeu_ps(to + (size_t)r * s->inputs + LANES, sum[r][1]);
            }
        }
    }
}

/* Compute the gradients of the weights and biases and, unless `input_gradient` is NULL, of the features. `gradient` is
 * the gradient of the image. */
int nitido_narrow_backward(const narrow *s, const bf16 *input, const float *weights, const float *gradient,
                           bf16 *input_gradient, float *weight_gradient, float *bias_gradient) {
    const int k = s->kernel;
    const size_t count = (size_t)s->outputs * k * k * s->inputs;
    const size_t sums_per_thread = count + (size_t)GRADIENT_ROWS * s->inputs;
    uint32_t *paired = malloc((size_t)k * pairs_of(s) * s->inputs * sizeof(uint32_t));
    float *sums = calloc(sums_per_thread * s->threads, sizeof(float));
    double *biases = calloc((size_t)MAX_OUTPUTS * s->threads, sizeof(double));
    int status = paired && sums && biases ? OK : NO_MEMORY;
    if (status == OK) {
        pair_outputs(weights, s, paired);
        #pragma omp parallel num_threads(s->threads) reduction(| : status)
        {
            workspace work = {.memory = NULL};
            status = make_workspace(s, &work);
            const int thread = omp_get_thread_num();
            #pragma omp for schedule(static)
            for (int n = 0; n < s->images; n++) {
                if (status != OK) continue;
                const size_t pixels = (size_t)n * s->height * s->width;
                convert_gradient(gradient + pixels * s->outputs, s, &work, biases + MAX_OUTPUTS * thread);
                if (input_gradient) image_gradients(&work, s, paired, input_gradient + pixels * s->inputs);
                for (int y = 0; y < s->height; y++)
                    sum_weights(input + (pixels + (size_t)y * s->width) * s->inputs, y, s, &work,
                                sums + sums_per_thread * thread);
            }
            free(work.memory);
            #pragma omp for
            for (size_t i = 0; i < count; i++) {
                weight_gradient[i] = 0;
                for (int t = 0; t < omp_get_num_threads(); t++) weight_gradient[i] += sums[sums_per_thread * t + i];
            }
        }
        for (int o = 0; o < s->outputs; o++) {
            double sum = 0;
            for (int t = 0; t < s->threads; t++) sum += biases[MAX_OUTPUTS * t + o];
            bias_gradient[o] = (float)sum;
        }
    }
    free(paired);
    free(sums);
    free(biases);
    return status;
}
