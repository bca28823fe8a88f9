//! Times on the command line, such as 90s and 2h.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A time such as 90s, 500ms, 10m, 2h or 7d; a number alone is seconds.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("write 500ms, 90s, 10m, 2h or 7d".to_owned()),
    };
    let ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    match ms {
        Some(0) => Err("no time at all is not possible".to_owned()),
        Some(ms) => Ok(Duration::from_millis(ms)),
        None => Err("this is no time: write 500ms, 90s, 10m, 2h or 7d".to_owned()),
    }
}

/// Milliseconds since 1970.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, ms) in
            [("500ms", 500), ("90", 90_000), ("90s", 90_000), ("2h", 7_200_000), ("1d", 86_400_000)]
        {
            assert_eq!(parse_time(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in
            ["", "0", "s", "-1s", "1.5s", "1 s", "99999999999999999999", "9999999999999999d"]
        {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
