/* Chains of convolutions in bfloat16 on Intel's AMX tiles. chain.h defines a chain.
 *
 * Each image passes through the whole chain before the next one, so that the intermediate features are still in the
 * core's private cache when the next convolution reads them.
 *
 * A tile is 16 rows of 64 bytes. The instruction computes C += A B: A has 16 rows of 32 bfloat16 numbers, B has 16 rows
 * that each store pairs of consecutive numbers of 16 columns, and C is 16 x 16 floats. See TDPBF16PS in the Intel 64
 * and IA-32 Architectures Software Developer's Manual.
 */
#include "chain.h"

#include <sys/syscall.h>
#include <unistd.h>

enum { TILE = LANES, TILE_BYTES = 64, AHEAD = 64 };
enum { BAND = 640 }; /* positions per pass over the weight gradients; their operands fit into the cache */

/* Layout of an image that is padded with zeros. The padding right of a row is also the padding left of the next row.
 * `pitch` is the distance between two rows, `first` the position of the top left pixel, `positions` the total count. */
typedef struct {
    int height, width, kernel, pad, pitch, first, span, positions;
} padded_layout;

static padded_layout make_padded_layout(const shape *s) {
    padded_layout f = {.height = s->height, .width = s->width, .kernel = s->kernel, .pad = s->kernel / 2};
    f.pitch = f.width + f.pad;
    f.first = f.pad * f.pitch + f.pad;
    f.span = (f.height * f.pitch + DEPTH - 1) / DEPTH * DEPTH;
    f.positions = f.span + 2 * f.first + AHEAD;
    return f;
}

/* Buffers of one thread. They are kept between calls, because their borders are already zero. */
typedef struct {
    padded_layout layout;
    int channels;
    bf16 *image[3];             /* padded images */
    int border_channels[3];     /* number of channels for which the border of each image is zero */
    uint32_t *even, *odd;       /* pairs of positions that start at even and at odd positions */
    uint32_t *columns, *pairs;  /* gradients transposed into tiles, and the two tiles before the transposition */
    float *blocks;              /* two blocks of sums */
    void *memory;
} workspace;

static _Thread_local workspace thread_workspace;

static workspace *get_workspace(const padded_layout *f, int channels) {
    workspace *k = &thread_workspace;
    if (k->memory && k->channels >= channels && !memcmp(&k->layout, f, sizeof *f)) return k;
    free(k->memory);
    const size_t padded = round_to_pages((size_t)f->positions * channels * sizeof(bf16));
    const size_t paired = round_to_pages(((size_t)BAND + 2 * f->first + 2 * AHEAD) / 2 * channels * sizeof(uint32_t));
    const size_t transposed = round_to_pages((size_t)BAND * channels * sizeof(bf16));
    const size_t few = round_to_pages(2 * TILE * TILE_BYTES);
    const size_t bytes = 3 * padded + 2 * paired + transposed + few + round_to_pages(2 * BLOCK * BLOCK * sizeof(float));
    k->memory = aligned_alloc(4096, bytes);
    if (!k->memory) return NULL;
    memset(k->memory, 0, bytes);
    char *at = k->memory;
    for (int i = 0; i < 3; i++, at += padded) k->image[i] = (bf16 *)at;
    k->even = (uint32_t *)at;
    at += paired;
    k->odd = (uint32_t *)at;
    at += paired;
    k->columns = (uint32_t *)at;
    at += transposed;
    k->pairs = (uint32_t *)at;
    at += few;
    k->blocks = (float *)at;
    k->layout = *f;
    k->channels = channels;
    memset(k->border_channels, 0, sizeof k->border_channels);
    return k;
}

/* Return the `i`-th padded image, whose border is zero for this number of channels. */
static bf16 *padded_image(workspace *work, int i, int channels) {
    if (work->border_channels[i] != channels) {
        memset(work->image[i], 0, (size_t)work->layout.positions * channels * sizeof(bf16));
        work->border_channels[i] = channels;
    }
    return work->image[i];
}

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} tile_shapes;

static tile_shapes begin_tiles(void) {
    tile_shapes before, ours = {.palette = 1};
    for (int i = 0; i < 8; i++) ours.bytes[i] = TILE_BYTES, ours.rows[i] = TILE;
    _tile_storeconfig(&before);
    _tile_loadconfig(&ours);
    return before;
}

static void end_tiles(const tile_shapes *before) { /* other libraries may rely on the shapes that they configured */
    if (before->palette) _tile_loadconfig(before);
    else _tile_release();
}

static size_t weights_of(const shape *s, int l) {
    return (size_t)s->kernel * s->kernel * s->channels[l] * s->channels[l + 1];
}

/* Return the size of the first `count` convolutions' weights as tiles. */
static size_t tile_bytes(const shape *s, int count) {
    size_t bytes = 0;
    for (int l = 0; l < count; l++) bytes += round_to_pages(weights_of(s, l) * sizeof(bf16));
    return bytes;
}

/* Store weights as tiles: two tiles of 16 outputs for each 32 outputs, each tap and each 32 inputs. All threads of the
 * team must call it; they share the work, and there is no barrier at the end. */
static void tile_weights(const float *weights, bf16 *out, int taps, int inputs, int outputs) {
    #pragma omp for collapse(2) nowait
    for (int o = 0; o < outputs; o += TILE)
        for (int tap = 0; tap < taps; tap++)
            for (int i = 0; i < inputs; i += DEPTH) {
                uint32_t rows[TILE * TILE] __attribute__((aligned(64)));
                for (int r = 0; r < TILE; r++) {
                    const float *from = weights + ((size_t)(o + r) * taps + tap) * inputs + i;
                    _mm512_store_si512(rows + r * TILE, to_bf16(_mm512_loadu_ps(from), _mm512_loadu_ps(from + 16)));
                }
                const size_t pair = ((size_t)(o / BLOCK) * taps + tap) * (inputs / DEPTH) + i / DEPTH;
                const size_t tile = 2 * pair + o % BLOCK / TILE;
                transpose(rows, TILE, (uint32_t *)out + tile * TILE * TILE, TILE);
            }
}

/* Store weights as tiles for the input gradient: a convolution with inputs and outputs swapped and the taps reversed.
 * */
static void tile_weights_back(const float *weights, bf16 *out, int taps, int inputs, int outputs) {
    #pragma omp for collapse(2) nowait
    for (int i = 0; i < inputs; i += BLOCK)
        for (int tap = 0; tap < taps; tap++)
            for (int o = 0; o < outputs; o += 2) {
                const float *a = weights + ((size_t)o * taps + taps - 1 - tap) * inputs + i;
                const float *b = a + (size_t)taps * inputs;
                const size_t tile = (((size_t)(i / BLOCK) * taps + tap) * (outputs / DEPTH) + o / DEPTH) * 2;
                uint32_t *to = (uint32_t *)out + tile * TILE * TILE + o % DEPTH / 2 * TILE;
                interleave(to_bf16(_mm512_loadu_ps(a), _mm512_loadu_ps(a + 16)),
                           to_bf16(_mm512_loadu_ps(b), _mm512_loadu_ps(b + 16)), to, to + TILE * TILE);
            }
}

/* A block of sums whose epilogue is pending. The next pixel is at (x, y); `left` pixels remain. */
typedef struct {
    const float *sums;
    int left, x, y, o;
} pending_block;

/* Where a convolution stores its outputs: without padding in `plain`, with padding in `padded`. Either may be NULL. */
typedef struct {
    bf16 *plain, *padded;
} destination;

static inline void write_pixels(pending_block *w, int count, const padded_layout *f, int outputs, const epilogue *ep,
                                 const destination *to) {
    const __m512 none = _mm512_setzero_ps();
    const __m512 bias[2] = {ep->bias ? _mm512_loadu_ps(ep->bias + w->o) : none,
                            ep->bias ? _mm512_loadu_ps(ep->bias + w->o + TILE) : none};
    for (; count > 0 && w->left > 0; count--, w->left--, w->sums += BLOCK) {
        if (w->x < f->width && w->y < f->height) {
            const size_t at = ((size_t)w->y * f->width + w->x) * outputs + w->o;
            const __m512i sum = apply_epilogue(_mm512_add_ps(_mm512_load_ps(w->sums), bias[0]),
                                               _mm512_add_ps(_mm512_load_ps(w->sums + TILE), bias[1]), at, ep);
            if (to->plain) _mm512_storeu_si512(to->plain + at, sum);
            if (to->padded)
                _mm512_storeu_si512(to->padded + (size_t)(f->first + w->y * f->pitch + w->x) * outputs + w->o, sum);
        }
        if (++w->x == f->pitch) w->x = 0, w->y++;
    }
}

/* Convolve a padded image. `blocks` stores two blocks of sums: the vector units apply the epilogue to one while the
 * tile unit computes the next. */
static void convolve(const bf16 *image, const padded_layout *f, int inputs, int outputs, const bf16 *weights,
                     float *blocks, const epilogue *ep, const destination *to) {
    const int k = f->kernel, steps = inputs / DEPTH, share = (BLOCK + k * k - 1) / (k * k);
    for (int o = 0; o < outputs; o += BLOCK) {
        const bf16 *tiles = weights + (size_t)o * k * k * inputs;
        pending_block before = {.left = 0};
        int x = 0, y = 0, current = 0;
        for (int q = 0; q < f->span; q += BLOCK, current = !current) {
            _tile_zero(0);
            _tile_zero(1);
            _tile_zero(2);
            _tile_zero(3);
            const bf16 *b = tiles;
            for (int tap = 0; tap < k * k; tap++) {
                const bf16 *a = image + (size_t)(q + tap / k * f->pitch + tap % k) * inputs;
                for (int step = 0; step < steps; step++, a += DEPTH, b += 2 * TILE * DEPTH) {
                    _tile_loadd(4, a, inputs * sizeof(bf16));
                    _tile_loadd(6, b, TILE_BYTES);
                    _tile_dpbf16ps(0, 4, 6);
                    _tile_loadd(7, b + TILE * DEPTH, TILE_BYTES);
                    _tile_dpbf16ps(1, 4, 7);
                    _tile_loadd(5, a + TILE * inputs, inputs * sizeof(bf16));
                    _tile_dpbf16ps(2, 5, 6);
                    _tile_dpbf16ps(3, 5, 7);
                }
                write_pixels(&before, share, f, outputs, ep, to);
            }
            float *block = blocks + current * BLOCK * BLOCK;
            _tile_stored(0, block, BLOCK * sizeof(float));
            _tile_stored(1, block + TILE, BLOCK * sizeof(float));
            _tile_stored(2, block + TILE * BLOCK, BLOCK * sizeof(float));
            _tile_stored(3, block + TILE * BLOCK + TILE, BLOCK * sizeof(float));
            before = (pending_block){.sums = block, .left = BLOCK, .x = x, .y = y, .o = o};
            for (x += BLOCK; x >= f->pitch; x -= f->pitch) y++;
        }
        write_pixels(&before, BLOCK, f, outputs, ep, to);
    }
}

/* Copy an image into a padded one. If `activated` is not NULL, `plain` is the gradient of these activation outputs and
 * is multiplied by the derivative of the activation with this `slope`. */
static void copy_padded(const bf16 *plain, const bf16 *activated, float slope, const padded_layout *f, int channels,
                        bf16 *padded) {
    const size_t row = (size_t)f->width * channels;
    for (int y = 0; y < f->height; y++) {
        bf16 *to = padded + (size_t)(f->first + y * f->pitch) * channels;
        if (!activated) {
            memcpy(to, plain + y * row, row * sizeof(bf16));
            continue;
        }
        for (size_t i = y * row; i < (y + 1) * row; i += DEPTH, to += DEPTH) {
            __m512 low = from_bf16(plain + i), high = from_bf16(plain + i + LANES);
            activation_backward(&low, &high, activated + i, slope);
            _mm512_storeu_si512(to, to_bf16(low, high));
        }
    }
}

/* Add the gradients of a convolution's weights to `sums`, (outputs, k, k, inputs), and those of its biases to `biases`.
 * They are sums of products of the padded input and the padded gradient of the output over all positions, which are the
 * inner dimension of the tile products. */
static void weight_gradient(const bf16 *image, const bf16 *gradient, const padded_layout *f, int inputs, int outputs,
                            workspace *work, float *sums, float *biases) {
    const int k = f->kernel, taps = k * k;
    const size_t plane = ((size_t)BAND + 2 * f->first + 2 * AHEAD) / 2 * TILE, pitch = (size_t)taps * inputs;
    const size_t row = pitch * sizeof(float);
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000);
    for (int q = 0; q < f->span; q += BAND) {
        const int depth = f->span - q < BAND ? f->span - q : BAND;
        const bf16 *from = image + (size_t)q * inputs;
        const int pair_count = (depth + 2 * f->first) / 2 + 1;
        for (int i = 0; i < inputs; i += DEPTH) {
            uint32_t *even = work->even + i / TILE * plane, *odd = work->odd + i / TILE * plane;
            __m512i a = _mm512_loadu_si512(from + i);
            for (int p = 0; p < pair_count; p++) {
                const __m512i b = _mm512_loadu_si512(from + (size_t)(2 * p + 1) * inputs + i);
                const __m512i c = _mm512_loadu_si512(from + (size_t)(2 * p + 2) * inputs + i);
                interleave(a, b, even + p * TILE, even + plane + p * TILE);
                interleave(b, c, odd + p * TILE, odd + plane + p * TILE);
                a = c;
            }
        }
        const bf16 *of = gradient + (size_t)(f->first + q) * outputs;
        for (int step = 0; step < depth / DEPTH; step++)
            for (int o = 0; o < outputs; o += DEPTH) {
                for (int p = 0; p < TILE; p++)
                    interleave(_mm512_loadu_si512(of + (size_t)(step * DEPTH + 2 * p) * outputs + o),
                               _mm512_loadu_si512(of + (size_t)(step * DEPTH + 2 * p + 1) * outputs + o),
                               work->pairs + p * TILE, work->pairs + TILE * TILE + p * TILE);
                for (int half = 0; half < 2; half++) {
                    const uint32_t *pairs = work->pairs + half * TILE * TILE;
                    const size_t column = (size_t)o * BAND / 2 + (2 * step + half) * TILE * TILE;
                    transpose(pairs, TILE, work->columns + column, TILE);
                    __m512 sum = _mm512_loadu_ps(biases + o + half * TILE);
                    for (int p = 0; p < TILE; p++) {
                        const __m512i pair = _mm512_load_si512(pairs + p * TILE);
                        sum = _mm512_add_ps(sum, _mm512_castsi512_ps(_mm512_slli_epi32(pair, 16)));
                        sum = _mm512_add_ps(sum, _mm512_castsi512_ps(_mm512_and_si512(pair, upper)));
                    }
                    _mm512_storeu_ps(biases + o + half * TILE, sum);
                }
            }
        for (int tap = 0; tap < taps; tap++) {
            const int shift = tap / k * f->pitch + tap % k;
            const uint32_t *pairs = (shift % 2 ? work->odd : work->even) + (size_t)(shift / 2) * TILE;
            for (int o = 0; o < outputs; o += BLOCK)
                for (int i = 0; i < inputs; i += BLOCK) {
                    float *c = sums + (size_t)o * pitch + (size_t)tap * inputs + i, *d = c + TILE * pitch;
                    const uint32_t *a = work->columns + (size_t)o * BAND / 2, *b = pairs + i / TILE * plane;
                    _tile_loadd(0, c, row);
                    _tile_loadd(1, c + TILE, row);
                    _tile_loadd(2, d, row);
                    _tile_loadd(3, d + TILE, row);
                    for (int step = 0; step < depth / DEPTH; step++, a += 2 * TILE * TILE, b += TILE * TILE) {
                        _tile_loadd(4, a, TILE_BYTES);
                        _tile_loadd(6, b, TILE_BYTES);
                        _tile_dpbf16ps(0, 4, 6);
                        _tile_loadd(7, b + plane, TILE_BYTES);
                        _tile_dpbf16ps(1, 4, 7);
                        _tile_loadd(5, a + TILE * TILE, TILE_BYTES);
                        _tile_dpbf16ps(2, 5, 6);
                        _tile_dpbf16ps(3, 5, 7);
                    }
                    _tile_stored(0, c, row);
                    _tile_stored(1, c + TILE, row);
                    _tile_stored(2, d, row);
                    _tile_stored(3, d + TILE, row);
                }
        }
    }
}

/* Linux requires a process to request the tile state once. */
int nitido_chains_allowed(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

int nitido_chains_forward(int count, const shape *chains, const bf16 *input, const float *const *weights,
                          const float *const *biases, bf16 *const *outputs) {
    const padded_layout f = make_padded_layout(chains);
    const int taps = chains->kernel * chains->kernel;
    int most = 0, all = 0;
    size_t bytes = 0;
    for (int c = 0; c < count; c++) {
        all += chains[c].length;
        most = max_channels(chains + c) > most ? max_channels(chains + c) : most;
        bytes += tile_bytes(chains + c, chains[c].length);
    }
    char *tiles = aligned_alloc(4096, bytes);
    if (!tiles) return NO_MEMORY;
    int status = OK;
    #pragma omp parallel num_threads(chains->threads) reduction(| : status)
    {
        char *at = tiles;
        const float *const *weight = weights;
        for (int c = 0; c < count; at += tile_bytes(chains + c, chains[c].length), weight += chains[c].length, c++)
            for (int l = 0; l < chains[c].length; l++)
                tile_weights(weight[l], (bf16 *)(at + tile_bytes(chains + c, l)), taps, chains[c].channels[l],
                             chains[c].channels[l + 1]);
        #pragma omp barrier
        workspace *work = get_workspace(&f, most);
        if (!work) status = NO_MEMORY;
        const tile_shapes before = begin_tiles();
        #pragma omp for schedule(static)
        for (int n = 0; n < chains->images; n++) {
            if (!work) continue;
            const size_t pixels = (size_t)n * f.height * f.width;
            const bf16 *begin = input + pixels * chains->channels[0];
            int done = 0;
            copy_padded(begin, NULL, 1, &f, chains->channels[0], padded_image(work, 0, chains->channels[0]));
            at = tiles;
            for (const shape *s = chains; s < chains + count; at += tile_bytes(s, s->length), s++) {
                for (int l = 0; l < s->length; l++, done++) {
                    const int last = l == s->length - 1, in = s->channels[l], out = s->channels[l + 1];
                    const epilogue ep = {.bias = biases[done], .slope = s->slope[l],
                                         .skip = last && s->skip ? begin : NULL};
                    const destination to = {.plain = outputs[done] + pixels * out,
                                       .padded = done == all - 1 ? NULL : padded_image(work, (done + 1) % 2, out)};
                    convolve(work->image[done % 2], &f, in, out, (bf16 *)(at + tile_bytes(s, l)), work->blocks, &ep,
                             &to);
                }
                begin = outputs[done - 1] + pixels * s->channels[s->length];
            }
        }
        end_tiles(&before);
    }
    free(tiles);
    return status;
}

int nitido_chain_backward(const shape *s, const bf16 *input, const float *const *weights, bf16 *const *outputs,
                          const bf16 *gradient, bf16 *input_gradient, float *const *weight_gradients,
                          float *const *bias_gradients) {
    const padded_layout f = make_padded_layout(s);
    const int taps = s->kernel * s->kernel, most = max_channels(s);
    size_t count = 0, sums_at[MAX_CONVOLUTIONS];
    for (int l = 0; l < s->length; l++) {
        sums_at[l] = count;
        count += weights_of(s, l) + s->channels[l + 1];
    }
    count = round_to_pages(count * sizeof(float)) / sizeof(float);
    char *tiles = aligned_alloc(4096, tile_bytes(s, s->length));
    float *sums = aligned_alloc(4096, count * sizeof(float) * s->threads);
    int status = tiles && sums ? OK : NO_MEMORY;
    if (status == OK) {
        #pragma omp parallel num_threads(s->threads) reduction(| : status)
        {
            for (int l = input_gradient ? 0 : 1; l < s->length; l++)
                tile_weights_back(weights[l], (bf16 *)(tiles + tile_bytes(s, l)), taps, s->channels[l],
                                  s->channels[l + 1]);
            #pragma omp barrier
            workspace *work = get_workspace(&f, most);
            if (!work) status = NO_MEMORY;
            float *mine = sums + count * omp_get_thread_num();
            memset(mine, 0, count * sizeof(float));
            const tile_shapes before = begin_tiles();
            #pragma omp for schedule(static)
            for (int n = 0; n < s->images; n++) {
                if (!work) continue;
                const size_t pixels = (size_t)n * f.height * f.width;
                const int last = s->length - 1, end = s->channels[s->length];
                const bf16 *activated = s->slope[last] != 1 ? outputs[last] + pixels * end : NULL;
                copy_padded(gradient + pixels * end, activated, s->slope[last], &f, end,
                            padded_image(work, last % 2, end));
                for (int l = last; l >= 0; l--) {
                    const int in = s->channels[l], out = s->channels[l + 1];
                    const bf16 *from = (l ? outputs[l - 1] : input) + pixels * in, *g = work->image[l % 2];
                    float *weight_sums = mine + sums_at[l];
                    copy_padded(from, NULL, 1, &f, in, padded_image(work, 2, in));
                    weight_gradient(work->image[2], g, &f, in, out, work, weight_sums, weight_sums + weights_of(s, l));
                    if (l == 0 && !input_gradient) continue;
                    const epilogue ep = {.slope = 1,
                                         .skip = l == 0 && s->skip ? gradient + pixels * in : NULL,
                                         .activated = l && s->slope[l - 1] != 1 ? from : NULL,
                                         .activated_slope = l ? s->slope[l - 1] : 1};
                    const destination to = {.plain = l ? NULL : input_gradient + pixels * in,
                                       .padded = l ? padded_image(work, (l + 1) % 2, in) : NULL};
                    convolve(g, &f, out, in, (bf16 *)(tiles + tile_bytes(s, l)), work->blocks, &ep, &to);
                }
            }
            end_tiles(&before);
            for (int l = 0; l < s->length; l++) {
                const size_t all = weights_of(s, l);
                #pragma omp for schedule(static)
                for (size_t i = 0; i < all + s->channels[l + 1]; i++) {
                    float sum = 0;
                    for (int t = 0; t < omp_get_num_threads(); t++) sum += sums[count * t + sums_at[l] + i];
                    if (i < all) weight_gradients[l][i] = sum;
                    else bias_gradients[l][i - all] = sum;
                }
            }
        }
    }
    free(tiles);
    free(sums);
    return status;
}
