/* The text of media messages of a stream: JSON with audio in base64 (stream_queue.py, docs/adr/0054).
 *
 * A text is taken here only if it is a media message beyond doubt: all that JSON allows beside it (escapes, nested values,
 * numbers with exponents, other alphabets of base64) is left to the reader in Python, so that both always agree.
 */
#include <pthread.h>
#include <string.h>

#include "feed.h"

/* Digits of a number that is taken. */
enum { MOST_DIGITS = 15 };

struct text {
    const uint8_t *at, *end;
};

struct span {
    const uint8_t *at;
    int64_t size;
};

static void skip_spaces(struct text *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\r' || *t->at == '\t'))
        t->at++;
}

/* Take a character behind spaces; return whether it is there. */
static int take(struct text *t, uint8_t wanted)
{
    skip_spaces(t);
    if (t->at >= t->end || *t->at != wanted)
        return 0;
    t->at++;
    return 1;
}

/* Take a text of printable ASCII without escapes; `is_long` if it may be long. */
static int take_string(struct text *t, struct span *found, int is_long)
{
    if (!take(t, '"'))
        return 0;
    found->at = t->at;
    if (is_long) {
        // What is no base64 is found when it is decoded.
        const uint8_t *quote = memchr(t->at, '"', (size_t)(t->end - t->at));
        if (!quote)
            return 0;
        t->at = quote;
    } else {
        while (t->at < t->end && *t->at != '"') {
            if (*t->at < 0x20 || *t->at > 0x7e || *t->at == '\\')
                return 0;
            t->at++;
        }
        if (t->at >= t->end)
            return 0;
    }
    found->size = t->at - found->at;
    t->at++;
    return 1;
}

static int take_digits(struct text *t)
{
    int count = 0;
    while (t->at < t->end && *t->at >= '0' && *t->at <= '9') {
        t->at++;
        count++;
    }
    return count;
}

static int take_word(struct text *t, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(t->end - t->at) < size || memcmp(t->at, word, size) != 0)
        return 0;
    t->at += size;
    return 1;
}

/* Take a value that means nothing here: a text, a number, or one of the three words. */
static int take_other(struct text *t)
{
    struct span text;
    skip_spaces(t);
    if (t->at >= t->end)
        return 0;
    switch (*t->at) {
    case '"':
        return take_string(t, &text, 0);
    case 't':
        return take_word(t, "true");
    case 'f':
        return take_word(t, "false");
    case 'n':
        return take_word(t, "null");
    }
    t->at += *t->at == '-';
    const uint8_t *first = t->at;
    int digits = take_digits(t);
    if (!digits || digits > MOST_DIGITS || (digits > 1 && *first == '0'))
        return 0;
    if (t->at < t->end && *t->at == '.') {
        t->at++;
        int more = take_digits(t);
        if (!more || more > MOST_DIGITS)
            return 0;
    }
    return t->at >= t->end || (*t->at != 'e' && *t->at != 'E' && *t->at != '.');
}

static int is_word(const struct span *text, const char *word)
{
    return text->size == (int64_t)strlen(word) && memcmp(text->at, word, strlen(word)) == 0;
}

/* Take the object with the payload. */
static int take_media(struct text *t, struct span *payload)
{
    if (!take(t, '{'))
        return 0;
    do {
        struct span key;
        if (!take_string(t, &key, 0) || !take(t, ':'))
            return 0;
        if (is_word(&key, "payload")) {
            if (payload->at || !take_string(t, payload, 1))
                return 0;
        } else if (!take_other(t)) {
            return 0;
        }
    } while (take(t, ','));
    return payload->at && take(t, '}');
}

/* Find the audio of a media message of a stream with an id; return whether the text is surely one. */
int find_payload(const uint8_t *text, int64_t size, const uint8_t *id, int64_t id_size, const uint8_t **payload,
                 int64_t *payload_size)
{
    struct text t = {text, text + size};
    struct span found = {0}, event = {0}, stream = {0};
    if (!take(&t, '{'))
        return 0;
    do {
        struct span key;
        if (!take_string(&t, &key, 0) || !take(&t, ':'))
            return 0;
        if (is_word(&key, "event")) {
            if (event.at || !take_string(&t, &event, 0) || !is_word(&event, "media"))
                return 0;
        } else if (is_word(&key, "stream_id")) {
            if (stream.at || !take_string(&t, &stream, 0) || stream.size != id_size ||
                memcmp(stream.at, id, (size_t)id_size) != 0)
                return 0;
        } else if (is_word(&key, "media")) {
            if (found.at || !take_media(&t, &found))
                return 0;
        } else if (!take_other(&t)) {
            return 0;
        }
    } while (take(&t, ','));
    if (!take(&t, '}') || !event.at || !found.at)
        return 0;
    skip_spaces(&t);
    *payload = found.at;
    *payload_size = found.size;
    return t.at == t.end;
}

/* --- base64 (RFC 4648 section 4) --- */

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
enum { NO_CODE = 0xff };
/* Two characters of twelve bits; value of a character. */
static uint8_t pairs[4096][2], values[256];

__attribute__((constructor)) static void fill_tables(void)
{
    memset(values, NO_CODE, sizeof values);
    for (int i = 0; i < 64; i++)
        values[(uint8_t)ALPHABET[i]] = (uint8_t)i;
    for (int i = 0; i < 4096; i++) {
        pairs[i][0] = (uint8_t)ALPHABET[i >> 6];
        pairs[i][1] = (uint8_t)ALPHABET[i & 63];
    }
}

/* Return how many octets a text in base64 has; -1 where its length is wrong. */
int64_t base64_size(const uint8_t *text, int64_t size)
{
    if (size & 3 || !size)
        return size ? -1 : 0;
    return size / 4 * 3 - (text[size - 1] == '=') - (text[size - 1] == '=' && text[size - 2] == '=');
}

/* Write the octets of a text in base64, as many as base64_size says; return whether it was correct. */
int read_base64(uint8_t *to, const uint8_t *text, int64_t size)
{
    int64_t octets = base64_size(text, size), at = 0;
    uint8_t wrong = 0;
    for (; at + 3 <= octets; at += 3, text += 4) {
        uint8_t a = values[text[0]], b = values[text[1]], c = values[text[2]], d = values[text[3]];
        wrong |= a | b | c | d;
        to[at] = (uint8_t)(a << 2 | b >> 4);
        to[at + 1] = (uint8_t)(b << 4 | c >> 2);
        to[at + 2] = (uint8_t)(c << 6 | d);
    }
    if (at < octets) {
        uint8_t a = values[text[0]], b = values[text[1]], c = octets - at == 2 ? values[text[2]] : 0;
        wrong |= a | b | c;
        to[at] = (uint8_t)(a << 2 | b >> 4);
        if (octets - at == 2)
            to[at + 1] = (uint8_t)(b << 4 | c >> 2);
    }
    return !(wrong & 0xc0);
}

/* Write octets in base64; return the number of characters. */
int64_t write_base64(uint8_t *to, const uint8_t *data, int64_t size)
{
    uint8_t *first = to;
    for (; size >= 3; size -= 3, data += 3, to += 4) {
        unsigned bits = (unsigned)(data[0] << 16 | data[1] << 8 | data[2]);
        memcpy(to, pairs[bits >> 12], 2);
        memcpy(to + 2, pairs[bits & 4095], 2);
    }
    if (size) {
        unsigned bits = (unsigned)(data[0] << 16 | (size > 1 ? data[1] << 8 : 0));
        memcpy(to, pairs[bits >> 12], 2);
        to[2] = size > 1 ? pairs[bits & 4095][0] : '=';
        to[3] = '=';
        to += 4;
    }
    return to - first;
}

/* --- the time --- */

static void digits(uint8_t *to, int64_t number, int count)
{
    while (count--) {
        to[count] = (uint8_t)('0' + number % 10);
        number /= 10;
    }
}

/* Write YYYY-MM-DDThh:mm:ss.mmmZ, 24 characters, as rfc3339 of protocol/instants.py does, where it is explained. */
int64_t write_moment(uint8_t *to, int64_t epoch_ms)
{
    int64_t seconds = epoch_ms / 1000, days = seconds / 86400 + 719468, rest = seconds % 86400;
    int64_t era = days / 146097, of_era = days % 146097;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * of_year + 2) / 153, month = shifted < 10 ? shifted + 3 : shifted - 9;
    memcpy(to, "0000-00-00T00:00:00.000Z", 24);
    digits(to, year_of_era + era * 400 + (month <= 2), 4);
    digits(to + 5, month, 2);
    digits(to + 8, of_year - (153 * shifted + 2) / 5 + 1, 2);
    digits(to + 11, rest / 3600, 2);
    digits(to + 14, rest % 3600 / 60, 2);
    digits(to + 17, rest % 60, 2);
    digits(to + 20, epoch_ms % 1000, 3);
    return 24;
}

/* --- for tests --- */

/* Write the audio of a text to `to`, as large as the text; return its octets, -1 where the text is left to Python. */
int64_t softswitch_stream_audio(const uint8_t *text, int64_t size, const uint8_t *id, int64_t id_size, uint8_t *to)
{
    const uint8_t *payload;
    int64_t count;
    if (!find_payload(text, size, id, id_size, &payload, &count) || base64_size(payload, count) < 0)
        return -1;
    return read_base64(to, payload, count) ? base64_size(payload, count) : -1;
}
