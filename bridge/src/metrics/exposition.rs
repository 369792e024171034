//! Chooses the text format of the metrics: OpenMetrics, or Prometheus' text format, which older readers and
//! `promtool check metrics` need. Pure.

/// A text format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' text format, version 0.0.4.
    Prometheus,
}

impl Exposition {
    /// What an `Accept` header prefers; without one, or when it names neither, Prometheus' own.
    #[must_use]
    pub fn preferred(accept: Option<&str>) -> Self {
        let weight = |kind: &str| {
            let ranges = accept.unwrap_or_default().split(',');
            let weights = ranges.filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let is_meant = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(kind));
                is_meant.then(|| parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0))
            });
            weights.fold(0.0, f32::max)
        };
        let open_metrics = weight("application/openmetrics-text");
        if open_metrics > 0.0 && open_metrics >= weight("text/plain") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// What stands in OpenMetrics, in this format.
    pub(super) fn write(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Prometheus => to_prometheus(&open_metrics),
        }
    }
}

/// The older format names a counter as its samples do, with `_total`, and an info metric with `_info`, which is a gauge
/// there. It has neither units nor an end.
fn to_prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                _ => ("", kind),
            };
            if let Some((_, help)) = help.take() {
                text.extend(["# HELP ", name, suffix, " ", help, "\n"]);
            }
            text.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            text.extend([line, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_chooses() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1";
        for (accept, expected) in [
            (None, Exposition::Prometheus),
            (Some("*/*"), Exposition::Prometheus),
            (Some("text/html, */*;q=0.8"), Exposition::Prometheus),
            (Some("text/plain"), Exposition::Prometheus),
            (Some("application/openmetrics-text; version=1.0.0"), Exposition::OpenMetrics),
            (Some("Application/OpenMetrics-Text"), Exposition::OpenMetrics),
            (Some(prometheus), Exposition::OpenMetrics),
            (Some("text/plain, application/openmetrics-text;q=0.3"), Exposition::Prometheus),
            (Some("application/openmetrics-text;q=0"), Exposition::Prometheus),
        ] {
            assert_eq!(Exposition::preferred(accept), expected, "{accept:?}");
        }
    }

    #[test]
    fn counters_and_infos_change_their_names_and_nothing_else_does() {
        let open = "# HELP a Of a.\n# TYPE a counter\na_total{x=\"# TYPE\"} 1\n# HELP b_seconds Of b.\n# TYPE b_seconds gauge\n\
                    # UNIT b_seconds seconds\nb_seconds 2\n# HELP c Of c.\n# TYPE c info\nc_info{v=\"1\"} 1\n# EOF\n";
        let expected = "# HELP a_total Of a.\n# TYPE a_total counter\na_total{x=\"# TYPE\"} 1\n# HELP b_seconds Of b.\n\
                        # TYPE b_seconds gauge\nb_seconds 2\n# HELP c_info Of c.\n# TYPE c_info gauge\nc_info{v=\"1\"} 1\n";
        assert_eq!(Exposition::Prometheus.write(open.to_owned()), expected);
        assert_eq!(Exposition::OpenMetrics.write(open.to_owned()), open);
    }
}
