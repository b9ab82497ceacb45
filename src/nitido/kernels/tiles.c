/* Chains of convolutions in bfloat16 on Intel's AMX tiles; chain.h says what a chain is.
 *
 * Pictures go through a chain one at a time, so that what lies between two convolutions is still in the core's own cache
 * when the next one reads it.
 *
 * A tile is 16 rows of 64 bytes. C += A B multiplies A, 16 rows of 32 numbers, by B, whose 16 rows hold two numbers
 * of each of 16 columns side by side; C is 16 x 16 floats. See the Intel 64 and IA-32 Architectures Software
 * Developer's Manual, TDPBF16PS.
 */
#include "chain.h"

#include <sys/syscall.h>
#include <unistd.h>

enum { TILE = LANES, TILE_BYTES = 64, AHEAD = 64 };
enum { BAND = 640 }; /* places whose products are summed at a time: what they need stays in the cache */

/* A picture with a border of zeros, rows one behind the other. The zeros to the right of a row are those to the left of
 * the next. `pitch` is the distance of two rows, `first` the place of the top left pixel, `places` the count of all. */
typedef struct {
    int height, width, kernel, pad, pitch, first, span, places;
} frame;

static frame make_frame(const shape *s) {
    frame f = {.height = s->height, .width = s->width, .kernel = s->kernel, .pad = s->kernel / 2};
    f.pitch = f.width + f.pad;
    f.first = f.pad * f.pitch + f.pad;
    f.span = (f.height * f.pitch + DEPTH - 1) / DEPTH * DEPTH;
    f.places = f.span + 2 * f.first + AHEAD;
    return f;
}

/* What one thread works with; kept from call to call, as the borders are zero already. */
typedef struct {
    frame of;
    int channels;
    bf16 *picture[3];           /* framed, */
    int laid_out[3];            /* for as many channels */
    uint32_t *even, *odd;       /* pairs of places that begin at even and at odd ones */
    uint32_t *columns, *pairs;  /* gradients, places along the rows of tiles; and one tile's worth before that */
    float *blocks;              /* of sums, two */
    void *memory;
} workspace;

static _Thread_local workspace kept;

static workspace *work_in(const frame *f, int channels) {
    workspace *k = &kept;
    if (k->memory && k->channels >= channels && !memcmp(&k->of, f, sizeof *f)) return k;
    free(k->memory);
    const size_t framed = rounded((size_t)f->places * channels * sizeof(bf16));
    const size_t paired = rounded(((size_t)BAND + 2 * f->first + 2 * AHEAD) / 2 * channels * sizeof(uint32_t));
    const size_t turned = rounded((size_t)BAND * channels * sizeof(bf16)), few = rounded(2 * TILE * TILE_BYTES);
    const size_t bytes = 3 * framed + 2 * paired + turned + few + rounded(2 * BLOCK * BLOCK * sizeof(float));
    k->memory = aligned_alloc(4096, bytes);
    if (!k->memory) return NULL;
    memset(k->memory, 0, bytes);
    char *at = k->memory;
    for (int i = 0; i < 3; i++, at += framed) k->picture[i] = (bf16 *)at;
    k->even = (uint32_t *)at;
    at += paired;
    k->odd = (uint32_t *)at;
    at += paired;
    k->columns = (uint32_t *)at;
    at += turned;
    k->pairs = (uint32_t *)at;
    at += few;
    k->blocks = (float *)at;
    k->of = *f;
    k->channels = channels;
    memset(k->laid_out, 0, sizeof k->laid_out);
    return k;
}

/* The `i`-th framed picture, with a border of zeros for so many channels. */
static bf16 *framed(workspace *own, int i, int channels) {
    if (own->laid_out[i] != channels) {
        memset(own->picture[i], 0, (size_t)own->of.places * channels * sizeof(bf16));
        own->laid_out[i] = channels;
    }
    return own->picture[i];
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

static void end_tiles(const tile_shapes *before) { /* other libraries may rely on their shapes */
    if (before->palette) _tile_loadconfig(before);
    else _tile_release();
}

static size_t weights_of(const shape *s, int l) {
    return (size_t)s->kernel * s->kernel * s->channels[l] * s->channels[l + 1];
}

/* Of the tiles of the first `count` convolutions' weights. */
static size_t tile_bytes(const shape *s, int count) {
    size_t bytes = 0;
    for (int l = 0; l < count; l++) bytes += rounded(weights_of(s, l) * sizeof(bf16));
    return bytes;
}

/* Weights as tiles: for each 32 outputs, each tap and each 32 inputs two tiles of 16 outputs. To be called by all
 * threads, which share the work and do not wait for each other at the end. */
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

/* The same for the pass back, which is a convolution with inputs and outputs swapped and the taps in reverse. */
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

/* A block of sums that waits for what is left to do with it: pixels are next from (x, y) on. */
typedef struct {
    const float *sums;
    int left, x, y, o;
} waiting;

/* Where a convolution's numbers go: to `plain`, one pixel behind the other, and to `framed`; or not, where it is NULL. */
typedef struct {
    bf16 *plain, *framed;
} target;

static inline void finish_pixels(waiting *w, int count, const frame *f, int outputs, const finish *then,
                                 const target *to) {
    const __m512 none = _mm512_setzero_ps();
    const __m512 bias[2] = {then->bias ? _mm512_loadu_ps(then->bias + w->o) : none,
                            then->bias ? _mm512_loadu_ps(then->bias + w->o + TILE) : none};
    for (; count > 0 && w->left > 0; count--, w->left--, w->sums += BLOCK) {
        if (w->x < f->width && w->y < f->height) {
            const size_t at = ((size_t)w->y * f->width + w->x) * outputs + w->o;
            const __m512i sum = finished(_mm512_add_ps(_mm512_load_ps(w->sums), bias[0]),
                                         _mm512_add_ps(_mm512_load_ps(w->sums + TILE), bias[1]), at, then);
            if (to->plain) _mm512_storeu_si512(to->plain + at, sum);
            if (to->framed)
                _mm512_storeu_si512(to->framed + (size_t)(f->first + w->y * f->pitch + w->x) * outputs + w->o, sum);
        }
        if (++w->x == f->pitch) w->x = 0, w->y++;
    }
}

/* `blocks` has room for two: one is finished while the tiles are busy with the next, as other units do that. */
static void convolve(const bf16 *picture, const frame *f, int inputs, int outputs, const bf16 *weights, float *blocks,
                     const finish *then, const target *to) {
    const int k = f->kernel, steps = inputs / DEPTH, share = (BLOCK + k * k - 1) / (k * k);
    for (int o = 0; o < outputs; o += BLOCK) {
        const bf16 *tiles = weights + (size_t)o * k * k * inputs;
        waiting before = {.left = 0};
        int x = 0, y = 0, turn = 0;
        for (int q = 0; q < f->span; q += BLOCK, turn = !turn) {
            _tile_zero(0);
            _tile_zero(1);
            _tile_zero(2);
            _tile_zero(3);
            const bf16 *b = tiles;
            for (int tap = 0; tap < k * k; tap++) {
                const bf16 *a = picture + (size_t)(q + tap / k * f->pitch + tap % k) * inputs;
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
                finish_pixels(&before, share, f, outputs, then, to);
            }
            float *block = blocks + turn * BLOCK * BLOCK;
            _tile_stored(0, block, BLOCK * sizeof(float));
            _tile_stored(1, block + TILE, BLOCK * sizeof(float));
            _tile_stored(2, block + TILE * BLOCK, BLOCK * sizeof(float));
            _tile_stored(3, block + TILE * BLOCK + TILE, BLOCK * sizeof(float));
            before = (waiting){.sums = block, .left = BLOCK, .x = x, .y = y, .o = o};
            for (x += BLOCK; x >= f->pitch; x -= f->pitch) y++;
        }
        finish_pixels(&before, BLOCK, f, outputs, then, to);
    }
}

/* A picture gets its frame; on the way back through an activation of this `slope`, whose outputs are `open`. */
static void put_in_frame(const bf16 *plain, const bf16 *open, float slope, const frame *f, int channels, bf16 *framed) {
    const size_t row = (size_t)f->width * channels;
    for (int y = 0; y < f->height; y++) {
        bf16 *to = framed + (size_t)(f->first + y * f->pitch) * channels;
        if (!open) {
            memcpy(to, plain + y * row, row * sizeof(bf16));
            continue;
        }
        for (size_t i = y * row; i < (y + 1) * row; i += DEPTH, to += DEPTH) {
            __m512 low = from_bf16(plain + i), high = from_bf16(plain + i + LANES);
            through_activation(&low, &high, open + i, slope);
            _mm512_storeu_si512(to, to_bf16(low, high));
        }
    }
}

/* Add to `sums`, (outputs, k, k, inputs), and to `biases` the gradients of a convolution's weights, from its framed
 * input and the framed gradient of its output: sums of products over all places, which run along the tiles' depth. */
static void weight_gradient(const bf16 *picture, const bf16 *gradient, const frame *f, int inputs, int outputs,
                            workspace *own, float *sums, float *biases) {
    const int k = f->kernel, taps = k * k;
    const size_t plane = ((size_t)BAND + 2 * f->first + 2 * AHEAD) / 2 * TILE, pitch = (size_t)taps * inputs;
    const size_t row = pitch * sizeof(float);
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000);
    for (int q = 0; q < f->span; q += BAND) {
        const int depth = f->span - q < BAND ? f->span - q : BAND;
        const bf16 *from = picture + (size_t)q * inputs;
        const int couples = (depth + 2 * f->first) / 2 + 1;
        for (int i = 0; i < inputs; i += DEPTH) {
            uint32_t *even = own->even + i / TILE * plane, *odd = own->odd + i / TILE * plane;
            __m512i a = _mm512_loadu_si512(from + i);
            for (int p = 0; p < couples; p++) {
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
                               own->pairs + p * TILE, own->pairs + TILE * TILE + p * TILE);
                for (int half = 0; half < 2; half++) {
                    const uint32_t *pairs = own->pairs + half * TILE * TILE;
                    transpose(pairs, TILE, own->columns + (size_t)o * BAND / 2 + (2 * step + half) * TILE * TILE, TILE);
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
            const uint32_t *pairs = (shift % 2 ? own->odd : own->even) + (size_t)(shift / 2) * TILE;
            for (int o = 0; o < outputs; o += BLOCK)
                for (int i = 0; i < inputs; i += BLOCK) {
                    float *c = sums + (size_t)o * pitch + (size_t)tap * inputs + i, *d = c + TILE * pitch;
                    const uint32_t *a = own->columns + (size_t)o * BAND / 2, *b = pairs + i / TILE * plane;
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

/* Tiles must be asked for once. */
int nitido_chains_allowed(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

int nitido_chains_forward(int count, const shape *chains, const bf16 *input, const float *const *weights,
                          const float *const *biases, bf16 *const *outputs) {
    const frame f = make_frame(chains);
    const int taps = chains->kernel * chains->kernel;
    int most = 0, all = 0;
    size_t bytes = 0;
    for (int c = 0; c < count; c++) {
        all += chains[c].length;
        most = most_channels(chains + c) > most ? most_channels(chains + c) : most;
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
        workspace *own = work_in(&f, most);
        if (!own) status = NO_MEMORY;
        const tile_shapes before = begin_tiles();
        #pragma omp for schedule(static)
        for (int n = 0; n < chains->pictures; n++) {
            if (!own) continue;
            const size_t pixels = (size_t)n * f.height * f.width;
            const bf16 *begin = input + pixels * chains->channels[0];
            int done = 0;
            put_in_frame(begin, NULL, 1, &f, chains->channels[0], framed(own, 0, chains->channels[0]));
            at = tiles;
            for (const shape *s = chains; s < chains + count; at += tile_bytes(s, s->length), s++) {
                for (int l = 0; l < s->length; l++, done++) {
                    const int last = l == s->length - 1, in = s->channels[l], out = s->channels[l + 1];
                    const finish then = {.bias = biases[done], .slope = s->slope[l],
                                         .skip = last && s->skip ? begin : NULL};
                    const target to = {.plain = outputs[done] + pixels * out,
                                       .framed = done == all - 1 ? NULL : framed(own, (done + 1) % 2, out)};
                    convolve(own->picture[done % 2], &f, in, out, (bf16 *)(at + tile_bytes(s, l)), own->blocks, &then,
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
    const frame f = make_frame(s);
    const int taps = s->kernel * s->kernel, most = most_channels(s);
    size_t count = 0, sums_at[LONGEST];
    for (int l = 0; l < s->length; l++) {
        sums_at[l] = count;
        count += weights_of(s, l) + s->channels[l + 1];
    }
    count = rounded(count * sizeof(float)) / sizeof(float);
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
            workspace *own = work_in(&f, most);
            if (!own) status = NO_MEMORY;
            float *mine = sums + count * omp_get_thread_num();
            memset(mine, 0, count * sizeof(float));
            const tile_shapes before = begin_tiles();
            #pragma omp for schedule(static)
            for (int n = 0; n < s->pictures; n++) {
                if (!own) continue;
                const size_t pixels = (size_t)n * f.height * f.width;
                const int last = s->length - 1, end = s->channels[s->length];
                const bf16 *open = s->slope[last] != 1 ? outputs[last] + pixels * end : NULL;
                put_in_frame(gradient + pixels * end, open, s->slope[last], &f, end, framed(own, last % 2, end));
                for (int l = last; l >= 0; l--) {
                    const int in = s->channels[l], out = s->channels[l + 1];
                    const bf16 *from = (l ? outputs[l - 1] : input) + pixels * in, *g = own->picture[l % 2];
                    float *weight_sums = mine + sums_at[l];
                    put_in_frame(from, NULL, 1, &f, in, framed(own, 2, in));
                    weight_gradient(own->picture[2], g, &f, in, out, own, weight_sums, weight_sums + weights_of(s, l));
                    if (l == 0 && !input_gradient) continue;
                    const finish then = {.slope = 1,
                                         .skip = l == 0 && s->skip ? gradient + pixels * in : NULL,
                                         .open = l && s->slope[l - 1] != 1 ? from : NULL,
                                         .open_slope = l ? s->slope[l - 1] : 1};
                    const target to = {.plain = l ? NULL : input_gradient + pixels * in,
                                       .framed = l ? framed(own, (l + 1) % 2, in) : NULL};
                    convolve(g, &f, out, in, (bf16 *)(tiles + tile_bytes(s, l)), own->blocks, &then, &to);
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
