/* Ordinary packets of many RTP ports with one call from Python: taken in, played and made (ordinary.py, docs/adr/0037).
 *
 * A packet is ordinary if it continues its stream without anything to decide: the successor of the last one, from the
 * same source, of the duration that its timestamp says. All others are left to Python, whose code says what is to be
 * done with each; what is done here is the same, and tests compare the two. The constants and the columns are those of
 * softswitch/rtp: statistics.py, timeline.py, delay.py, jitter.py, playout.py, relay.py and sending.py.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TYPES = 128, HEADER = 12, DEPTH = 32, WINDOW = 64 };
/* Delays in units: age up to which a packet counts, room above the least good delay. */
enum { HORIZON = 1300 * 48, SLACK = 12 * 48, OFTEN_LATE = 4 };
/* Excess of delay, units, and frames without a good place, from which on a period is cut anywhere (receive.py). */
enum { FORCED = 50 * 48, PATIENCE = 12 };
/* Amplitude below which a rest can be dropped (store.py). */
static const float QUIET = 60.0f;
enum { PER_SAMPLE = 2, UNITS = 48000, FRAME_UNITS = 960, LONGEST_UNITS = 5760 };
/* Samples of 20 ms at 8 and at 24 kHz; sound kept to conceal a loss; taps before the first sample of a frame. */
enum { NARROW = 160, WIDE = 480, KEPT = 200, PAST_UP = 32, PAST_DOWN = 96, TAPS_UP = 33, TAPS_DOWN = 32 };

enum { SSRC, RAW, EXTENDED, RECEIVED, CANDIDATE_RUN = 12, JUMP, HEARD, SOURCE_FIELDS };
enum { LINE_EXTENDED, LINE_STAMP, LINE_MEDIA, LINE_DURATION, LINE_ARRIVAL, LINE_BASE, LINE_FIELDS };
enum { NEXT, CURSOR, START, RUN, LOW, HIGH, LASTING, STATE_FIELDS };
enum { NUMBER, MEDIA, DURATION, LENGTH, KIND, NOTE_FIELDS };
enum { OWN_SSRC, SEQUENCE, STAMP, PACKETS, OCTETS, TYPE, LEVEL, MARK, REPORTED, SENDER_FIELDS };
/* Places of codecs in CODECS of formats.py, and the number of them. */
enum { ULAW = 0, OPUS = 3, KINDS = 4 };
enum { TARGET, TAKEN, STEP, SHIFT, FIRST, FROM_MEDIA, FROM_STAMP, NEWEST, LAST, AT, PARTS, FROM, RELAY_FIELDS };
/* Least duration of packets that a target asks for, milliseconds: then one packet is made of one. */
enum { WHOLE_MS = 20 };
/* A target whose next packet has to be made smooth whatever it is; any other number: if it is converted. */
enum { ROUGH = 1 };
/* Bit of the first octet for a header extension, the octets of one with the audio level (RFC 6464), its bit for voice,
 * and the level from which on it is set, -dBov. */
enum { EXTENDED_BIT = 0x10, LEVEL_EXTENSION = 8, VOICE_BIT = 128, VOICED = 50 };

/* G.711 of one law: the table, and the bank's memory for concealment. */
struct law {
    const float *decoding;
    float *sound;
    const int64_t *lost;
};

/* A packet to be converted: its row, its slots, and the header that it will have. */
struct conversion {
    int64_t row;
    int64_t head;
    int64_t slot;
    int64_t target;
    int64_t pair;
    int64_t octets;
    int64_t number;
    int64_t stamp;
    int64_t end;
    int64_t mark;
};

/* opus_decode and opus_encode of libopus, whose addresses Python knows. */
typedef int opus_decode_t(void *decoder, const uint8_t *data, int32_t octets, int16_t *pcm, int samples, int fec);
typedef int opus_encode_t(void *encoder, const int16_t *pcm, int samples, uint8_t *data, int32_t most);

/* Arrays of all slots, owned by Python. */
struct books {
    const int64_t *kinds;
    int64_t *sources;
    int64_t *timeline;
    int32_t *transits;
    int64_t *arrivals;
    /* Least delay above the base, units. */
    const int64_t *reserves;
    int64_t *state;
    int64_t *notes;
    uint8_t *ring;
    int64_t ring_width;
    const uint8_t *suspended;
    int64_t *octets;
    int64_t *relays;
    int64_t *excess;
    const int64_t *steps;
    const int64_t *per_octet;
    const int64_t *playing;
    int64_t *held;
    int64_t *senders;
    float *last;
    /* Packets to be forwarded, rows of `width` octets: null if there are no relays. */
    uint8_t *forwarded;
    int64_t width;
    int64_t *forwarded_lengths;
    int64_t *forwarded_slots;
    int64_t forwards;
    /* Number of the batch in which a packet of each slot was left, and of the current one. */
    int64_t *left;
    int64_t batch;
    /* Kind that the decoder of each source is prepared for, and duration that each target asked for, milliseconds. */
    const int64_t *prepared;
    const int64_t *ptimes;
    /* Targets whose next packet Python makes smooth, whatever it is or if it is converted: one for them is left. Null:
     * none is. */
    const uint8_t *rough;
    /* Packets to be converted: as they came, and in the order of their pairs of codecs, with the numbers of each. */
    struct conversion *found;
    struct conversion *sorted;
    int64_t conversions;
    int64_t *per_pair;
    /* Of the sorted ones: payloads in rows as wide as those of the ring, their octets and slots. */
    uint8_t *payloads;
    int64_t *payload_lengths;
    int64_t *sources_of;
    int64_t *targets_of;
    /* Resampling between 8 and 24 kHz: the past of each slot, and the taps that are not zero. */
    float *past_up;
    float *past_down;
    const float *taps_up;
    const float *taps_down;
    struct law laws[2];
    /* Opus: decoder of each slot, 0 for none; null where nothing is decoded here. Packets concealed until Python asks. */
    void *const *decoders;
    opus_decode_t *opus_decode;
    int64_t faults;
    /* Decoded sound that was not played yet, in rows of `room` samples, and whether quiet rests are dropped now. */
    float *lines;
    int64_t room;
    int64_t settles;
    /* Frames in which each slot has looked for a place to be stretched, and periods removed or inserted until Python
     * asks. */
    int64_t *patience;
    int64_t stretched;
};

/* Of audio/stretch.c. */
int64_t softswitch_stretch(const float *pcm, int shorter, int force, float *out);

static uint32_t big32(const uint8_t *at) { return (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]; }

static void put32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

/* Units of an Opus packet from its first octets (RFC 6716 section 3.1); 0 for one that no decoder may be given. */
static int64_t opus_units(const uint8_t *payload, int64_t octets)
{
    static const uint8_t frame[32] = {4, 8, 16, 24, 4, 8, 16, 24, 4, 8, 16, 24, 4, 8, 4, 8,
                                      1, 2, 4,  8,  1, 2, 4,  8,  1, 2, 4,  8,  1, 2, 4, 8};
    if (octets < 1 || ((payload[0] & 3) == 3 && octets < 2))
        return 0;
    int code = payload[0] & 3, frames = code == 3 ? payload[1] & 63 : code ? 2 : 1;
    /* Of 2.5 ms each. */
    return frame[payload[0] >> 3] * frames * (UNITS / 400);
}

static void put_header(uint8_t *at, int64_t second, int64_t sequence, int64_t stamp, int64_t ssrc)
{
    put32(at, 0x80000000u | (uint32_t)second << 16 | (sequence & 0xFFFF));
    put32(at + 4, (uint32_t)stamp);
    put32(at + 8, (uint32_t)ssrc);
}

/* Write the header of a relayed packet, and count it. */
static void put_relayed(struct books *b, uint8_t *out, int64_t target, int64_t octets, int64_t number, int64_t stamp,
                        int64_t end, int64_t mark)
{
    int64_t *sender = b->senders + target * SENDER_FIELDS;
    put_header(out, sender[TYPE] | sender[MARK] | mark, number, stamp, sender[OWN_SSRC]);
    sender[SEQUENCE] = sender[SEQUENCE] > number + 1 ? sender[SEQUENCE] : number + 1;
    sender[STAMP] = sender[STAMP] > end ? sender[STAMP] : end;
    sender[PACKETS]++;
    sender[OCTETS] += octets;
    sender[MARK] = 0;
}

/* Note a packet to be converted; return 0 if there is something to decide. Others of its slot are left in this batch. */
static int convert(struct books *b, int64_t *relay, const uint8_t *row, int64_t index, int64_t head, int64_t slot,
                   int64_t octets, int64_t kind, int64_t extended, int64_t stamp, int64_t duration)
{
    int64_t taken = relay[TAKEN], target = relay[TARGET];
    if (!b->prepared || b->prepared[slot] != kind || duration != FRAME_UNITS || (uint64_t)taken >= KINDS)
        return 0;
    if (extended != relay[NEWEST] + 1 || b->ptimes[target] < WHOLE_MS)
        return 0;
    b->per_pair[kind * KINDS + taken]++;
    b->found[b->conversions++] = (struct conversion){
        .row = index, .head = head, .slot = slot, .target = target, .pair = kind * KINDS + taken, .octets = octets,
        .number = extended + relay[SHIFT], .stamp = stamp, .end = stamp + duration / relay[STEP], .mark = row[1] & 128,
    };
    b->left[slot] = b->batch;
    return 1;
}

/* Make the packet that a relay forwards, or note that it is to be converted.
 *
 * Returns 0, and changes nothing, if there is something to decide.
 */
static int forward(struct books *b, int64_t *relay, const uint8_t *row, int64_t index, int64_t head, int64_t slot,
                   int64_t octets, int64_t kind, int64_t extended, int64_t media, int64_t duration, int64_t arrival)
{
    if (relay[PARTS] != 1 || relay[FROM] != b->steps[kind] || extended <= relay[NEWEST])
        return 0;
    if (b->rough && (b->rough[relay[TARGET]] == ROUGH || (b->rough[relay[TARGET]] && relay[TAKEN] != kind)))
        return 0;
    if (relay[FROM_MEDIA] == INT64_MIN || media < relay[FROM_MEDIA] || HEADER + octets > b->width)
        return 0;
    int64_t stamp = (media - relay[FROM_MEDIA]) / relay[STEP] + relay[FROM_STAMP];
    if (stamp <= relay[LAST])
        return 0;
    if (relay[TAKEN] == kind) {
        uint8_t *out = b->forwarded + b->forwards * b->width;
        put_relayed(b, out, relay[TARGET], octets, extended + relay[SHIFT], stamp, stamp + duration / relay[STEP],
                    row[1] & 128);
        memcpy(out + HEADER, row + head, (size_t)octets);
        b->forwarded_lengths[b->forwards] = HEADER + octets;
        b->forwarded_slots[b->forwards++] = relay[TARGET];
    } else if (!convert(b, relay, row, index, head, slot, octets, kind, extended, stamp, duration))
        return 0;
    relay[NEWEST] = extended;
    relay[LAST] = stamp;
    relay[AT] = arrival;
    return 1;
}

/* Octets of a header without sources, padding and more than one extension; 0 for any other (RFC 3550 section 5.1). */
static int64_t head_of(const uint8_t *row, int64_t length)
{
    if (length < HEADER || (row[0] & ~EXTENDED_BIT) != 0x80)
        return 0;
    if (row[0] == 0x80)
        return HEADER;
    if (length < HEADER + 4)
        return 0;
    int64_t head = HEADER + 4 + 4 * (row[HEADER + 2] << 8 | row[HEADER + 3]);
    return length < head ? 0 : head;
}

/* Take one packet in; return 0, and change nothing, if it is not ordinary. */
static int accept(struct books *b, const uint8_t *row, int64_t index, int64_t length, int64_t slot, int64_t arrival,
                  int timed)
{
    int64_t *relay = b->relays + slot * RELAY_FIELDS, head = head_of(row, length);
    if (!head || (relay[TARGET] >= 0 && !b->forwarded))
        return 0;
    int64_t kind = b->kinds[slot * TYPES + (row[1] & 127)];
    if (kind < 0)
        return 0;
    int64_t sequence = row[2] << 8 | row[3], octets = length - head;
    int64_t duration = kind == OPUS ? opus_units(row + head, octets) : octets * b->per_octet[kind];
    int64_t *source = b->sources + slot * SOURCE_FIELDS;
    if (((sequence - source[RAW]) & 0xFFFF) != 1 || source[SSRC] != big32(row + 8))
        return 0;
    if (duration <= 0 || duration > LONGEST_UNITS || octets > b->ring_width)
        return 0;
    int64_t *line = b->timeline + slot * LINE_FIELDS, extended = source[EXTENDED] + 1, stamp = big32(row + 4);
    int64_t passed = ((stamp - line[LINE_STAMP]) & 0xFFFFFFFF) * b->steps[kind];
    if (passed != line[LINE_DURATION] || extended - line[LINE_EXTENDED] != 1)
        return 0;
    int64_t media = line[LINE_MEDIA] + passed, transit = arrival - media;
    if (llabs(transit - line[LINE_BASE]) > UNITS)
        return 0;
    int64_t place = slot * DEPTH + (extended & (DEPTH - 1)), *note = b->notes + place * NOTE_FIELDS;
    int64_t next = b->suspended[slot] ? extended : b->state[slot * STATE_FIELDS + NEXT];
    if (extended < next || note[NUMBER] >= next)
        return 0;
    if (relay[TARGET] >= 0 &&
        !forward(b, relay, row, index, head, slot, octets, kind, extended, media, duration, arrival))
        return 0;

    source[RAW] = sequence;
    source[EXTENDED] = extended;
    source[RECEIVED]++;
    source[CANDIDATE_RUN] = 0;
    source[JUMP] = -1;
    source[HEARD] = arrival;
    b->octets[slot] += octets;
    if (timed) {
        int64_t at = slot * WINDOW + (extended & (WINDOW - 1));
        b->transits[at] = (int32_t)transit;
        b->arrivals[at] = arrival;
    }
    line[LINE_EXTENDED] = extended;
    line[LINE_STAMP] = stamp;
    line[LINE_MEDIA] = media;
    line[LINE_DURATION] = duration;
    line[LINE_ARRIVAL] = arrival;
    note[NUMBER] = extended;
    note[MEDIA] = media;
    note[DURATION] = duration;
    note[LENGTH] = octets;
    note[KIND] = kind;
    memcpy(b->ring + place * b->ring_width, row + head, (size_t)octets);
    return 1;
}

/* Sort the packets to be converted by their pairs of codecs, and copy their payloads. */
static void sort_conversions(struct books *b, const uint8_t *rows, int64_t stride)
{
    int64_t at[KINDS * KINDS], sum = 0;
    for (int pair = 0; pair < KINDS * KINDS; pair++) {
        at[pair] = sum;
        sum += b->per_pair[pair];
    }
    for (int64_t i = 0; i < b->conversions; i++) {
        const struct conversion *one = b->found + i;
        int64_t place = at[one->pair]++;
        b->sorted[place] = *one;
        memcpy(b->payloads + place * b->ring_width, rows + one->row * stride + one->head, (size_t)one->octets);
        b->payload_lengths[place] = one->octets;
        b->sources_of[place] = one->slot;
        b->targets_of[place] = one->target;
    }
}

/* Take the ordinary ones of `count` packets in, make those to be forwarded, and gather those to be converted.
 *
 * A packet behind one of RTP that was left, of the same slot, is left too. Reports (RFC 5761 section 4) are left, but
 * say nothing about the packets of sound behind them. Returns how many were left; their rows go into `rest`.
 */
int softswitch_accept(struct books *b, const uint8_t *rows, int64_t stride, const int64_t *lengths,
                      const int64_t *slots, int count, int64_t arrival, int timed, int64_t *rest)
{
    int left = 0;
    b->batch++;
    b->forwards = b->conversions = 0;
    if (b->per_pair)
        memset(b->per_pair, 0, sizeof(int64_t) * KINDS * KINDS);
    for (int i = 0; i < count; i++) {
        int64_t slot = slots[i];
        if (b->left[slot] != b->batch && accept(b, rows + i * stride, i, lengths[i], slot, arrival, timed))
            continue;
        if (rows[i * stride + 1] >> 5 != 6)
            b->left[slot] = b->batch;
        rest[left++] = i;
    }
    if (b->conversions)
        sort_conversions(b, rows, stride);
    return left;
}

/* Do what softswitch_accept does, but leave packets for targets that are `rough`.
 *
 * The packets to be forwarded, made[0] of them, go into `forwarded`, rows of `width` octets; made[1] packets are to be
 * converted.
 */
int softswitch_accept_smooth(struct books *b, const uint8_t *rough, uint8_t *forwarded, int64_t width,
                             int64_t *forwarded_lengths, int64_t *forwarded_slots, const uint8_t *rows, int64_t stride,
                             const int64_t *lengths, const int64_t *slots, int count, int64_t arrival, int timed,
                             int64_t *rest, int64_t *made)
{
    int64_t own_width = b->width;
    b->rough = rough;
    b->forwarded = forwarded;
    b->width = width;
    b->forwarded_lengths = forwarded_lengths;
    b->forwarded_slots = forwarded_slots;
    int left = softswitch_accept(b, rows, stride, lengths, slots, count, arrival, timed, rest);
    made[0] = b->forwards;
    made[1] = b->conversions;
    b->rough = NULL;
    b->forwarded = NULL;
    b->width = own_width;
    return left;
}

/* Make the packets of `count` converted payloads, those from place `first` on, in rows of `width` octets. */
void softswitch_put_converted(struct books *b, int64_t first, int count, const uint8_t *payloads, int64_t stride,
                              const int64_t *octets, uint8_t *out, int64_t width, int64_t *lengths)
{
    for (int i = 0; i < count; i++) {
        const struct conversion *one = b->sorted + first + i;
        uint8_t *row = out + i * width;
        put_relayed(b, row, one->target, octets[i], one->number, one->stamp, one->end, one->mark);
        memcpy(row + HEADER, payloads + i * stride, (size_t)octets[i]);
        lengths[i] = HEADER + octets[i];
    }
}

/* Find the smallest transit of the recent packets of a slot, and the one that 94 % do not exceed; 0 without any. */
static int transits(const struct books *b, int64_t slot, int64_t now, int64_t *base, int64_t *wanted)
{
    const int64_t *arrivals = b->arrivals + slot * WINDOW;
    const int32_t *all = b->transits + slot * WINDOW;
    /* At most four of 64 packets exceed the 94 %: the largest ones, in falling order. */
    int32_t largest[OFTEN_LATE], least = INT32_MAX;
    int known = 0;
    for (int i = 0; i < OFTEN_LATE; i++)
        largest[i] = INT32_MIN;
    for (int i = 0; i < WINDOW; i++) {
        if (arrivals[i] <= now - HORIZON)
            continue;
        int32_t transit = all[i];
        known++;
        least = transit < least ? transit : least;
        for (int k = 0; k < OFTEN_LATE && transit > largest[OFTEN_LATE - 1]; k++)
            if (transit > largest[k]) {
                int32_t smaller = largest[k];
                largest[k] = transit;
                transit = smaller;
            }
    }
    if (!known)
        return 0;
    double share = (known - 1) * 0.94;
    int last = (int)share;
    last += last < share;
    *base = least;
    *wanted = largest[known - 1 - last];
    return 1;
}

/* Interarrival jitter of the recent packets of a slot, units, as DelayMeter.jitter has it. */
int64_t softswitch_jitter(const struct books *b, int64_t slot, int64_t now)
{
    const int64_t *arrivals = b->arrivals + slot * WINDOW;
    const int32_t *all = b->transits + slot * WINDOW;
    int order[WINDOW], known = 0;
    if (now < 0)
        return 0;
    for (int i = 0; i < WINDOW; i++) {
        if (arrivals[i] <= now - HORIZON)
            continue;
        /* By arrival; those that came at once stay in the order of their places. */
        int at = known++;
        for (; at && arrivals[order[at - 1]] > arrivals[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    double mean = 0.0, weight = 1.0 / 16;
    for (int i = known - 1; i > 0; i--, weight *= 15.0 / 16)
        mean += fabs((double)all[order[i]] - (double)all[order[i - 1]]) * weight;
    return (int64_t)rint(mean);
}

/* Set the range of good delays and the base of each slot, as JitterBuffer.review does, and its excess of delay.
 *
 * `held` has the units that each slot has decoded and not played, or is null. excesses[i] gets the excess of slot i, 0
 * where nothing is known. Returns how many are not 0, or -1 if no slot plays.
 */
int softswitch_review(const struct books *b, const int64_t *slots, int count, int64_t now, const int64_t *held,
                      int64_t *excesses)
{
    int playing = 0, found = 0;
    for (int i = 0; i < count; i++) {
        int64_t slot = slots[i], *state = b->state + slot * STATE_FIELDS, base, wanted;
        excesses[i] = 0;
        if (state[CURSOR] == INT64_MIN)
            continue;
        playing++;
        if (!transits(b, slot, now, &base, &wanted))
            continue;
        int64_t least = base + b->reserves[slot], low = wanted > least ? wanted : least, high = low + SLACK;
        int64_t delay = now - state[CURSOR] + (held ? held[i] : 0);
        state[LOW] = low;
        state[HIGH] = high;
        b->timeline[slot * LINE_FIELDS + LINE_BASE] = base;
        excesses[i] = delay > high ? delay - high : delay < low ? delay - low : 0;
        b->excess[slot] = excesses[i];
        found += excesses[i] != 0;
    }
    return playing ? found : -1;
}

#define ALWAYS static inline __attribute__((always_inline))

/* Four or eight numbers at a time: a compiler splits wider vectors than the processor's badly. */
typedef float lanes4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef float lanes8 __attribute__((vector_size(32), aligned(4), may_alias));

/* Filters, whose sums stay in eight registers at a time: weigh_two adds up the products of one line with two rows of
 * `count` taps, weigh_lines those of two lines with one row each.
 */
#define FILTERS(lanes)                                                                                                 \
    ALWAYS void weigh_two_##lanes(const float *line, const float *taps, int count, float *one, float *other)           \
    {                                                                                                                  \
        enum { WIDTH = sizeof(lanes) / sizeof(float) };                                                                \
        for (int i = 0; i < NARROW; i += 4 * WIDTH) {                                                                  \
            lanes a[4] = {{0}}, b[4] = {{0}};                                                                          \
            for (int tap = 0; tap < count; tap++)                                                                      \
                _Pragma("GCC unroll 4") for (int k = 0; k < 4; k++)                                                    \
                {                                                                                                      \
                    lanes x = *(const lanes *)(line + i + tap + k * WIDTH);                                            \
                    a[k] += x * taps[tap];                                                                             \
                    b[k] += x * taps[count + tap];                                                                     \
                }                                                                                                      \
            memcpy(one + i, a, sizeof a);                                                                              \
            memcpy(other + i, b, sizeof b);                                                                            \
        }                                                                                                              \
    }                                                                                                                  \
    ALWAYS void weigh_lines_##lanes(const float *line, const float *next, const float *taps, int count, float *sums)   \
    {                                                                                                                  \
        enum { WIDTH = sizeof(lanes) / sizeof(float) };                                                                \
        for (int i = 0; i < NARROW; i += 4 * WIDTH) {                                                                  \
            lanes a[4], b[4] = {{0}};                                                                                  \
            memcpy(a, sums + i, sizeof a);                                                                             \
            for (int tap = 0; tap < count; tap++)                                                                      \
                _Pragma("GCC unroll 4") for (int k = 0; k < 4; k++)                                                    \
                {                                                                                                      \
                    a[k] += *(const lanes *)(line + i + tap + k * WIDTH) * taps[tap];                                  \
                    b[k] += *(const lanes *)(next + i + tap + k * WIDTH) * taps[count + tap];                          \
                }                                                                                                      \
            _Pragma("GCC unroll 4") for (int k = 0; k < 4; k++) a[k] += b[k];                                          \
            memcpy(sums + i, a, sizeof a);                                                                             \
        }                                                                                                              \
    }

FILTERS(lanes4)
FILTERS(lanes8)

/* 8 to 24 kHz. Of three samples one is the sample that came in, since the filter's other taps are zero there. */
ALWAYS void upsample(const float *line, const float *taps, float *out, int wide)
{
    float second[NARROW], third[NARROW];
    if (wide)
        weigh_two_lanes8(line, taps, TAPS_UP, second, third);
    else
        weigh_two_lanes4(line, taps, TAPS_UP, second, third);
    for (int i = 0; i < NARROW; i++) {
        out[3 * i] = line[i + PAST_UP / 2];
        out[3 * i + 1] = second[i];
        out[3 * i + 2] = third[i];
    }
}

/* 24 to 8 kHz. A third of the taps is zero but for the middle one: that third is one product. */
ALWAYS void downsample(const float *line, const float *taps, float *out, int wide)
{
    enum { THIRD = (PAST_DOWN + WIDE) / 3 };
    float second[THIRD], third[THIRD];
    for (int i = 0; i < THIRD; i++) {
        second[i] = line[3 * i + 1];
        third[i] = line[3 * i + 2];
    }
    for (int i = 0; i < NARROW; i++)
        out[i] = line[PAST_DOWN / 2 + 3 * i] * taps[2 * TAPS_DOWN];
    if (wide)
        weigh_lines_lanes8(second, third, taps, TAPS_DOWN, out);
    else
        weigh_lines_lanes4(second, third, taps, TAPS_DOWN, out);
}

/* A sample rounded to the nearest even number and clipped, as 16 bits; one that is no number becomes the lowest. */
ALWAYS uint16_t rounded(float sample)
{
    float clipped = sample > -32768.0f ? sample : -32768.0f;
    clipped = clipped < 32767.0f ? clipped : 32767.0f;
    /* 1.5 * 2^23: the sum has no bits left for a fraction, and its low ones are the number. */
    float sum = clipped + 12582912.0f;
    uint32_t bits;
    memcpy(&bits, &sum, sizeof bits);
    return (uint16_t)bits;
}

typedef int32_t numbers4 __attribute__((vector_size(16)));
typedef int32_t numbers8 __attribute__((vector_size(32)));

/* Codes of one frame in G.711 of law `kind`, those of g711.py: computed, since reading a table of 64 KB takes longer.
 *
 * As a floating-point number a magnitude has the segment of its code in the exponent, less a bias, and then the code's
 * other four bits. Samples become whole as by `rounded`.
 */
#define CODES(lanes, numbers)                                                                                          \
    ALWAYS void encode_##lanes(const float *pcm, int kind, uint8_t *out)                                               \
    {                                                                                                                  \
        enum { WIDTH = sizeof(lanes) / sizeof(float) };                                                                \
        int32_t codes[NARROW];                                                                                         \
        const lanes low = (lanes){0} - 32768.0f, high = (lanes){0} + 32767.0f;                                         \
        for (int i = 0; i < NARROW; i += WIDTH) {                                                                      \
            lanes x = *(const lanes *)(pcm + i);                                                                       \
            numbers within = x > low;                                                                                  \
            x = (lanes)(((numbers)x & within) | ((numbers)low & ~within));                                             \
            within = x < high;                                                                                         \
            x = (lanes)(((numbers)x & within) | ((numbers)high & ~within)) + 12582912.0f;                              \
            numbers sample = (numbers)x << 16 >> 16, sign = sample >> 31, magnitude = sample ^ sign, code;             \
            if (kind == ULAW) {                                                                                        \
                magnitude = (magnitude >> 2) + 33;                                                                     \
                numbers small = magnitude < 8191;                                                                      \
                magnitude = (magnitude & small) | (8191 & ~small);                                                     \
                code = ((numbers)__builtin_convertvector(magnitude, lanes) >> 19) - ((127 + 5) << 4);                  \
                code = ~((sign & 0x80) | code);                                                                        \
            } else {                                                                                                   \
                magnitude >>= 4;                                                                                       \
                numbers linear = magnitude < 16;                                                                       \
                code = ((numbers)__builtin_convertvector(magnitude, lanes) >> 19) - ((127 + 3) << 4);                  \
                code = ((~sign & 0x80) | (magnitude & linear) | (code & ~linear)) ^ 0x55;                              \
            }                                                                                                          \
            memcpy(codes + i, &code, sizeof code);                                                                     \
        }                                                                                                              \
        for (int i = 0; i < NARROW; i++)                                                                               \
            out[i] = (uint8_t)codes[i];                                                                                \
    }

CODES(lanes4, numbers4)
CODES(lanes8, numbers8)

/* Decode a frame of G.711, and keep the end of it in the memory for concealment. */
ALWAYS void decode(const float *table, const uint8_t *codes, float *out, float *sound)
{
    for (int i = 0; i < NARROW; i++)
        out[i] = table[codes[i]];
    memmove(sound, sound + NARROW, sizeof(float) * (KEPT - NARROW));
    memcpy(sound + KEPT - NARROW, out, sizeof(float) * NARROW);
}

/* Decode `count` payloads of 20 ms of G.711 by a bank's table and memory, as LinearBank.decode does.
 *
 * Returns 0, and changes nothing, if a slot comes out of a loss.
 */
int softswitch_decode_law(const float *table, float *sound, const int64_t *lost, const uint8_t *payloads,
                          int64_t stride, const int64_t *slots, int count, float *out)
{
    for (int i = 0; i < count; i++)
        if (lost[slots[i]])
            return 0;
    for (int i = 0; i < count; i++)
        decode(table, payloads + i * stride, out + i * NARROW, sound + slots[i] * KEPT);
    return 1;
}

/* Make the packets, of 172 octets, of the conversions from place `first` on from rows of 20 ms, in G.711 of law `kind`. */
void softswitch_put_law(struct books *b, int kind, int64_t first, int count, const float *pcm, uint8_t *out,
                        int64_t width, int64_t *lengths)
{
    for (int i = 0; i < count; i++) {
        const struct conversion *one = b->sorted + first + i;
        uint8_t *row = out + i * width;
        put_relayed(b, row, one->target, NARROW, one->number, one->stamp, one->end, one->mark);
        encode_lanes4(pcm + i * NARROW, kind, row + HEADER);
        lengths[i] = HEADER + NARROW;
    }
}

/* Let numbers too small for full precision count as zero, and return what was set before, for `restore_small`.
 *
 * After digital silence and in empty bands the filters of libopus come to such numbers, each of which costs a processor
 * a hundred cycles and more: an encoder took three times as long.
 */
static uint64_t ignore_small(void)
{
#if defined(__x86_64__)
    uint32_t before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before | 0x8040);
    return before;
#elif defined(__aarch64__)
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | 1u << 24));
    return before;
#else
    return 0;
#endif
}

static void restore_small(uint64_t before)
{
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr((uint32_t)before);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
#else
    (void)before;
#endif
}

/* Decode `count` packets of Opus of 20 ms, each by its decoder, into rows of `samples`, as OpusBank.decode does.
 *
 * Returns how many could not be decoded and were concealed.
 */
int softswitch_decode_opus(opus_decode_t *opus, void *const *decoders, const uint8_t *payloads, int64_t stride,
                           const int64_t *octets, int count, int samples, float *out)
{
    int16_t pcm[WIDE];
    int faults = 0;
    uint64_t before = ignore_small();
    for (int i = 0; i < count; i++) {
        memset(pcm, 0, sizeof pcm);
        if (opus(decoders[i], payloads + i * stride, (int32_t)octets[i], pcm, samples, 0) <= 0) {
            faults++;
            opus(decoders[i], NULL, 0, pcm, samples, 0);
        }
        for (int k = 0; k < samples; k++)
            out[(int64_t)i * samples + k] = pcm[k];
    }
    restore_small(before);
    return faults;
}

/* Encode 20 ms at 24 kHz in each row of `pcm` as Opus, each by its encoder, in at most `most` octets.
 *
 * Makes the packets of the conversions from place `first` on. Returns how many could not be encoded; the length of
 * such a packet is 0.
 */
int softswitch_put_opus(struct books *b, opus_encode_t *opus, void *const *encoders, int64_t first, int count,
                        const float *pcm, uint8_t *out, int64_t width, int64_t most, int64_t *lengths)
{
    int16_t frame[WIDE];
    int faults = 0;
    uint64_t before = ignore_small();
    for (int i = 0; i < count; i++) {
        const struct conversion *one = b->sorted + first + i;
        uint8_t *row = out + i * width;
        for (int k = 0; k < WIDE; k++)
            frame[k] = (int16_t)rounded(pcm[(int64_t)i * WIDE + k]);
        int octets = opus(encoders[i], frame, WIDE, row + HEADER, (int32_t)most);
        lengths[i] = 0;
        if (octets <= 0) {
            faults++;
            continue;
        }
        put_relayed(b, row, one->target, octets, one->number, one->stamp, one->end, one->mark);
        lengths[i] = HEADER + octets;
    }
    restore_small(before);
    return faults;
}

/* Go on behind a packet of 20 ms. */
ALWAYS void advance(int64_t *state)
{
    state[NEXT]++;
    state[CURSOR] += FRAME_UNITS;
    state[LASTING] = FRAME_UNITS;
    state[RUN] = 0;
}

/* Decode a packet of 20 ms of Opus into a frame of the bus; one that cannot be decoded is concealed and counted. */
static void decode_opus(struct books *b, int64_t slot, const uint8_t *payload, int64_t octets, float *out)
{
    int16_t pcm[WIDE] = {0};
    if (b->opus_decode(b->decoders[slot], payload, (int32_t)octets, pcm, WIDE, 0) <= 0) {
        b->faults++;
        b->opus_decode(b->decoders[slot], NULL, 0, pcm, WIDE, 0);
    }
    for (int k = 0; k < WIDE; k++)
        out[k] = pcm[k];
}

/* Decode the next packet of a slot; return 0, and change nothing, if it is not an ordinary one of 20 ms of G.711 or Opus.
 */
ALWAYS int decode_next(struct books *b, int64_t slot, float *out, int wide)
{
    int64_t *state = b->state + slot * STATE_FIELDS;
    int64_t place = slot * DEPTH + (state[NEXT] & (DEPTH - 1)), kind = b->playing[slot];
    const int64_t *note = b->notes + place * NOTE_FIELDS;
    if (note[NUMBER] != state[NEXT] || note[MEDIA] != state[CURSOR])
        return 0;
    if (note[DURATION] != FRAME_UNITS || note[KIND] != kind)
        return 0;
    if (kind == OPUS) {
        if (!b->decoders || !b->decoders[slot])
            return 0;
        advance(state);
        decode_opus(b, slot, b->ring + place * b->ring_width, note[LENGTH], out);
        return 1;
    }
    const struct law *law = b->laws + kind;
    if ((uint64_t)kind > 1 || !law->sound || !b->past_up || law->lost[slot])
        return 0;
    advance(state);
    const uint8_t *codes = b->ring + place * b->ring_width;
    float line[PAST_UP + NARROW], *past = b->past_up + slot * PAST_UP, *sound = law->sound + slot * KEPT;
    memcpy(line, past, sizeof(float) * PAST_UP);
    decode(law->decoding, codes, line + PAST_UP, sound);
    memcpy(past, line + NARROW, sizeof(float) * PAST_UP);
    upsample(line, b->taps_up, out, wide);
    return 1;
}

/* Drop what a slot holds if it is less than a frame, and quiet, and so is the end of the frame before (PcmStore.settle).
 *
 * Packets of another duration than 20 ms leave a rest in any case, and need it.
 */
static void settle(struct books *b, int64_t slot, const float *out)
{
    const float *line = b->lines + slot * b->room, *end = out + WIDE - b->held[slot];
    if (b->held[slot] >= WIDE || b->state[slot * STATE_FIELDS + LASTING] != FRAME_UNITS)
        return;
    for (int64_t i = 0; i < b->held[slot]; i++)
        if (!(fabsf(end[i]) < QUIET && fabsf(line[i]) < QUIET))
            return;
    b->held[slot] = 0;
}

/* Play the next 20 ms of a slot; return 0, and change nothing, if that takes more than an ordinary packet. */
ALWAYS int play(struct books *b, int64_t slot, float *out, int wide)
{
    int64_t held = b->held[slot];
    if (!held)
        return decode_next(b, slot, out, wide);
    float *line = b->lines + slot * b->room, frame[WIDE];
    if (held < WIDE) {
        /* What stretching has left is played first, and as much of the new packet is held instead. */
        if (!decode_next(b, slot, frame, wide))
            return 0;
        memcpy(out, line, sizeof(float) * held);
        memcpy(out + held, frame, sizeof(float) * (WIDE - held));
        memcpy(line, frame + WIDE - held, sizeof(float) * held);
    } else {
        memcpy(out, line, sizeof(float) * WIDE);
        memmove(line, line + WIDE, sizeof(float) * (held - WIDE));
        b->held[slot] -= WIDE;
    }
    if (b->settles)
        settle(b, slot, out);
    return 1;
}

/* Make the packet of a slot from a frame of the bus. */
ALWAYS void pack(const struct books *b, int kind, int64_t slot, const float *pcm, uint8_t *out,
                 int wide)
{
    float line[PAST_DOWN + WIDE], narrow[NARROW], *past = b->past_down + slot * PAST_DOWN;
    memcpy(line, past, sizeof(float) * PAST_DOWN);
    memcpy(line + PAST_DOWN, pcm, sizeof(float) * WIDE);
    memcpy(past, line + WIDE, sizeof(float) * PAST_DOWN);
    downsample(line, b->taps_down, narrow, wide);
    b->last[slot] = narrow[NARROW - 1];
    int64_t *sender = b->senders + slot * SENDER_FIELDS;
    put_header(out, sender[TYPE] | sender[MARK], sender[SEQUENCE], sender[STAMP], sender[OWN_SSRC]);
    if (wide)
        encode_lanes8(narrow, kind, out + HEADER);
    else
        encode_lanes4(narrow, kind, out + HEADER);
    sender[SEQUENCE]++;
    sender[STAMP] += NARROW;
    sender[PACKETS]++;
    sender[OCTETS] += NARROW;
    sender[MARK] = 0;
}

/* Stretch a frame of a slot, and return its samples (RtpReceiver._append_stretched, and _append_changed). */
static int64_t stretch(struct books *b, int64_t slot, const float *frame, float *out)
{
    int64_t excess = b->excess[slot], force = ++b->patience[slot] > PATIENCE || llabs(excess) > FORCED;
    int64_t count = softswitch_stretch(frame, excess > 0, force, out), gained = (WIDE - count) * PER_SAMPLE;
    if (!gained)
        return count;
    b->stretched++;
    b->patience[slot] = 0;
    excess -= gained;
    /* An excess that changed its sign is smaller than a period: it counts as done, or stretching would alternate. */
    b->excess[slot] = excess && (excess > 0) == (gained > 0) ? excess : 0;
    return count;
}

/* Play the next 20 ms of a slot that is to be stretched; return 0 if that takes more than ordinary packets.
 *
 * What was decoded is held then, and `stretched` is no longer set: Python goes on from there.
 */
ALWAYS int play_stretched(struct books *b, int64_t slot, uint8_t *stretched, float *out, int wide)
{
    float frame[WIDE], changed[WIDE + WIDE / 2], *line = b->lines + slot * b->room;
    int64_t held = b->held[slot];
    if (held >= WIDE)
        return play(b, slot, out, wide);
    if (!decode_next(b, slot, frame, wide))
        return 0;
    stretched[slot] = 0;
    int64_t count = stretch(b, slot, frame, changed);
    memcpy(line + held, changed, sizeof(float) * (size_t)count);
    b->held[slot] = held + count;
    return play(b, slot, out, wide);
}

ALWAYS int play_all(struct books *b, const int64_t *slots, int count, uint8_t *stretched, float *out, int64_t *rest,
                    int wide)
{
    int left = 0;
    for (int i = 0; i < count; i++) {
        int64_t slot = slots[i];
        int is_stretched = stretched && stretched[slot];
        float *row = out + (int64_t)i * WIDE;
        if (is_stretched ? !play_stretched(b, slot, stretched, row, wide) : !play(b, slot, row, wide))
            rest[left++] = i;
    }
    return left;
}

ALWAYS void pack_all(const struct books *b, int kind, const int64_t *slots, int count, const float *pcm, uint8_t *out,
                     int wide)
{
    for (int64_t i = 0; i < count; i++)
        pack(b, kind, slots[i], pcm + i * WIDE, out + i * (HEADER + NARROW), wide);
}

#if defined(__x86_64__)
#define WITH_FMA __attribute__((target("avx2,fma")))
static int has_fma(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

WITH_FMA static int play_fma(struct books *b, const int64_t *slots, int count, uint8_t *stretched, float *out,
                             int64_t *rest)
{
    return play_all(b, slots, count, stretched, out, rest, 1);
}

WITH_FMA static void pack_fma(const struct books *b, int kind, const int64_t *slots, int count, const float *pcm,
                              uint8_t *out)
{
    pack_all(b, kind, slots, count, pcm, out, 1);
}
#endif

/* Write the next 20 ms of each slot that plays an ordinary packet into its row of `out`, (count, 480) at 24 kHz.
 *
 * A slot whose `stretched` is set is stretched. Returns how many slots were left; their rows go into `rest`.
 */
int softswitch_play(struct books *b, const int64_t *slots, int count, uint8_t *stretched, float *out, int64_t *rest)
{
    uint64_t before = ignore_small();
    int left;
#if defined(__x86_64__)
    if (has_fma())
        left = play_fma(b, slots, count, stretched, out, rest);
    else
#endif
        left = play_all(b, slots, count, stretched, out, rest, 0);
    restore_small(before);
    return left;
}

/* Make a packet of 172 octets for each slot from the rows of `pcm`, (count, 480) at 24 kHz, in G.711 of law `kind`. */
void softswitch_pack(const struct books *b, int kind, const int64_t *slots, int count, const float *pcm, uint8_t *out)
{
#if defined(__x86_64__)
    if (has_fma()) {
        pack_fma(b, kind, slots, count, pcm, out);
        return;
    }
#endif
    pack_all(b, kind, slots, count, pcm, out, 0);
}

/* Encode 20 ms at 24 kHz in each row of `pcm` as Opus, each by its encoder, and make the packet of each slot.
 *
 * `levels` has -dBov of each row for slots that send the audio level, or is null. Row i of `frames`, (count, 480), gets
 * the samples as the encoder had them, row i of `out` the packet, with a payload of at most `most` octets, lengths[i] its
 * octets, or 0 if it could not be encoded. Returns how many could not.
 */
int softswitch_pack_opus(struct books *b, opus_encode_t *opus, void *const *encoders, const int64_t *slots, int count,
                         const float *pcm, const int64_t *levels, int16_t *frames, uint8_t *out, int64_t width,
                         int64_t most, int64_t *lengths)
{
    int faults = 0;
    uint64_t before = ignore_small();
    for (int64_t i = 0; i < count; i++) {
        int64_t *sender = b->senders + slots[i] * SENDER_FIELDS;
        int64_t head = HEADER + (levels && sender[LEVEL] > 0 ? LEVEL_EXTENSION : 0);
        int16_t *frame = frames + i * WIDE;
        uint8_t *row = out + i * width;
        for (int k = 0; k < WIDE; k++)
            frame[k] = (int16_t)rounded(pcm[i * WIDE + k]);
        int octets = opus(encoders[i], frame, WIDE, row + head, (int32_t)most);
        lengths[i] = octets > 0 ? head + octets : 0;
        if (octets <= 0) {
            faults++;
            continue;
        }
        put_header(row, sender[TYPE] | sender[MARK], sender[SEQUENCE], sender[STAMP], sender[OWN_SSRC]);
        if (head > HEADER) {
            row[0] |= EXTENDED_BIT;
            put32(row + HEADER, 0xBEDE0001u);
            put32(row + HEADER + 4, (uint32_t)(sender[LEVEL] << 4) << 24 |
                                        (uint32_t)(levels[i] | (levels[i] < VOICED ? VOICE_BIT : 0)) << 16);
        }
        b->last[slots[i]] = pcm[i * WIDE + WIDE - 1];
        sender[SEQUENCE]++;
        sender[STAMP] += FRAME_UNITS;
        sender[PACKETS]++;
        sender[OCTETS] += octets;
        sender[MARK] = 0;
    }
    restore_small(before);
    return faults;
}
