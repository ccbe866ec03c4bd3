/* Work on many rows of 20 ms with one call from Python each: rounding, the levels and gates of detectors (pcm.py, vad.py,
 * dtmf.py and the speech gate; docs/adr/0049). Results are those of the Python code within the rounding of float32.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))

/* Samples of 20 ms at the bus rate; every which sample the tone filter reads, how many these are, tones, and waves: a cosine
 * and a sine of each tone. */
enum { FRAME = 480, STEP = 6, READ = FRAME / STEP, TONES = 8, WAVES = 2 * TONES };

/* Eight numbers at a time, wherever they lie. */
typedef float lanes8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t ints8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int16_t shorts8 __attribute__((vector_size(16), aligned(2), may_alias));

/* `a` where `which` is all ones, else `b`. */
ALWAYS lanes8 choose(ints8 which, lanes8 a, lanes8 b) { return (lanes8)(((ints8)a & which) | ((ints8)b & ~which)); }

/* Rounded to the nearest even number and clipped; what is no number becomes the lowest. */
ALWAYS shorts8 rounded(const float *pcm)
{
    lanes8 zeros = {0}, lowest = zeros - 32768.0f, highest = zeros + 32767.0f, x = *(const lanes8 *)pcm;
    x = choose(x > lowest, x, lowest);
    x = choose(x < highest, x, highest);
    /* 1.5 * 2^23: the sum has no bits left for a fraction, and its low ones are the number. */
    return __builtin_convertvector((ints8)(x + 12582912.0f), shorts8);
}

ALWAYS void round_all(const float *pcm, int64_t samples, int16_t *out)
{
    int64_t i = 0;
    for (; i + 8 <= samples; i += 8)
        *(shorts8 *)(out + i) = rounded(pcm + i);
    float rest[8] = {0};
    memcpy(rest, pcm + i, sizeof(float) * (size_t)(samples - i));
    shorts8 last = rounded(rest);
    memcpy(out + i, &last, sizeof(int16_t) * (size_t)(samples - i));
}

/* Sum of the squares of `count` samples. */
ALWAYS float energy(const float *pcm, int64_t count)
{
    lanes8 sums[2] = {{0}};
    float sum = 0;
    int64_t i = 0;
    for (; i + 16 <= count; i += 16)
        for (int k = 0; k < 2; k++) {
            lanes8 x = *(const lanes8 *)(pcm + i + 8 * k);
            sums[k] += x * x;
        }
    for (; i < count; i++)
        sum += pcm[i] * pcm[i];
    sums[0] += sums[1];
    for (int k = 0; k < 8; k++)
        sum += sums[0][k];
    return sum;
}

ALWAYS void powers(const float *pcm, int64_t rows, int64_t samples, float *out)
{
    for (int64_t row = 0; row < rows; row++)
        out[row] = energy(pcm + row * samples, samples) / (samples ? (float)samples : 1.0f);
}

/* Whether most of a row's power lies in two tones. */
ALWAYS int is_candidate(const float *pcm, const float *waves, float part, float weaker, float least)
{
    float read[READ], sums[WAVES], tones[TONES];
    for (int i = 0; i < READ; i++)
        read[i] = pcm[i * STEP];
    float power = energy(read, READ) * (1.0f / READ);
    if (!(power > least))
        return 0;
    /* Eight sums at a time, four of them apart: an addition need not wait for the one before. */
    lanes8 a[4][2] = {{{0}}};
    for (int i = 0; i < READ; i += 4)
        _Pragma("GCC unroll 4") for (int k = 0; k < 4; k++)
        {
            const lanes8 *wave = (const lanes8 *)(waves + (i + k) * WAVES);
            a[k][0] += wave[0] * read[i + k];
            a[k][1] += wave[1] * read[i + k];
        }
    for (int k = 1; k < 4; k++) {
        a[0][0] += a[k][0];
        a[0][1] += a[k][1];
    }
    memcpy(sums, a[0], sizeof sums);
    for (int k = 0; k < TONES; k++)
        tones[k] = sums[k] * sums[k] + sums[TONES + k] * sums[TONES + k];
    float low = tones[0], high = tones[4];
    for (int k = 1; k < 4; k++) {
        low = tones[k] > low ? tones[k] : low;
        high = tones[4 + k] > high ? tones[4 + k] : high;
    }
    return low + high > power * part && (low < high ? low : high) > power * weaker;
}

ALWAYS int64_t candidates(const float *pcm, int64_t rows, const float *waves, float part, float weaker, float least,
                          uint8_t *found)
{
    int64_t count = 0;
    for (int64_t row = 0; row < rows; row++)
        count += found[row] = (uint8_t)is_candidate(pcm + row * FRAME, waves, part, weaker, least);
    return count;
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2,fma")))
static int has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

AVX2 static void round_avx2(const float *pcm, int64_t samples, int16_t *out) { round_all(pcm, samples, out); }

AVX2 static void powers_avx2(const float *pcm, int64_t rows, int64_t samples, float *out)
{
    powers(pcm, rows, samples, out);
}

AVX2 static int64_t candidates_avx2(const float *pcm, int64_t rows, const float *waves, float part, float weaker,
                                    float least, uint8_t *found)
{
    return candidates(pcm, rows, waves, part, weaker, least, found);
}
#endif

/* Round and clip samples to 16 bit, as pcm.to_int16 does. */
void softswitch_round(const float *pcm, int64_t samples, int16_t *out)
{
#if defined(__x86_64__)
    if (has_avx2()) {
        round_avx2(pcm, samples, out);
        return;
    }
#endif
    round_all(pcm, samples, out);
}

/* Write the mean square of each row, as level.power does. */
void softswitch_power(const float *pcm, int64_t rows, int64_t samples, float *out)
{
#if defined(__x86_64__)
    if (has_avx2()) {
        powers_avx2(pcm, rows, samples, out);
        return;
    }
#endif
    powers(pcm, rows, samples, out);
}

/* Set found[row] to 1 where the detector of DTMF has to look at a row of 20 ms, else to 0; return how many these are. */
int64_t softswitch_tone_candidates(const float *pcm, int64_t rows, const float *waves, float part, float weaker,
                                   float least, uint8_t *found)
{
#if defined(__x86_64__)
    if (has_avx2())
        return candidates_avx2(pcm, rows, waves, part, weaker, least, found);
#endif
    return candidates(pcm, rows, waves, part, weaker, least, found);
}

/* Write the level of each row as the header extension of RFC 6464 has it, as level.header_level does.
 *
 * `floor` is the least power, `full` decibels of full scale. Levels go into levels[row], 0 to 127.
 */
void softswitch_header_level(const float *pcm, int64_t rows, int64_t samples, float floor, float full, uint8_t *levels)
{
    float power;
    for (int64_t row = 0; row < rows; row++) {
        softswitch_power(pcm + row * samples, 1, samples, &power);
        float level = log10f(power > floor ? power : floor) * 10.0f - full;
        levels[row] = (uint8_t)rintf(level < 0.0f ? -level : 0.0f);
    }
}

/* Turn rows into probabilities of speech, as EnergyBank.push does; return 0 and change nothing if a slot is not below
 * `known`.
 *
 * `limits` are the floor of powers, decibels of full scale, first and lowest noise, share by which noise falls, decibels by
 * which it rises, the middle, the slope and the weight of the last probability.
 */
int softswitch_energy(float *probability, const float *pcm, int64_t rows, int64_t samples, const int64_t *slots,
                      int64_t known, float *noises, float *probabilities, const float *limits)
{
    float floor = limits[0], full = limits[1], start = limits[2], quietest = limits[3], fall = limits[4],
          rise = limits[5], middle = limits[6], slope = limits[7], smooth = limits[8];
    for (int64_t row = 0; row < rows; row++)
        if (slots[row] < 0 || slots[row] >= known)
            return 0;
    softswitch_power(pcm, rows, samples, probability);
    for (int64_t row = 0; row < rows; row++) {
        float power = probability[row], noise = noises[slots[row]];
        float level = log10f(power > floor ? power : floor) * 10.0f - full;
        level = level < 0.0f ? level : 0.0f;
        float above = level - noise, most = level > start ? level : start;
        noise += above < 0.0f ? above * fall : rise;
        noise = noise < most ? noise : most;
        noise = noise > quietest ? noise : quietest;
        probability[row] = (1.0f - smooth) / (1.0f + expf((noise - level + middle) * slope));
        probability[row] += probabilities[slots[row]] * smooth;
        noises[slots[row]] = noise;
        probabilities[slots[row]] = probability[row];
    }
    return 1;
}

/* The state machine of speech and silence, by slot; speech_gate.py says what each array is. */
struct gate {
    const float *threshold;
    const int32_t *start_ticks;
    const int32_t *stop_ticks;
    float *level;
    uint8_t *speaking;
    uint8_t *turning;
    int32_t *age;
    int32_t *gap;
    double *began;
    double *ended;
};

/* Do what SpeechGate.push does: `started` and `stopped` get the rows, `counts` how many they are.
 *
 * `before` is the time at which the frame began. A slot that neither changes nor is about to is left as it is: what the
 * Python code counts there is never looked at.
 */
void softswitch_gate(const struct gate *g, const float *probability, const int64_t *slots, int64_t rows, double before,
                     int gap_ticks, float slack, int64_t *started, int64_t *stopped, int64_t *counts)
{
    counts[0] = counts[1] = 0;
    for (int64_t row = 0; row < rows; row++) {
        int64_t slot = slots[row];
        int voice = probability[row] >= g->level[slot], speaking = g->speaking[slot];
        if (voice == speaking && !g->turning[slot])
            continue;
        int32_t age = g->age[slot], gap = g->gap[slot];
        if (voice && !age)
            g->began[slot] = before;
        if (!voice && !gap)
            g->ended[slot] = before;
        gap = voice ? 0 : gap + 1;
        age = voice || age > 0 ? age + 1 : 0;
        /* A possible beginning is abandoned after a long gap. */
        if (!speaking && gap > gap_ticks)
            age = 0;
        if (!speaking && voice && age >= g->start_ticks[slot]) {
            speaking = 1;
            started[counts[0]++] = row;
        } else if (speaking && gap >= g->stop_ticks[slot]) {
            speaking = age = 0;
            stopped[counts[1]++] = row;
        }
        g->age[slot] = age;
        g->gap[slot] = gap;
        g->speaking[slot] = (uint8_t)speaking;
        g->turning[slot] = speaking ? gap > 0 : age > 0;
        g->level[slot] = g->threshold[slot] - slack * (float)speaking;
    }
}
