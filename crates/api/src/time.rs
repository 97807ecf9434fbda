//! Moments as text (ISO 8601, UTC).

/// `2026-01-31T12:00:00Z`.
pub(crate) fn seconds(ms: i64) -> String {
    let [year, month, day, hour, minute, second] = parts(ms);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `2026-01-31T12:00:00.000000Z`, as the identity API writes it.
pub(crate) fn micros(ms: i64) -> String {
    let whole = seconds(ms);
    format!(
        "{}.{:03}000Z",
        whole.trim_end_matches('Z'),
        ms.rem_euclid(1000)
    )
}

/// `2026-01-31T12:00:00.000000`, as the compute API writes some.
pub(crate) fn bare_micros(ms: i64) -> String {
    micros(ms).trim_end_matches('Z').to_owned()
}

/// Milliseconds since 1970 of a date, or of a date and a time, in UTC unless an offset is there.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (date, clock) = match text.split_once(['T', ' ']) {
        Some((date, clock)) => (date, clock),
        None => (text, "00:00:00"),
    };
    let [year, month, day] = numbers(date, '-')?;
    let known = (1970..=9999).contains(&year) && (1..=12).contains(&month);
    if !known || !(1..=31).contains(&day) {
        return None;
    }
    let (clock, offset_s) = match clock.strip_suffix('Z') {
        Some(clock) => (clock, 0),
        None => match clock.rfind(['+', '-']) {
            Some(place) => {
                let way = if clock[place..].starts_with('-') {
                    -1
                } else {
                    1
                };
                let [hours, minutes] = numbers(&clock[place + 1..], ':')?;
                (&clock[..place], way * (hours * 3600 + minutes * 60))
            }
            None => (clock, 0),
        },
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let digits = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
    let [hour, minute, second] = numbers(clock, ':')?;
    if !digits || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let ms: i64 = format!("{fraction:0<3.3}").parse().ok()?;
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some((seconds - offset_s) * 1000 + ms)
}

/// So many numbers of at most four digits with a character between them.
fn numbers<const N: usize>(text: &str, between: char) -> Option<[i64; N]> {
    let number = |part: &str| -> Option<i64> {
        let digits = (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        part.parse().ok().filter(|_| digits)
    };
    let all: Option<Vec<i64>> = text.split(between).map(number).collect();
    all?.try_into().ok()
}

/// Days since 1970 of a date, by the same arithmetic as below.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month, day, hour, minute, second. Days become a date by Howard Hinnant's published
/// arithmetic: years begin in March, so that leap days come last.
fn parts(ms: i64) -> [i64; 6] {
    let seconds = ms.div_euclid(1000);
    let (days, clock) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    [year, month, day, clock / 3600, clock / 60 % 60, clock % 60]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_dates() {
        assert_eq!(seconds(0), "1970-01-01T00:00:00Z");
        assert_eq!(seconds(951_827_696_000), "2000-02-29T12:34:56Z");
        assert_eq!(micros(1_764_547_199_999), "2025-11-30T23:59:59.999000Z");
        assert_eq!(seconds(-1), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn dates_are_moments() {
        for ms in [0, 951_827_696_000, 1_764_547_199_000, 253_402_300_799_000] {
            assert_eq!(parse(&seconds(ms)), Some(ms));
        }
        assert_eq!(
            parse("2025-11-30T23:59:59.999000Z"),
            Some(1_764_547_199_999)
        );
        assert_eq!(parse("2025-11-30 23:59:59"), Some(1_764_547_199_000));
        assert_eq!(parse("2025-12-01T00:59:59+01:00"), Some(1_764_547_199_000));
        assert_eq!(parse("1970-01-02"), Some(86_400_000));
        for bad in [
            "",
            "x",
            "2025",
            "2025-13-01",
            "2025-01-32",
            "2025-01-01T",
            "2025-01-01T1",
            "-1-1-1",
            "2025-01-01T24:00:00",
            "2025-01-01T00:00:00.",
            "2025-01-01T00:00:00.xZ",
            "2025-01-01T00:00:00+1",
            "99999-01-01",
            "2025-01-01T+00:00:00",
            "ü-ü-ü",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
