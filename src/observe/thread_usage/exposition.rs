//! Prometheus' text format, read as it comes: of all its lines only the sum of some values is kept. Pure.

/// The sum of the times of all requests, one line for each route, method and status.
const SUM: &[u8] = b"flagsmith_http_server_request_duration_seconds_sum";

/// Bytes of a line. Flagsmith's longest have a few hundred: the name, a route, a method and a status.
pub const LINE: usize = 16 * 1024;

/// A line has more than [`LINE`] bytes, so that this is no text of metrics.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line has more than {LINE} bytes")]
pub struct LineTooLong;

/// The seconds that all requests have taken, while the text comes in pieces.
#[derive(Debug, Default)]
pub struct RequestSeconds {
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    sum: Option<f64>,
}

impl RequestSeconds {
    /// Takes the next piece, wherever it begins and ends.
    pub fn push(&mut self, mut piece: &[u8]) -> Result<(), LineTooLong> {
        while let Some(end) = memchr::memchr(b'\n', piece) {
            let (rest_of_line, rest) = piece.split_at(end);
            self.extend(rest_of_line)?;
            self.end_line();
            piece = rest.get(1..).unwrap_or_default();
        }
        self.extend(piece)
    }

    /// The seconds; `None` where there was no such series.
    #[must_use]
    pub fn total(mut self) -> Option<f64> {
        self.end_line();
        self.sum.filter(|sum| sum.is_finite())
    }

    fn extend(&mut self, part: &[u8]) -> Result<(), LineTooLong> {
        if self.line.len() + part.len() > LINE {
            return Err(LineTooLong);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self) {
        if let Some(seconds) = seconds(&self.line) {
            *self.sum.get_or_insert(0.0) += seconds;
        }
        self.line.clear();
    }
}

/// The value of a line of the series. Labels may contain any character, and a timestamp may follow the value.
fn seconds(line: &[u8]) -> Option<f64> {
    let rest = line.strip_prefix(SUM)?;
    let labels = memchr::memrchr(b'}', rest).map_or(0, |end| end + 1);
    let value = std::str::from_utf8(rest.get(labels..)?).ok()?;
    let seconds: f64 = value.split_ascii_whitespace().next()?.parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const METRICS: &str = "# TYPE flagsmith_http_server_request_duration_seconds histogram\n\
        flagsmith_http_server_request_duration_seconds_sum{method=\"GET\",response_status=\"200\",route=\"/api/v1/flags/\"} 12.5\n\
        flagsmith_http_server_request_duration_seconds_bucket{le=\"0.1\",method=\"GET\"} 99\n\
        flagsmith_http_server_request_duration_seconds_sum{method=\"GET\",response_status=\"500\",route=\"/x} 7 y/\"} 1.0e+1 1700000000000\n\
        flagsmith_http_server_request_duration_seconds_sum{route=\"broken\"} NaN\n\
        flagsmith_http_server_request_duration_seconds_sum{route=\"broken\"} -3";

    fn total(text: &str) -> Option<f64> {
        let mut seconds = RequestSeconds::default();
        seconds.push(text.as_bytes()).unwrap();
        seconds.total()
    }

    #[test]
    fn adds_up_every_route() {
        assert_eq!(total(METRICS), Some(22.5));
        assert_eq!(total("python_info 1\n"), None);
        assert_eq!(total(""), None);
    }

    #[test]
    fn a_sum_beyond_all_numbers_is_none() {
        let line = format!("{} 1e308\n", std::str::from_utf8(SUM).unwrap());
        assert_eq!(total(&line.repeat(2)), None);
    }

    #[test]
    fn a_line_has_an_end() {
        let mut seconds = RequestSeconds::default();
        for _ in 0..LINE / 1024 {
            seconds.push(&[b'x'; 1024]).unwrap();
        }
        assert_eq!(seconds.push(b"x"), Err(LineTooLong));
        assert!(seconds.line.capacity() <= 2 * LINE);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_text_is_cut(cuts in proptest::collection::vec(0..METRICS.len(), 0..20)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut seconds = RequestSeconds::default();
            let mut begin = 0;
            for end in cuts.into_iter().chain([METRICS.len()]) {
                seconds.push(&METRICS.as_bytes()[begin..end]).unwrap();
                begin = end;
            }
            prop_assert_eq!(seconds.total(), Some(22.5));
        }
    }
}
