"""Epoch milliseconds as RFC 3339 text, by arithmetic alone (this floor reads no clock)."""


def rfc3339(epoch_ms: int) -> str:
    """Return ``YYYY-MM-DDThh:mm:ss.mmmZ`` of epoch milliseconds (RFC 3339, UTC).

    The date comes from the number of days since 1970-03-01 shifted to years that begin in March, so that the
    leap day is the last of its year.
    """
    seconds, millis = divmod(epoch_ms, 1000)
    days, rest = divmod(seconds, 86_400)
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    year = year_of_era + era * 400 + (month <= 2)
    hour, minute, second = rest // 3600, rest % 3600 // 60, rest % 60
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.{millis:03d}Z"
