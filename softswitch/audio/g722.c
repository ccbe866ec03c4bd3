/* G.722 at 64 kbit/s (ITU-T G.722, mode 1) for many legs with one call from Python (g722.py, docs/adr/0047).
 *
 * The names are those of the Recommendation in lower case. Steps are a quarter of DET and levels an eighth of those of
 * the tables: their product is the same. As in libavcodec, sums of predictions are clipped at their end where the
 * Recommendation saturates each, and what comes out of the filters of the encoder is not limited to 15 bit; loud and
 * abrupt signals alone show the difference. No negative number is shifted to the left, and those shifted to the right
 * keep their sign, as GCC and Clang have it.
 */
#include <stdint.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))

/* Pairs of samples that the filters look back, that are worked on at once (10 ms), and in the longest packet. */
enum { PAST = 11, CHUNK = 80, LONGEST = 960, TAPS = 6 };

/* Predictor and step of a sub-band: prediction and its part from the zeros, last reconstructed value, signs of the last
 * two partially reconstructed values (-1 or 0), coefficients of the poles, logarithm of the step; the last differences,
 * twice their size, the newest first; and coefficients of the zeros. */
struct band {
    int32_t s, sz, rlt, sign1, sign2, a1, a2, nb, d[TAPS], b[TAPS];
};

/* One direction of a slot. All zeros is the state after a reset. */
struct g722 {
    struct band low, high;
    int16_t past[2 * PAST];
    /* Up to a multiple of eight words. */
    int32_t unused[5];
};

enum { BAND_WORDS = sizeof(struct band) / 4, WORDS = sizeof(struct g722) / 4 };

/* Coefficients of the quadrature mirror filters (table 11) of even samples; odd ones have them in reverse order. */
static const int16_t H[PAST + 1] = {3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11};

/* Decision levels of the lower band (table 14). */
enum { LEVELS = 29, TOP = 2919 };
static const int16_t Q6[LEVELS + 1] = {35,  72,  110, 150, 190, 233,  276,  323,  370,  422,  473,  530,  587,  650,
                                       714, 786, 858, 940, 1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, TOP};

/* Lower band by code: levels of 4 and of 6 bit, and changes of the logarithm (tables 15 to 19). */
static const int16_t QM4[16] = {0,    -2557, -1612, -1121, -786, -530, -323, -150,
                                2557, 1612,  1121,  786,   530,  323,  150,  0};
static const int16_t QM6[64] = {-17,  -17,  -17,  -17,  -3101, -2738, -2376, -2088, -1873, -1689, -1535, -1399, -1279,
                                -1170, -1072, -982, -899, -822, -750,  -682,  -618,  -558,  -501,  -447,  -396,  -347,
                                -300, -254, -211, -170, -130,  -91,   3101,  2738,  2376,  2088,  1873,  1689,  1535,
                                1399, 1279, 1170, 1072, 982,   899,   822,   750,   682,   618,   558,   501,   447,
                                396,  347,  300,  254,  211,   170,   130,   91,    54,    17,    -54,   -17};
static const int16_t WL[16] = {-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60};
/* The same of the higher band, and the greatest logarithms. */
static const int16_t QM2[4] = {-926, -202, 926, 202}, WH[4] = {798, -214, 798, -214};
enum { MOST_LOW = 18432, MOST_HIGH = 22528 };

/* Powers of two in 32 parts (table 20). */
static const int16_t ILB[32] = {2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543,
                                2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025, 3091, 3158, 3228,
                                3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008};

/* Filled when the library is loaded: steps by the logarithm (of the higher band) / 64, 2 to 4096; number of
 * decision levels that are not above a ratio. The lower band is four powers of two ahead. */
enum { STEPS = MOST_HIGH / 64 + 1, AHEAD = 64 };
static int32_t steps[STEPS];
static uint8_t reached[TOP + 1];

__attribute__((constructor)) static void fill(void)
{
    for (int i = 0; i < STEPS; i++)
        steps[i] = (2 * ILB[i % 32]) >> (11 - i / 32);
    for (int ratio = 0, count = 0; ratio <= TOP; ratio++) {
        while (count < LEVELS && Q6[count] <= ratio)
            count++;
        reached[ratio] = (uint8_t)count;
    }
}

ALWAYS int32_t clip(int32_t value, int32_t least, int32_t most)
{
    value = value < least ? least : value;
    return value > most ? most : value;
}

ALWAYS int32_t clip16(int32_t value) { return clip(value, -32768, 32767); }

/* Take in the quantized difference of a band: adapt its predictor (blocks 4L and 4H), and its step by `change`. */
ALWAYS void adapt(struct band *band, int32_t d, int32_t change, int32_t most)
{
    /* (x ^ m) - m is x where m is 0 and -x where it is -1. */
    int32_t sign = (band->sz + d) >> 31, differ1 = sign ^ band->sign1, differ2 = sign ^ band->sign2;
    int32_t turn = ((clip(band->a1, -8191, 8191) ^ ~differ1) - ~differ1) >> 5;
    band->sign2 = band->sign1;
    band->sign1 = sign;
    band->a2 = clip(turn + (128 ^ differ2) - differ2 + (band->a2 * 127 >> 7), -12288, 12288);
    int32_t limit = 15360 - band->a2;
    band->a1 = clip((192 ^ differ1) - differ1 + (band->a1 * 255 >> 8), -limit, limit);
    int32_t size = d ? 128 : 0, sz = 0;
    for (int k = TAPS - 1; k >= 0; k--) {
        int32_t turned = (band->d[k] ^ d) >> 31;
        band->b[k] = (band->b[k] * 255 >> 8) + (size ^ turned) - turned;
        band->d[k] = k ? band->d[k - 1] : 2 * d;
        sz += band->d[k] * band->b[k] >> 15;
    }
    int32_t rlt = clip16(2 * (band->s + d));
    band->s = clip16(sz + (band->a1 * rlt >> 15) + (band->a2 * band->rlt >> 15));
    band->sz = sz;
    band->rlt = rlt;
    band->nb = clip((band->nb * 127 >> 7) + change, 0, most);
}

/* Sums of the quadrature mirror filters over even and over odd samples of `count` pairs, behind PAST earlier ones. */
ALWAYS void mirror(const int16_t *line, int count, int32_t *even, int32_t *odd)
{
    int32_t first[PAST + CHUNK], second[PAST + CHUNK];
    for (int i = 0; i < PAST + count; i++) {
        first[i] = line[2 * i];
        second[i] = line[2 * i + 1];
    }
    for (int i = 0; i < count; i++) {
        int32_t sum_first = 0, sum_second = 0;
        for (int k = 0; k <= PAST; k++) {
            sum_first += first[i + k] * H[k];
            sum_second += second[i + k] * H[PAST - k];
        }
        even[i] = sum_first;
        odd[i] = sum_second;
    }
}

/* Return a sample as audio/pcm.py does: rounded to the nearest even number and clipped, the lowest for NaN. */
ALWAYS int16_t to_int16(float pcm)
{
    float clipped = pcm > -32768.0f ? pcm : -32768.0f;
    clipped = clipped < 32767.0f ? clipped : 32767.0f;
    /* 1.5 * 2^23: the sum has no bits left for a fraction. */
    return (int16_t)((clipped + 12582912.0f) - 12582912.0f);
}

/* Encode `count` pairs of samples, CHUNK at most. */
ALWAYS void encode(struct g722 *state, const float *pcm, int count, uint8_t *out)
{
    int16_t line[2 * (PAST + CHUNK)];
    int32_t even[CHUNK], odd[CHUNK];
    memcpy(line, state->past, sizeof state->past);
    for (int i = 0; i < 2 * count; i++)
        line[2 * PAST + i] = to_int16(pcm[i]);
    memcpy(state->past, line + 2 * count, sizeof state->past);
    mirror(line, count, even, odd);
    struct band low = state->low, high = state->high;
    for (int i = 0; i < count; i++) {
        int32_t step = steps[(low.nb >> 6) + AHEAD], e = clip16(((odd[i] + even[i]) >> 14) - low.s), size = e ^ e >> 31;
        /* A level r is reached if (size + 1) * 1024 > r * step. The quotient is at least half a part of `step` away
         * from every whole number, far more than a double rounds off. */
        int32_t ratio = (int32_t)((size * 1024.0 + 1023.5) * (1.0 / step)), count6 = reached[ratio < TOP ? ratio : TOP];
        int32_t code = (e >= 0 ? 61 : count6 < 2 ? 63 : 33) - count6, code4 = code >> 2;
        int32_t step_high = steps[high.nb >> 6], eh = clip16(((odd[i] - even[i]) >> 14) - high.s);
        int32_t code_high = ((eh ^ eh >> 31) < (141 * step_high >> 8)) + 2 * (eh >= 0);
        adapt(&low, step * QM4[code4] >> 10, WL[code4], MOST_LOW);
        adapt(&high, step_high * QM2[code_high] >> 10, WH[code_high], MOST_HIGH);
        out[i] = (uint8_t)(code_high << 6 | code);
    }
    state->low = low;
    state->high = high;
}

/* Decode `count` octets, CHUNK at most, to twice as many samples. */
ALWAYS void decode(struct g722 *state, const uint8_t *codes, int count, float *out)
{
    int16_t line[2 * (PAST + CHUNK)];
    int32_t even[CHUNK], odd[CHUNK];
    memcpy(line, state->past, sizeof state->past);
    struct band low = state->low, high = state->high;
    for (int i = 0; i < count; i++) {
        int code = codes[i] & 63, code_high = codes[i] >> 6;
        int32_t step = steps[(low.nb >> 6) + AHEAD], d_high = steps[high.nb >> 6] * QM2[code_high] >> 10;
        int32_t rl = clip(low.s + (step * QM6[code] >> 10), -16384, 16383), rh = clip(high.s + d_high, -16384, 16383);
        adapt(&low, step * QM4[code >> 2] >> 10, WL[code >> 2], MOST_LOW);
        adapt(&high, d_high, WH[code_high], MOST_HIGH);
        line[2 * (PAST + i)] = (int16_t)(rl + rh);
        line[2 * (PAST + i) + 1] = (int16_t)(rl - rh);
    }
    state->low = low;
    state->high = high;
    memcpy(state->past, line + 2 * count, sizeof state->past);
    mirror(line, count, even, odd);
    for (int i = 0; i < count; i++) {
        out[2 * i] = (float)clip16(odd[i] >> 11);
        out[2 * i + 1] = (float)clip16(even[i] >> 11);
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

/* Eight slots at once, one in each lane of a vector: a sample depends on the one before, slots do not on each other. */
#define WIDE __attribute__((target("avx2")))
#define WIDELY ALWAYS WIDE
enum { LANES = 8 };
typedef int32_t v8 __attribute__((vector_size(32)));

struct bands {
    v8 s, sz, rlt, sign1, sign2, a1, a2, nb, d[TAPS], b[TAPS];
};

/* States of eight slots, each word of struct g722 a vector. */
union lanes {
    v8 words[WORDS];
    struct {
        struct bands low, high;
        v8 past[PAST];
    };
};

WIDELY v8 all(int32_t value) { return (v8)_mm256_set1_epi32(value); }
WIDELY v8 least(v8 a, v8 b) { return (v8)_mm256_min_epi32((__m256i)a, (__m256i)b); }
WIDELY v8 most(v8 a, v8 b) { return (v8)_mm256_max_epi32((__m256i)a, (__m256i)b); }
WIDELY v8 limited(v8 value, int32_t low, int32_t high) { return least(most(value, all(low)), all(high)); }
WIDELY v8 limited16(v8 value) { return limited(value, -32768, 32767); }
/* Bits to the left; those that leave are lost. */
WIDELY v8 raised(v8 value, int bits) { return (v8)_mm256_slli_epi32((__m256i)value, bits); }
/* Product of the lower halves and product of the upper halves of each number, added. */
WIDELY v8 products(v8 a, v8 b) { return (v8)_mm256_madd_epi16((__m256i)a, (__m256i)b); }
/* Product of numbers of 16 bit; of times(), the first one is not negative. It takes half the time of a whole one. */
WIDELY v8 product(v8 a, v8 b) { return products(a & 0xFFFF, b); }
WIDELY v8 times(v8 a, v8 b) { return products(a, b); }
/* -value where `by` is negative, 0 where it is 0. */
WIDELY v8 turned(v8 value, v8 by) { return (v8)_mm256_sign_epi32((__m256i)value, (__m256i)by); }
/* `yes` where `by` is negative, else `no`. */
WIDELY v8 chosen(v8 by, v8 yes, v8 no) { return (v8)_mm256_blendv_ps((__m256)no, (__m256)yes, (__m256)by); }
/* A pair of coefficients for products(). */
WIDELY v8 pair(int even, int odd) { return all((int32_t)((uint16_t)even | (uint32_t)(uint16_t)odd << 16)); }

/* Entries of tables; of an index only the lower bits count. */
WIDELY v8 of8(const int16_t *table, v8 index)
{
    v8 entries = {table[0], table[1], table[2], table[3], table[4], table[5], table[6], table[7]};
    return (v8)_mm256_permutevar8x32_epi32((__m256i)entries, (__m256i)index);
}

WIDELY v8 of16(const int16_t *table, v8 index)
{
    return chosen(raised(index, 28), of8(table + 8, index), of8(table, index));
}

WIDELY v8 of4(const int16_t *table, v8 index)
{
    v8 entries = {table[0], table[1], table[2], table[3], table[0], table[1], table[2], table[3]};
    return (v8)_mm256_permutevar8x32_epi32((__m256i)entries, (__m256i)index);
}

/* Step of a logarithm of the higher band, as fill() makes it: processors that were mended gather slowly. */
WIDELY v8 step_of(v8 nb)
{
    v8 part = nb >> 6, value = chosen(raised(part, 27), of16(ILB + 16, part), of16(ILB, part));
    return (v8)_mm256_srlv_epi32((__m256i)(value + value), (__m256i)(11 - (nb >> 11)));
}

/* Make the rows of a square of 8 by 8 its columns. */
WIDELY void transpose(v8 *rows)
{
    v8 a[LANES], b[LANES];
    for (int i = 0; i < LANES; i += 2) {
        a[i] = (v8)_mm256_unpacklo_epi32((__m256i)rows[i], (__m256i)rows[i + 1]);
        a[i + 1] = (v8)_mm256_unpackhi_epi32((__m256i)rows[i], (__m256i)rows[i + 1]);
    }
    for (int i = 0; i < LANES; i += 4)
        for (int k = 0; k < 2; k++) {
            b[i + 2 * k] = (v8)_mm256_unpacklo_epi64((__m256i)a[i + k], (__m256i)a[i + 2 + k]);
            b[i + 2 * k + 1] = (v8)_mm256_unpackhi_epi64((__m256i)a[i + k], (__m256i)a[i + 2 + k]);
        }
    for (int i = 0; i < LANES / 2; i++) {
        rows[i] = (v8)_mm256_permute2x128_si256((__m256i)b[i], (__m256i)b[i + 4], 0x20);
        rows[i + 4] = (v8)_mm256_permute2x128_si256((__m256i)b[i], (__m256i)b[i + 4], 0x31);
    }
}

WIDELY void load(union lanes *lanes, struct g722 *const *states)
{
    for (int at = 0; at < WORDS; at += LANES) {
        for (int lane = 0; lane < LANES; lane++)
            memcpy(lanes->words + at + lane, (const char *)states[lane] + 4 * at, sizeof(v8));
        transpose(lanes->words + at);
    }
}

WIDELY void store(union lanes *lanes, struct g722 *const *states)
{
    for (int at = 0; at < WORDS; at += LANES) {
        transpose(lanes->words + at);
        for (int lane = 0; lane < LANES; lane++)
            memcpy((char *)states[lane] + 4 * at, lanes->words + at + lane, sizeof(v8));
    }
}

/* As adapt(). */
WIDELY void adapt_lanes(struct bands *band, v8 d, v8 change, int32_t greatest)
{
    /* Numbers for turned(), where 0 would have no sign. */
    v8 sign = band->sz + d, same1 = ~(sign ^ band->sign1) | 1, differ2 = (sign ^ band->sign2) | 1;
    v8 turn = turned(limited(band->a1, -8191, 8191), same1) >> 5;
    band->sign2 = band->sign1;
    band->sign1 = sign >> 31;
    band->a2 = limited(turn + turned(all(128), differ2) + (times(all(127), band->a2) >> 7), -12288, 12288);
    v8 limit = 15360 - band->a2;
    band->a1 = most(least(turned(all(-192), same1) + (times(all(255), band->a1) >> 8), limit), -limit);
    v8 size = turned(all(128), d), sz = {0};
    for (int k = TAPS - 1; k >= 0; k--) {
        band->b[k] = (times(all(255), band->b[k]) >> 8) + turned(size, band->d[k] | 1);
        band->d[k] = k ? band->d[k - 1] : d + d;
        sz += product(band->d[k], band->b[k]) >> 15;
    }
    v8 rlt = band->s + d;
    rlt = limited16(rlt + rlt);
    band->s = limited16(sz + (product(band->a1, rlt) >> 15) + (product(band->a2, band->rlt) >> 15));
    band->sz = sz;
    band->rlt = rlt;
    band->nb = limited((times(all(127), band->nb) >> 7) + change, 0, greatest);
}

/* Encode CHUNK pairs of samples of each lane. */
WIDELY void encode_lanes(union lanes *lanes, const float *const *pcm, uint8_t *const *out)
{
    struct bands *low = &lanes->low, *high = &lanes->high;
    v8 line[PAST + CHUNK], xl[CHUNK], xh[CHUNK];
    uint32_t codes[CHUNK][LANES];
    memcpy(line, lanes->past, sizeof lanes->past);
    for (int i = 0; i < CHUNK; i += LANES) {
        v8 *rows = line + PAST + i;
        for (int lane = 0; lane < LANES; lane++) {
            __m256i half[2];
            for (int k = 0; k < 2; k++) {
                __m256 part = _mm256_loadu_ps(pcm[lane] + 2 * i + LANES * k);
                /* Of NaN and a number the second one is taken. Numbers are rounded to the nearest even one. */
                part = _mm256_min_ps(_mm256_max_ps(part, _mm256_set1_ps(-32768.0f)), _mm256_set1_ps(32767.0f));
                half[k] = _mm256_cvtps_epi32(part);
            }
            /* Each half of a vector is packed alone: the quarters are put in order. */
            rows[lane] = (v8)_mm256_permute4x64_epi64(_mm256_packs_epi32(half[0], half[1]), 0xD8);
        }
        transpose(rows);
    }
    memcpy(lanes->past, line + CHUNK, sizeof lanes->past);
    for (int i = 0; i < CHUNK; i++) {
        v8 sum_low = {0}, sum_high = {0};
        for (int k = 0; k <= PAST; k++) {
            sum_low += products(line[i + k], pair(H[k], H[PAST - k]));
            sum_high += products(line[i + k], pair(-H[k], H[PAST - k]));
        }
        xl[i] = sum_low >> 14;
        xh[i] = sum_high >> 14;
    }
    for (int i = 0; i < CHUNK; i++) {
        v8 step = step_of(low->nb + 64 * AHEAD), e = limited16(xl[i] - low->s), size = e ^ e >> 31;
        /* Two levels at once in numbers of 16 bit: (8 r * 8 step) >> 16 is r * step / 1024, rounded down, and r is
         * reached if the size is not below. */
        v8 twice = raised(step, 3) | raised(step, 19), sizes = size | raised(size, 16), missed = {0};
        for (int k = 0; k < LEVELS; k += 2) {
            __m256i level = _mm256_mulhi_epu16((__m256i)twice, (__m256i)pair(8 * Q6[k], 8 * Q6[k + 1]));
            missed = (v8)_mm256_add_epi16((__m256i)missed, _mm256_cmpgt_epi16(level, (__m256i)sizes));
        }
        v8 count = LEVELS + products(missed, pair(1, 1));
        v8 code = chosen(e, chosen(count - 2, all(63), all(33)), all(61)) - count, code4 = code >> 2;
        v8 step_high = step_of(high->nb), eh = limited16(xh[i] - high->s);
        v8 code_high = 2 + 2 * (eh >> 31) - ((eh ^ eh >> 31) < (times(all(141), step_high) >> 8));
        adapt_lanes(low, times(step, of16(QM4, code4)) >> 10, of16(WL, code4), MOST_LOW);
        adapt_lanes(high, times(step_high, of4(QM2, code_high)) >> 10, of4(WH, code_high), MOST_HIGH);
        code |= raised(code_high, 6);
        memcpy(codes[i], &code, sizeof code);
    }
    for (int lane = 0; lane < LANES; lane++)
        for (int i = 0; i < CHUNK; i++)
            out[lane][i] = (uint8_t)codes[i][lane];
}

/* Decode `count` octets of each lane, a multiple of LANES and CHUNK at most. */
WIDELY void decode_lanes(union lanes *lanes, const uint8_t *const *codes, int count, float *const *out)
{
    struct bands *low = &lanes->low, *high = &lanes->high;
    v8 line[PAST + CHUNK], odd[CHUNK], even[CHUNK];
    int32_t octets[CHUNK][LANES];
    memcpy(line, lanes->past, sizeof lanes->past);
    /* The level of 6 bit stands above each octet, since a table of 64 is too long for of16(). */
    for (int lane = 0; lane < LANES; lane++)
        for (int i = 0; i < count; i++)
            octets[i][lane] = 256 * QM6[codes[lane][i] & 63] + codes[lane][i];
    for (int i = 0; i < count; i++) {
        v8 octet;
        memcpy(&octet, octets[i], sizeof octet);
        v8 code4 = octet >> 2, code_high = octet >> 6, step = step_of(low->nb + 64 * AHEAD);
        v8 d_high = times(step_of(high->nb), of4(QM2, code_high)) >> 10;
        v8 rl = limited(low->s + (times(step, octet >> 8) >> 10), -16384, 16383);
        v8 rh = limited(high->s + d_high, -16384, 16383);
        adapt_lanes(low, times(step, of16(QM4, code4)) >> 10, of16(WL, code4), MOST_LOW);
        adapt_lanes(high, d_high, of4(WH, code_high), MOST_HIGH);
        line[PAST + i] = ((rl + rh) & 0xFFFF) | raised(rl - rh, 16);
    }
    memcpy(lanes->past, line + count, sizeof lanes->past);
    for (int i = 0; i < count; i++) {
        v8 sum_odd = {0}, sum_even = {0};
        for (int k = 0; k <= PAST; k++) {
            sum_even += products(line[i + k], pair(H[k], 0));
            sum_odd += products(line[i + k], pair(0, H[PAST - k]));
        }
        odd[i] = limited16(sum_odd >> 11);
        even[i] = limited16(sum_even >> 11);
    }
    for (int i = 0; i < count; i += LANES) {
        transpose(odd + i);
        transpose(even + i);
        for (int lane = 0; lane < LANES; lane++) {
            __m256i a = _mm256_unpacklo_epi32((__m256i)odd[i + lane], (__m256i)even[i + lane]);
            __m256i b = _mm256_unpackhi_epi32((__m256i)odd[i + lane], (__m256i)even[i + lane]);
            float *to = out[lane] + 2 * i;
            _mm256_storeu_ps(to, _mm256_cvtepi32_ps(_mm256_permute2x128_si256(a, b, 0x20)));
            _mm256_storeu_ps(to + LANES, _mm256_cvtepi32_ps(_mm256_permute2x128_si256(a, b, 0x31)));
        }
    }
}

/* Encode LANES rows or fewer, at least one; lanes without a row repeat the first one, and their codes are dropped. */
WIDE static void encode_rows(struct g722 *states, const int64_t *slots, int rows, const float *pcm, int64_t pairs,
                             uint8_t *out)
{
    union lanes lanes;
    struct g722 spare = {0}, *of[LANES];
    uint8_t nowhere[CHUNK], *to[LANES];
    const float *from[LANES];
    for (int lane = 0; lane < LANES; lane++)
        of[lane] = lane < rows ? states + slots[lane] : &spare;
    load(&lanes, of);
    for (int64_t at = 0; at < pairs; at += CHUNK) {
        for (int lane = 0; lane < LANES; lane++) {
            from[lane] = pcm + 2 * ((lane < rows ? lane : 0) * pairs + at);
            to[lane] = lane < rows ? out + lane * pairs + at : nowhere;
        }
        encode_lanes(&lanes, from, to);
    }
    store(&lanes, of);
}

/* Decode as many octets, a multiple of LANES, of LANES rows or fewer, at least one. */
WIDE static void decode_rows(struct g722 *states, const int64_t *slots, int rows, const uint8_t *payloads,
                             int64_t width, int64_t octets, float *out, int64_t room)
{
    union lanes lanes;
    struct g722 spare = {0}, *of[LANES];
    float nowhere[2 * CHUNK], *to[LANES];
    const uint8_t *from[LANES];
    for (int lane = 0; lane < LANES; lane++)
        of[lane] = lane < rows ? states + slots[lane] : &spare;
    load(&lanes, of);
    for (int64_t at = 0; at < octets; at += CHUNK) {
        for (int lane = 0; lane < LANES; lane++) {
            from[lane] = payloads + (lane < rows ? lane : 0) * width + at;
            to[lane] = lane < rows ? out + lane * room + 2 * at : nowhere;
        }
        decode_lanes(&lanes, from, octets - at < CHUNK ? (int)(octets - at) : CHUNK, to);
    }
    store(&lanes, of);
}

static int has_lanes(void) { return __builtin_cpu_supports("avx2"); }
#else
enum { LANES = 8 };

static void encode_rows(struct g722 *states, const int64_t *slots, int rows, const float *pcm, int64_t pairs,
                        uint8_t *out)
{
    (void)states, (void)slots, (void)rows, (void)pcm, (void)pairs, (void)out;
}

static void decode_rows(struct g722 *states, const int64_t *slots, int rows, const uint8_t *payloads, int64_t width,
                        int64_t octets, float *out, int64_t room)
{
    (void)states, (void)slots, (void)rows, (void)payloads, (void)width, (void)octets, (void)out, (void)room;
}

static int has_lanes(void) { return 0; }
#endif

/* Two rows in lanes take as long as one alone. */
enum { FEWEST = 2 };

static int are_places(const int64_t *slots, int64_t count, int64_t places)
{
    for (int64_t i = 0; i < count; i++)
        if (slots[i] < 0 || slots[i] >= places)
            return 0;
    return 1;
}

/* Octets of the state of one direction of a slot. */
int64_t softswitch_g722_state(void) { return sizeof(struct g722); }

/* Encode rows of `pairs` pairs of samples, a multiple of CHUNK, to as many octets each.
 *
 * `states` has `places` states, slots[i] is that of row i; `alone` is set to work on rows one after another. Returns 0;
 * or -1, and does nothing, if a slot has no state or `pairs` is no such multiple.
 */
int softswitch_g722_encode(struct g722 *states, int64_t places, const int64_t *slots, int64_t count, const float *pcm,
                           int64_t pairs, uint8_t *out, int alone)
{
    if (pairs < 0 || pairs % CHUNK || !are_places(slots, count, places))
        return -1;
    int wide = !alone && has_lanes();
    for (int64_t i = 0; i < count;) {
        int rows = count - i < LANES ? (int)(count - i) : LANES;
        if (wide && rows >= FEWEST) {
            encode_rows(states, slots + i, rows, pcm + 2 * i * pairs, pairs, out + i * pairs);
            i += rows;
            continue;
        }
        for (int64_t at = i * pairs; at < (i + 1) * pairs; at += CHUNK)
            encode(states + slots[i], pcm + 2 * at, CHUNK, out + at);
        i++;
    }
    return 0;
}

static int64_t octets_of(int64_t length, int64_t width, int64_t room)
{
    int64_t most = width < room / 2 ? width : room / 2;
    most = most < LONGEST ? most : LONGEST;
    return length < 0 ? 0 : length < most ? length : most;
}

/* Decode the first lengths[i] octets of row i of `payloads`, rows of `width` octets, into row i of `out`, rows of
 * `room` samples, padded with zeros; LONGEST octets at most.
 *
 * counts[i] gets the samples, 0 for an empty row. `sound` has the last `kept` samples of each slot, `lost` how many
 * were lost last: the samples of slots that lost none are remembered there. Returns the number of rows that Python has to
 * look at: those that are empty or longer, and those whose slot has lost samples. Returns -1, and does nothing, if a
 * slot has no state.
 */
int64_t softswitch_g722_decode(struct g722 *states, int64_t places, const int64_t *slots, int64_t count,
                               const uint8_t *payloads, int64_t width, const int64_t *lengths, float *out, int64_t room,
                               int64_t *counts, float *sound, int64_t kept, const int64_t *lost, int alone)
{
    if (!are_places(slots, count, places))
        return -1;
    int wide = !alone && has_lanes();
    for (int64_t i = 0; i < count;) {
        const uint8_t *codes = payloads + i * width;
        float *to = out + i * room;
        int64_t octets = octets_of(lengths[i], width, room);
        int rows = 1;
        while (wide && octets % LANES == 0 && rows < LANES && i + rows < count &&
               octets_of(lengths[i + rows], width, room) == octets)
            rows++;
        if (rows >= FEWEST)
            decode_rows(states, slots + i, rows, codes, width, octets, to, room);
        else
            for (int64_t at = 0; at < octets; at += CHUNK)
                decode(states + slots[i], codes + at, octets - at < CHUNK ? (int)(octets - at) : CHUNK, to + 2 * at);
        i += rows;
    }
    int64_t left = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t octets = octets_of(lengths[i], width, room), samples = 2 * octets;
        float *pcm = out + i * room, *past = sound + slots[i] * kept;
        memset(pcm + samples, 0, sizeof(float) * (size_t)(room - samples));
        counts[i] = samples;
        if (lost[slots[i]] || octets == 0 || octets != lengths[i])
            left++;
        if (lost[slots[i]])
            continue;
        int64_t fresh = samples < kept ? samples : kept;
        memmove(past, past + fresh, sizeof(float) * (size_t)(kept - fresh));
        memcpy(past + kept - fresh, pcm + samples - fresh, sizeof(float) * (size_t)fresh);
    }
    return left;
}
