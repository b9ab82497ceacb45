/* Emulates Intel's matrix tiles with vectors, so that tiles.c runs on other processors. Included before all else. */
#include <immintrin.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbf16ps

static _Thread_local uint32_t emulated[8][16][16];

static inline void load_tile(int tile, const void *from, size_t stride) {
    for (int row = 0; row < 16; row++) memcpy(emulated[tile][row], (const char *)from + row * stride, 64);
}

static inline void store_tile(int tile, void *to, size_t stride) {
    for (int row = 0; row < 16; row++) memcpy((char *)to + row * stride, emulated[tile][row], 64);
}

static inline void multiply_tiles(int sums, int left, int right) {
    for (int row = 0; row < 16; row++) {
        __m512 sum = _mm512_loadu_ps(emulated[sums][row]);
        for (int k = 0; k < 16; k++)
            sum = _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32((int)emulated[left][row][k]),
                                   (__m512bh)_mm512_loadu_si512(emulated[right][k]));
        _mm512_storeu_ps(emulated[sums][row], sum);
    }
}

#define _tile_loadd load_tile
#define _tile_stored store_tile
#define _tile_zero(tile) memset(emulated[tile], 0, sizeof emulated[tile])
#define _tile_dpbf16ps multiply_tiles
#define _tile_storeconfig(shapes) memset(shapes, 0, 64)
#define _tile_loadconfig(shapes) ((void)(shapes))
#define _tile_release() ((void)0)
#define syscall(...) 0 /* the request for tiles is granted */
