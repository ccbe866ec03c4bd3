/* Pitch periods by normalised correlation, as pitch.py finds them, and sound continued by repetition of the last period,
 * as conceal.py continues it. The search takes most of the time of concealment.
 *
 * Sums are made in another order than numpy makes them, so that of two periods that fit equally well the other one may
 * be found.
 */
#include <math.h>
#include <stdint.h>

/* Samples at about 8 kHz of the longest row, of which 25 ms are usual; sums that are made beside each other. */
enum { LONGEST = 2048, SUMS = 8 };

struct sums {
    float product, energy;
};

/* Sum of the products of two sounds, and energy of the first. */
static struct sums together(const float *past, const float *now, int64_t count)
{
    float products[SUMS] = {0}, energies[SUMS] = {0};
    int64_t i = 0;
    for (; i + SUMS <= count; i += SUMS)
        for (int k = 0; k < SUMS; k++) {
            products[k] += past[i + k] * now[i + k];
            energies[k] += past[i + k] * past[i + k];
        }
    struct sums sums = {0, 0};
    for (; i < count; i++) {
        sums.product += past[i] * now[i];
        sums.energy += past[i] * past[i];
    }
    for (int k = 0; k < SUMS; k++) {
        sums.product += products[k];
        sums.energy += energies[k];
    }
    return sums;
}

/* Return the lag from `first` to `last` at which the last `window` samples before `end` repeat earlier sound best, the
 * least of equal ones, and write its normalised correlation. */
static int64_t best(const float *end, int64_t first, int64_t last, int64_t window, float *strength)
{
    const float *now = end - window;
    /* One unit of energy per sample is added, so that silence has no correlation with anything. */
    float energy = together(now, now, window).energy, quiet = (float)window * (float)window;
    int64_t lag = first;
    *strength = -2;
    for (int64_t k = first; k <= last; k++) {
        struct sums sums = together(now - k, now, window);
        float strong = sums.product / sqrtf(sums.energy * energy + quiet);
        if (strong > *strength) {
            *strength = strong;
            lag = k;
        }
    }
    return lag;
}

static int64_t limited(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* Find the lag of each row of `samples` samples, first at a `factor`-th of the sample rate.
 *
 * Returns 0; or -1, and does nothing, if rows are too short or too long for that.
 */
int softswitch_lags(const float *pcm, int64_t rows, int64_t samples, int64_t shortest, int64_t longest, int64_t window,
                    int64_t factor, int64_t *lags, float *strengths)
{
    if (factor < 1 || shortest < 1 || longest < shortest || window < factor || longest + window > samples ||
        samples / factor > LONGEST || longest < factor || longest / factor < shortest / factor)
        return -1;
    for (int64_t row = 0; row < rows; row++) {
        const float *end = pcm + (row + 1) * samples;
        int64_t first = shortest, last = longest;
        if (factor > 1) {
            float coarse[LONGEST];
            int64_t count = samples / factor;
            const float *from = end - count * factor;
            for (int64_t i = 0; i < count; i++) {
                float sum = 0;
                for (int64_t k = 0; k < factor; k++)
                    sum += from[i * factor + k];
                coarse[i] = sum / (float)factor;
            }
            int64_t least = shortest / factor > 1 ? shortest / factor : 1;
            int64_t lag = factor * best(coarse + count, least, longest / factor, window / factor, strengths + row);
            first = limited(lag - factor, shortest, longest);
            last = limited(lag + factor, shortest, longest);
        }
        lags[row] = best(end, first, last, window, strengths + row);
    }
    return 0;
}

/* Continue each row of `past`, (rows, count), by `samples` samples that repeat its last period.
 *
 * Periods are found as by softswitch_lags(); `seam` has `fading` numbers, by which the step before the first repetition
 * fades. Returns as softswitch_lags(), with the periods in `periods` and their correlation in `strengths`.
 */
int softswitch_continue(const float *past, int64_t rows, int64_t count, int64_t shortest, int64_t longest,
                        int64_t window, int64_t factor, const float *seam, int64_t fading, float *out, int64_t samples,
                        int64_t *periods, float *strengths)
{
    if (softswitch_lags(past, rows, count, shortest, longest, window, factor, periods, strengths))
        return -1;
    for (int64_t row = 0; row < rows; row++) {
        int64_t period = periods[row], blend = period / 4, steady = period - blend;
        const float *cycle = past + (row + 1) * count - period;
        float *to = out + row * samples, step = cycle[period - 1] - cycle[-1];
        for (int64_t i = 0; i < samples && i < period; i++) {
            float weight = i < steady ? 0 : ((float)(i - steady) + 0.5f) / (float)blend;
            to[i] = weight > 0 ? cycle[i] + (cycle[i - period] - cycle[i]) * weight : cycle[i];
        }
        for (int64_t i = period; i < samples; i++)
            to[i] = to[i - period];
        for (int64_t i = 0; i < samples && i < fading; i++)
            to[i] += step * seam[i];
    }
    return 0;
}
