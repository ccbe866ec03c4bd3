/* The soft limiter for many rows with one call from Python (mix.py, docs/adr/0049). */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))

static const float KNEE = 0.8f * 32768.0f, HIGHEST = 32767.0f;

/* Eight numbers at a time, wherever they lie. */
typedef int32_t ints8 __attribute__((vector_size(32), aligned(4), may_alias));

/* The larger ones of magnitudes and of the bits of floats without their signs: these are in the order of magnitudes. */
ALWAYS ints8 larger(ints8 most, ints8 bits)
{
    bits &= INT32_MAX;
    ints8 which = bits > most;
    return (bits & which) | (most & ~which);
}

ALWAYS int is_loud(const float *row, int64_t samples)
{
    ints8 a = {0}, b = {0}, rest = {0};
    int64_t i = 0;
    for (; i + 16 <= samples; i += 16) {
        a = larger(a, *(const ints8 *)(row + i));
        b = larger(b, *(const ints8 *)(row + i + 8));
    }
    for (; i < samples; i += 8) {
        memcpy(&rest, row + i, sizeof(float) * (size_t)(samples - i < 8 ? samples - i : 8));
        a = larger(a, rest);
    }
    a = larger(a, b);
    int32_t knee, most = 0;
    memcpy(&knee, &KNEE, sizeof knee);
    for (int k = 0; k < 8; k++)
        most = a[k] > most ? a[k] : most;
    return most > knee;
}

static void bend(float *row, int64_t samples)
{
    float span = HIGHEST - KNEE;
    for (int64_t i = 0; i < samples; i++) {
        float over = fabsf(row[i]);
        if (over > KNEE)
            row[i] = copysignf(KNEE + span * tanhf((over - KNEE) / span), row[i]);
    }
}

ALWAYS void limit_rows(float *pcm, int64_t rows, int64_t samples, const uint8_t *which)
{
    for (int64_t row = 0; row < rows; row++)
        if ((!which || which[row]) && is_loud(pcm + row * samples, samples))
            bend(pcm + row * samples, samples);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void limit_avx2(float *pcm, int64_t rows, int64_t samples, const uint8_t *which)
{
    limit_rows(pcm, rows, samples, which);
}
#endif

/* Limit those of `rows` that are not 0 in `which`, all where it is null, as mix.limit does. */
void softswitch_limit(float *pcm, int64_t rows, int64_t samples, const uint8_t *which)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        limit_avx2(pcm, rows, samples, which);
        return;
    }
#endif
    limit_rows(pcm, rows, samples, which);
}
