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
}
